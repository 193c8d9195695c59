/* SPDX-License-Identifier: MIT */
/* The real functions, and the declarations of the hooks that replace them.
 *
 * libc.connect(…) is the next connect() in the search order after ours: libc's, or that of another preloaded
 * library. Each entry is at first a resolver that finds the function on its first use, so the table works
 * before any constructor has run, and costs a look-up only for what is used. libc_start() finds in advance
 * what may be called in signal handlers. A hook is defined as hook_connect and exported as connect, so it
 * can't clash with libc's own prototypes, which promise the compiler things (non-null, no throw, variadic)
 * that our callers may not keep. */
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
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

struct __res_state;

#define HOOK(result, name, parameters, arguments) result(*name) parameters;
struct libc {
	ptrdiff_t error;	     /* offset of errno from the thread pointer; 0: unknown */
	const char *single_threaded; /* &__libc_single_threaded (glibc 2.32); NULL: there is none */
#include "symbols.h"
};

extern struct libc libc;

/* For code that runs with each message. Side by side, and without the call that finds errno, it takes up
 * fewer pages, each of which has to be looked up again after a process switch. */
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

/* The name by which a 32-bit program with a 64-bit time_t calls a function. It needs no hook of its own: what
 * libc's version adds is for kernels before 5.1, which have only 32-bit times. */
#if defined __GLIBC__ && defined __TIMESIZE && __TIMESIZE == 32
#define ALSO_TIME64(name, other)                                                                             \
	extern __typeof__(hook_##name) hook_##other __asm__(#other)                                          \
		__attribute__((alias(#name), visibility("default")))
#else
#define ALSO_TIME64(name, other) extern struct libc libc
#endif

/* Finds those of the hooked functions that POSIX calls async-signal-safe, because the dynamic linker's
 * look-up isn't. Also finds errno: libc was loaded at start, so its thread-local memory is at the same offset
 * in every thread. */
void libc_start(void);

/* Puts the next function with that name into an entry of the table. Not async-signal-safe. */
void libc_fill(void *entry, const char *name);

/* dlsym() and dlopen(), on glibc before 2.34 too. Not for signal handlers. */
void *libc_find(void *library, const char *name);
void *libc_load(const char *file, int mode);

#endif
