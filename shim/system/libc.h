/* SPDX-License-Identifier: MIT */
/* The real functions, and the declarations of the hooks that stand in front of them.
 *
 * libc.connect(…) is the next connect() in the search order behind us: libc's, or that of another preloaded
 * library. Each entry starts as a resolver that finds the function on first use, so the table works before
 * any constructor has run and costs a look-up only for what is used; libc_start() finds
 * beforehand what may be called in signal handlers. A hook is defined as hook_connect and exported as
 * connect: no clash with libc's own prototypes, which promise the compiler things (non-null, no throw,
 * variadic) that a caller of ours may not keep. */
#ifndef IP2VSOCK_LIBC_H
#define IP2VSOCK_LIBC_H

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

struct __res_state;

#define HOOK(result, name, parameters, arguments) result(*name) parameters;
struct libc {
	ptrdiff_t error; /* where errno is in a thread's memory, from its thread pointer; 0: not known */
	const char *single_threaded; /* what __libc_single_threaded says (glibc 2.32); NULL: nothing does */
#include "symbols.h"
};

extern struct libc libc;

/* For what runs with each message: side by side, and without the call that finds errno, it lies in some pages
 * less, each of which has to be found anew after a switch of processes. */
#define HOT __attribute__((hot))
static inline int *libc_errno(void)
{
#ifdef HAVE_THREAD_POINTER
	if (__builtin_expect(libc.error != 0, 1))
		return (int *)((char *)__builtin_thread_pointer() + libc.error);
#endif
	return &errno;
}

#define HOOK(result, name, parameters, arguments)                                                            \
	result hook_##name parameters __asm__(#name) __attribute__((visibility("default")));
#include "symbols.h"

/* The name by which a 32-bit program with a 64-bit time_t calls a function. It needs no other hook: what
 * libc's own adds serves kernels before 5.1, which know times of 32 bits only. */
#if defined __GLIBC__ && defined __TIMESIZE && __TIMESIZE == 32
#define ALSO_TIME64(name, other)                                                                             \
	extern __typeof__(hook_##name) hook_##other __asm__(#other)                                          \
		__attribute__((alias(#name), visibility("default")))
#else
#define ALSO_TIME64(name, other) extern struct libc libc
#endif

/* Finds what POSIX calls async-signal-safe among the hooked functions: the dynamic linker's look-up isn't.
 * And where errno is: libc's thread-local memory is where every thread has it, since it was there at the
 * start. */
void libc_start(void);

/* Puts the next function of that name into an entry of the table. Not async-signal-safe. */
void libc_fill(void *entry, const char *name);

/* dlsym() and dlopen(), on glibc before 2.34 too. Not for signal handlers. */
void *libc_find(void *library, const char *name);
void *libc_load(const char *file, int mode);

#endif
