/* SPDX-License-Identifier: MIT */
#include "cancel.h"

#include "libc.h"

#include <dlfcn.h>

__thread int cancel_state, in_vfork_child;

#ifdef __GLIBC__
static void first_push(struct _pthread_cleanup_buffer *buffer, void (*let_go)(void *), void *held)
{
	cancel_start();
	cleanup_push(buffer, let_go, held);
}

/* Without libpthread there are no threads. */
static void no_push(struct _pthread_cleanup_buffer *buffer, void (*let_go)(void *), void *held)
{
	(void)buffer, (void)let_go, (void)held;
}

static void no_pop(struct _pthread_cleanup_buffer *buffer, int execute)
{
	(void)buffer, (void)execute;
}

void (*cleanup_push)(struct _pthread_cleanup_buffer *buffer, void (*let_go)(void *), void *held) = first_push;
void (*cleanup_pop)(struct _pthread_cleanup_buffer *buffer, int execute) = no_pop;

#ifdef OLDEST_GLIBC
/* The linker finds them at less cost than dlsym(). */
#pragma weak _pthread_cleanup_push
#pragma weak _pthread_cleanup_pop
void _pthread_cleanup_push(struct _pthread_cleanup_buffer *buffer, void (*let_go)(void *), void *held);
void _pthread_cleanup_pop(struct _pthread_cleanup_buffer *buffer, int execute);
__asm__(".symver _pthread_cleanup_push, _pthread_cleanup_push@" OLDEST_GLIBC);
__asm__(".symver _pthread_cleanup_pop, _pthread_cleanup_pop@" OLDEST_GLIBC);

static void linked_pop(struct _pthread_cleanup_buffer *buffer, int execute)
{
	_pthread_cleanup_pop(buffer, execute);
}

static bool linked(void)
{
	if (!_pthread_cleanup_push)
		return false;
	cleanup_push = _pthread_cleanup_push;
	cleanup_pop = linked_pop;
	return true;
}
#else
static bool linked(void)
{
	return false;
}
#endif

/* glibc before 2.34 has them in libpthread, whose longjmp() then calls what was pushed. The program may load
 * it later, so it is loaded now. */
void cancel_start(void)
{
	if (linked())
		return;
	static const char push[] = "_pthread_cleanup_push", pop[] = "_pthread_cleanup_pop";
	void *library = RTLD_DEFAULT, *found = libc_find(library, push);
	if (!found && (library = libc_load("libpthread.so.0", RTLD_LAZY)))
		found = libc_find(library, push);
	*(void **)&cleanup_pop = found ? libc_find(library, pop) : (void *)no_pop;
	*(void **)&cleanup_push = found ? found : (void *)no_push;
}
#endif
