/* SPDX-License-Identifier: MIT */
#include "wait.h"

#include "task.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static int queue = -1;
static struct timer *timers; /* the earliest first */

enum { THREADS = 256, WATCH_AFTER_MS = 50 };
static struct held *waiting[THREADS];

bool wait_start(void)
{
	queue = epoll_create1(EPOLL_CLOEXEC);
	return queue >= 0;
}

bool watch_begin(
	struct watch *watch, int fd, uint32_t events, void (*ready)(struct watch *watch, uint32_t events))
{
	struct epoll_event event = {.events = events, .data.ptr = watch};
	watch->fd = fd;
	watch->ready = ready;
	watch->active = epoll_ctl(queue, EPOLL_CTL_ADD, fd, &event) == 0;
	return watch->active;
}

void watch_end(struct watch *watch)
{
	if (watch->active)
		epoll_ctl(queue, EPOLL_CTL_DEL, watch->fd, NULL);
	watch->active = false;
}

void timer_begin(struct timer *timer, int64_t ms, void (*due)(struct timer *timer))
{
	struct timer **link = &timers;
	timer_end(timer);
	timer->at = now_ms() + ms;
	timer->due = due;
	timer->active = true;
	while (*link && (*link)->at <= timer->at)
		link = &(*link)->next;
	timer->next = *link;
	*link = timer;
}

void timer_end(struct timer *timer)
{
	struct timer **link = &timers;
	if (!timer->active)
		return;
	while (*link != timer)
		link = &(*link)->next;
	*link = timer->next;
	timer->active = false;
}

static struct held **waiting_of(pid_t thread)
{
	return &waiting[(unsigned)thread % THREADS];
}

void held_end(struct held *held)
{
	struct held **link = waiting_of(held->call.thread);
	if (!held->active)
		return;
	held->active = false;
	timer_end(&held->soon);
	if (held->end.active) {
		watch_end(&held->end);
		close(held->end.fd);
	}
	while (*link != held)
		link = &(*link)->next;
	*link = held->next;
}

static void let_go(struct held *held)
{
	held_end(held);
	held->call.id = 0;
	held->gone(held);
}

static void thread_ended(struct watch *watch, uint32_t events)
{
	(void)events;
	let_go((struct held *)((char *)watch - offsetof(struct held, end)));
}

/* If no fd or no memory is left, it is tried again. */
static void watch_thread(struct timer *timer)
{
	struct held *held = (struct held *)((char *)timer - offsetof(struct held, soon));
	if (!call_is_there(&held->call)) {
		let_go(held);
		return;
	}
	int end = task_end(held->call.thread);
	if (end >= 0 && watch_begin(&held->end, end, EPOLLIN, thread_ended))
		return;
	if (end >= 0)
		close(end);
	timer_begin(timer, WATCH_AFTER_MS, watch_thread);
}

void held_begin(struct held *held, const struct call *call, void (*gone)(struct held *held))
{
	struct held **first = waiting_of(call->thread);
	held->call = *call;
	held->gone = gone;
	held->active = true;
	held->next = *first;
	*first = held;
	if (!call_is_sure()) /* the end of a traced thread is seen: held_superseded() */
		timer_begin(&held->soon, WATCH_AFTER_MS, watch_thread);
}

void held_superseded(pid_t thread)
{
	for (struct held *held = *waiting_of(thread), *next; held; held = next) {
		next = held->next;
		if (held->call.thread == thread)
			let_go(held);
	}
}

void held_review(void)
{
	for (int i = 0; i < THREADS; i++)
		for (struct held *held = waiting[i], *next; held; held = next) {
			next = held->next;
			if (!call_is_there(&held->call))
				let_go(held);
		}
}

static int until_next_timer(void)
{
	if (!timers)
		return -1;
	int64_t left = timers->at - now_ms();
	return left < 0 ? 0 : left > INT32_MAX ? INT32_MAX : (int)left;
}

static unsigned turn;

unsigned wait_turn(void)
{
	return turn;
}

/* One event at a time, because handling it may end any other watch. */
void wait_once(void)
{
	struct epoll_event event;
	turn++;
	if (epoll_wait(queue, &event, 1, until_next_timer()) == 1) {
		struct watch *watch = event.data.ptr;
		watch->ready(watch, event.events);
	}
	while (timers && timers->at <= now_ms()) {
		struct timer *timer = timers;
		timer_end(timer);
		timer->due(timer);
	}
}
