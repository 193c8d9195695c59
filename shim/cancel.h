/* SPDX-License-Identifier: MIT */
/* A thread that is cancelled must leave nothing half done: no fresh socket, no reference. So while a hook is
 * at work cancellation waits, but for the places where the program's own call does: there it comes as TCP
 * lets it come, and what is held is let go. */
#ifndef IP2VSOCK_CANCEL_H
#define IP2VSOCK_CANCEL_H

#include <pthread.h>

/* As the program has set it, while a hook is at work. */
extern __thread int cancel_state __attribute__((tls_model("initial-exec")));

/* The pair around what a hook does; returns what the second one wants: hooks nest in signal handlers. */
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

/* A call that waits: a thread that is cancelled there calls let_go(held) last. */
#define CANCEL_HERE(call, let_go, held)                                                                      \
	({                                                                                                   \
		__typeof__(call) waited;                                                                     \
		pthread_cleanup_push(let_go, held);                                                          \
		pthread_setcancelstate(cancel_state, NULL);                                                  \
		waited = (call);                                                                             \
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);                                        \
		pthread_cleanup_pop(0);                                                                      \
		waited;                                                                                      \
	})

#endif
