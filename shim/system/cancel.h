/* SPDX-License-Identifier: MIT */
/* A thread that is cancelled must leave nothing half done: no fresh socket, no reference. So cancellation is
 * deferred while a hook is at work, except where the program's own call waits: there it takes effect as it
 * would on TCP, and what is held is released. */
#ifndef IP2VSOCK_CANCEL_H
#define IP2VSOCK_CANCEL_H

#include <pthread.h>
#include <stdbool.h>

/* Not 0 in a vfork child, which runs as its parent's thread and shares its memory: see process/vfork.S. */
extern __thread int in_vfork_child __attribute__((tls_model("initial-exec")));

/* While a hook is at work: the state that the program has set. */
extern __thread int cancel_state __attribute__((tls_model("initial-exec")));

/* These two enclose the work of a hook. The first returns what the second takes, because hooks nest in signal
 * handlers. */
static inline int cancel_later(void)
{
	int outer = cancel_state;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	return outer;
}

static inline void cancel_as_before(int outer)
{
	pthread_setcancelstate(cancel_state, NULL);
	cancel_state = outer;
}

/* A call that waits, and that the program may leave in the middle: a thread that is cancelled in it calls
 * let_go(held) last. With glibc, so does a thread that a signal handler's siglongjmp() takes out of the call.
 * glibc's older functions do that, whereas pthread_cleanup_push() in C would leave the thread a pointer into
 * a stack that no longer exists. So would the child of a vfork(), which is its parent's thread, if it were
 * killed in the call. */
#ifdef __GLIBC__
extern void (*cleanup_push)(struct _pthread_cleanup_buffer *buffer, void (*let_go)(void *), void *held);
extern void (*cleanup_pop)(struct _pthread_cleanup_buffer *buffer, int execute);
void cancel_start(void); /* finds these two functions, once, at start */
#define LETTING_GO(call, let_go, held)                                                                       \
	({                                                                                                   \
		__typeof__(call) given;                                                                      \
		struct _pthread_cleanup_buffer buffer;                                                       \
		bool own_thread = !in_vfork_child;                                                           \
		if (own_thread)                                                                              \
			cleanup_push(&buffer, let_go, held);                                                 \
		given = (call);                                                                              \
		if (own_thread)                                                                              \
			cleanup_pop(&buffer, 0);                                                             \
		given;                                                                                       \
	})
#else
#define cancel_start() ((void)0)
#define LETTING_GO(call, let_go, held)                                                                       \
	({                                                                                                   \
		__typeof__(call) given;                                                                      \
		pthread_cleanup_push(let_go, held);                                                          \
		given = (call);                                                                              \
		pthread_cleanup_pop(0);                                                                      \
		given;                                                                                       \
	})
#endif

/* A call that waits and in which the thread may be cancelled. */
#define CANCEL_HERE(call, let_go, held)                                                                      \
	LETTING_GO(({                                                                                        \
		pthread_setcancelstate(cancel_state, NULL);                                                  \
		__typeof__(call) waited = (call);                                                            \
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);                                        \
		waited;                                                                                      \
	}),                                                                                                  \
		let_go, held)

#endif
