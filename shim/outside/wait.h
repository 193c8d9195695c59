/* SPDX-License-Identifier: MIT */
/* What the supervisor waits for: fds that become ready, timers that expire, and the threads of calls that
 * aren't answered yet. One thread; nothing here is for signal handlers. */
#ifndef IP2VSOCK_WAIT_H
#define IP2VSOCK_WAIT_H

#include "call.h"
#include "system/clock.h"

#include <sys/epoll.h>

/* If it is zero-filled, it watches nothing. */
struct watch {
	bool active;
	int fd;
	void (*ready)(struct watch *watch, uint32_t events);
};
/* false: out of memory or of watches, by errno. The fd still belongs to the caller. */
bool watch_begin(
	struct watch *watch, int fd, uint32_t events, void (*ready)(struct watch *watch, uint32_t events));
void watch_end(struct watch *watch); /* call it before the fd is closed */

struct timer {
	struct timer *next;
	bool active;
	int64_t at;
	void (*due)(struct timer *timer);
};
void timer_begin(struct timer *timer, int64_t ms, void (*due)(struct timer *timer));
void timer_end(struct timer *timer);

/* The number of events that have been handled. */
unsigned wait_turn(void);

/* A call that isn't answered yet. `gone` is called when its thread no longer waits: it has ended, or has come
 * back with another call. The call is then no longer held. If it is zero-filled, it holds nothing. */
struct held {
	struct held *next;
	bool active;
	struct call call;
	struct timer soon; /* when to begin watching its thread: most calls are answered before */
	struct watch end;  /* the end of its thread */
	void (*gone)(struct held *held);
};
void held_begin(struct held *held, const struct call *call, void (*gone)(struct held *held));
void held_end(struct held *held);
/* This thread makes a call, or has ended, so none of its earlier calls waits any longer. */
void held_superseded(pid_t thread);
/* Releases the calls whose threads no longer wait, for whatever reason. */
void held_review(void);

bool wait_start(void);
void wait_once(void);

#endif
