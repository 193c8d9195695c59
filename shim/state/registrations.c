/* SPDX-License-Identifier: MIT */
/* The hook of epoll_ctl() records up to a few registrations in the sock. Before a socket is replaced,
 * registrations_suspend() deletes its registrations from every epoll instance, because they belong to the old
 * description and would live on with any dup; registrations_resume() makes them again for the new one. If
 * there were more than fit, or some weren't seen, the kernel is asked: /proc/self/fdinfo lists the
 * registrations of each instance. */
#include "registrations.h"

#include "door.h"
#include "system/epolls.h"
#include "system/errno.h"
#include "system/kernel.h"

#include <errno.h>
#include <limits.h>
#include <unistd.h>

_Atomic bool registrations_unseen;

static struct registration *find(struct sock *sock, int epfd, int fd)
{
	for (int i = 0; i < REGISTRATIONS; i++)
		if (sock->registrations[i].epfd == epfd && (epfd < 0 || sock->registrations[i].fd == fd))
			return &sock->registrations[i];
	return NULL;
}

static bool is_ours(const struct registration *registration)
{
	return registration->epfd >= 0 && registration->process == fd_process() && !in_vfork_child;
}

void registrations_note(struct sock *sock, int epfd, int operation, int fd, const struct epoll_event *event)
{
	struct registration *known = find(sock, epfd, fd);
	if (operation == EPOLL_CTL_DEL) {
		if (known)
			known->epfd = -1;
		return;
	}
	if (!known)
		known = find(sock, -1, 0);
	/* Only the kernel knows whether a one-shot registration has fired and is disarmed. */
	if (!known || atomic_load(&sock->state) == STATE_CONNECTED || event->events & EPOLLONESHOT) {
		sock->overflowed = true; /* the kernel will be asked, if necessary */
		return;
	}
	known->epfd = epfd;
	known->fd = fd;
	known->process = fd_process();
	known->event = *event;
}

static void add(struct suspended *suspended, int epfd, int fd, const struct epoll_event *event)
{
	const int room = sizeof suspended->list / sizeof *suspended->list;
	for (int i = 0; i < suspended->count; i++)
		if (suspended->list[i].epfd == epfd && suspended->list[i].fd == fd)
			return;
	if (suspended->count < room)
		suspended->list[suspended->count++] =
			(struct registration){.epfd = epfd, .fd = fd, .event = *event};
}

struct search {
	struct sock *sock;
	struct suspended *found;
};

static void add_if_ours(void *context, const struct registered *one)
{
	const struct search *search = context;
	if (fd_sock(one->fd) == search->sock)
		add(search->found, one->epfd, one->fd, &one->event);
}

static bool read_all(struct sock *sock, struct suspended *suspended)
{
	struct search search = {sock, suspended};
	return epolls_list("self", add_if_ours, &search);
}

/* Deletes those from `first` on. false: some of them weren't registered, and have been removed from the list.
 */
static bool take_out(struct suspended *suspended, int first)
{
	int kept = first, count = suspended->count;
	for (int i = first; i < count; i++) {
		struct registration *one = &suspended->list[i];
		if (libc.epoll_ctl(one->epfd, EPOLL_CTL_DEL, one->fd, &one->event) == 0)
			suspended->list[kept++] = *one;
	}
	suspended->count = kept;
	return kept == count;
}

bool registrations_any(const struct sock *sock)
{
	bool any = sock->overflowed || atomic_load(&registrations_unseen);
	for (int i = 0; i < REGISTRATIONS; i++)
		any |= sock->registrations[i].epfd >= 0;
	return any;
}

bool registrations_suspend(struct sock *sock, struct suspended *suspended)
{
	int saved = errno;
	suspended->count = 0;
	bool ask = sock->overflowed || atomic_load(&registrations_unseen);
	if (ask && !read_all(sock, suspended))
		return false;
	for (int i = 0; !ask && i < REGISTRATIONS; i++)
		if (is_ours(&sock->registrations[i]))
			add(suspended, sock->registrations[i].epfd, sock->registrations[i].fd,
				&sock->registrations[i].event);
	if (!take_out(suspended, 0) && !ask) { /* an epfd was closed, but its instance may live on as a dup */
		int taken = suspended->count;
		if (!read_all(sock, suspended)) {
			registrations_resume(suspended);
			return false;
		}
		take_out(suspended, taken);
	}
	errno = saved;
	return true;
}

void registrations_resume(const struct suspended *suspended)
{
	KEEP_ERRNO;
	for (int i = 0; i < suspended->count; i++) {
		struct epoll_event event = suspended->list[i].event;
		libc.epoll_ctl(suspended->list[i].epfd, EPOLL_CTL_ADD, suspended->list[i].fd, &event);
	}
}

void registrations_of_door(
	const struct sock *listener, int epfd, int operation, const struct epoll_event *event)
{
	int door = door_of(listener);
	struct epoll_event same = event ? *event : (struct epoll_event){.events = 0};
	KEEP_ERRNO;
	if (door >= 0)
		libc.epoll_ctl(epfd, operation, door, &same);
}

void registrations_follow(struct sock *listener, int door)
{
	struct suspended found = {.count = 0};
	KEEP_ERRNO;
	if (registrations_any(listener))
		read_all(listener, &found); /* an instance of those that were noted may be another by now */
	for (int i = 0; i < found.count; i++)
		libc.epoll_ctl(found.list[i].epfd, EPOLL_CTL_ADD, door, &found.list[i].event);
}

static void drop_if_on_it(void *context, const struct registered *one)
{
	struct epoll_event event = one->event;
	if (one->fd == *(const int *)context)
		libc.epoll_ctl(one->epfd, EPOLL_CTL_DEL, one->fd, &event);
}

void registrations_drop(struct sock *sock, int fd)
{
	KEEP_ERRNO;
	bool own = sock->bound_by == fd_process() && !in_vfork_child; /* else those may be a parent's */
	if (own && (sock->overflowed || atomic_load(&registrations_unseen)))
		epolls_list("self", drop_if_on_it, &fd);
	for (int i = 0; i < REGISTRATIONS; i++) {
		struct registration *one = &sock->registrations[i];
		if (is_ours(one) && one->fd == fd) {
			libc.epoll_ctl(one->epfd, EPOLL_CTL_DEL, fd, &one->event);
			registrations_of_door(sock, one->epfd, EPOLL_CTL_DEL, &one->event);
			one->epfd = -1;
		}
	}
}

void registrations_leave(int fd)
{
	struct sock *sock = fd_sock(fd);
	if (sock && sock_may_live_on(
			    sock)) /* epoll would continue to report a description that lives on elsewhere */
		registrations_drop(sock, fd);
	fd_leave(fd);
}

void registrations_leave_range(unsigned first, unsigned last)
{
	for (unsigned fd = first; fd <= last && fd <= (unsigned)fd_highest(); fd++)
		if (fd_tracked((int)fd))
			registrations_leave((int)fd);
}

bool registrations_leave_closed(unsigned first, unsigned last, int flags)
{
	if (flags & CLOSE_RANGE_CLOEXEC || first > last || (int64_t)first > fd_highest())
		return true; /* none of ours will be closed */
	if (libc.syscall(SYS_close_range, UINT_MAX, UINT_MAX, flags, 0, 0, 0) < 0) /* no fd has that number */
		return false;
	registrations_leave_range(first, last);
	return true;
}
