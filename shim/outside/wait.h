/* SPDX-License-Identifier: MIT */
/* What the supervisor waits for: fds that become ready, times that come, and calls whose threads stand still
 * meanwhile. One thread; nothing here is for signal handlers. */
#ifndef IP2VSOCK_WAIT_H
#define IP2VSOCK_WAIT_H

#include "call.h"

#include <sys/epoll.h>

/* Zero-filled: it watches nothing. */
struct watch {
	bool active;
	int fd;
	void (*ready)(struct watch *watch, uint32_t events);
};
/* false: out of memory or of watches, errno says. The fd stays the caller's. */
bool watch_begin(
	struct watch *watch, int fd, uint32_t events, void (*ready)(struct watch *watch, uint32_t events));
void watch_end(struct watch *watch); /* before its fd is closed */

struct timer {
	struct timer *next;
	bool active;
	int64_t at;
	void (*due)(struct timer *timer);
};
void timer_begin(struct timer *timer, int64_t ms, void (*due)(struct timer *timer));
void timer_end(struct timer *timer);
int64_t now_ms(void);

/* A call that isn't answered yet. `gone` is called when its thread waits no longer: it has ended, or it has
 * come back with another call. It is no longer held then. */
struct held {
	struct held *next;
	struct call call;
	struct watch end; /* of its thread */
	void (*gone)(struct held *held);
};
/* false: out of fds; the call isn't held. */
bool held_begin(struct held *held, const struct call *call, void (*gone)(struct held *held));
void held_end(struct held *held);
/* A thread calls, so none of its earlier calls waits. */
void held_superseded(pid_t thread);
/* Lets go of those whose threads wait no longer, for whatever reason. */
void held_review(void);

bool wait_start(void);
void wait_once(void);

#endif
