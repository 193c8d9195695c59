/* SPDX-License-Identifier: MIT */
/* accept(): the supervisor accepts on its own duplicate of the listener, without blocking, and gives the
 * connection to the program's thread. If no client is there and the program's listener blocks, the call is
 * held as an acceptor, and the next event on the duplicate tries again. A connection from a CID that the rule
 * doesn't allow is closed. If the thread has gone away for a signal, the connection is kept for the next
 * accept() on that listener, so that no client is lost. */
#include "serve.h"
#include "task.h"

#include "transport/ports.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* An accept() that waits. */
struct acceptor {
	struct acceptor *next;
	struct held held;
	struct watch watch;
	struct timer timer;
	struct subject subject; /* without its call */
};

static struct acceptor *acceptors;

static bool allowed(const struct rule *rule, uint32_t cid)
{
	for (uint32_t i = 0; i < rule->allow_count; i++)
		if (rule->allow[i] == cid)
			return true;
	return rule->allow_count == 0;
}

/* The family of a connection, and that in which its client's address is shown: a dual-stack IPv6 listener has
 * IPv6 sockets with IPv4 addresses, and one that is for IPv6 alone may get its twin's client. */
static int family_of_peer(const struct watched *listener, const struct endpoint *peer, int *shown_in)
{
	bool only_six = options_int(&listener->options, IPPROTO_IPV6, IPV6_V6ONLY, 0);
	*shown_in = AF_INET;
	if (listener->family == AF_INET)
		return AF_INET;
	if (only_six && watched_twin(listener, NULL) && ports_of_ipv4(peer->port))
		return AF_INET;
	if (!address_is_ipv4(&listener->name) && (only_six || !ports_of_ipv4(peer->port)))
		*shown_in = AF_INET6;
	return AF_INET6;
}

/* Makes the record of an accepted connection. It inherits options from its listener, as in TCP; our
 * transports pass on nothing. */
static void inherit(int fd, const struct watched *listener, int family, const struct endpoint *peer,
	const struct address *shown)
{
	struct stat status;
	struct watched *watched = fstat(fd, &status) == 0 ? watched_open(status.st_ino, family) : NULL;
	if (!watched)
		return; /* its addresses will be those of its transport; IP isn't involved */
	watched->rule = listener->rule;
	watched->transport = listener->transport;
	watched->peer = *peer;
	watched->local = (struct endpoint){CID_ANY, listener->local.port};
	watched->name = listener->name;
	watched->asked = *shown;
	listener->transport->size(fd, listener->rule->buffer);
	if (listener->options.first) {
		options_copy(&watched->options, &listener->options);
		options_apply(&watched->options, fd, listener->rule->buffer);
	}
	watched->stage = STAGE_CONNECTED;
}

/* This connection couldn't be given to anybody, so the next accept() gets it. There is never a second one,
 * because accept() takes the unclaimed connection first. */
static void keep(struct watched *listener, int fd, const struct endpoint *peer)
{
	listener->unclaimed = (struct unclaimed){true, fd, *peer};
}

static int accept_flags(const struct call *call)
{
	return call->system_call == SYS_accept4 ? (int)call->arguments[3] : 0;
}

/* An event loop with blocking listeners finds that both of two twins are readable for one client. Its second
 * accept() fails once, as on TCP when a client has gone, where it would wait. */
static bool was_beaten(struct subject *subject)
{
	struct watched *listener = subject->watched;
	pid_t thread = subject->call->thread;
	bool was = listener->beaten_by == thread;
	listener->beaten_by = 0;
	return was && task_find(thread, listener->inode, subject->number) >= 0; /* the twin isn't closed */
}

/* Gives a connection to the program. The call is answered, or the connection is kept for the next accept().
 */
static void deliver(
	struct subject *subject, int fd, int family, const struct endpoint *peer, const struct address *shown)
{
	struct call *call = subject->call;
	struct watched *listener = subject->watched;
	if (call->arguments[1]) {
		int error = subject_return_address(
			subject, family, shown, 0, call->arguments[1], call->arguments[2]);
		if (error) {
			close(fd);
			fail(subject, error);
			return;
		}
	}
	int flags = accept_flags(call);
	libc.fcntl(fd, F_SETFL, (void *)(long)(O_RDWR | (flags & SOCK_NONBLOCK ? O_NONBLOCK : 0)));
	int error = call_give(call, fd, flags & SOCK_CLOEXEC);
	if (error) {
		keep(listener, fd, peer);
		if (error != ENOENT)
			fail(subject, error);
		return;
	}
	listener->beaten_by = 0;
	for (struct watched *twin = NULL; (twin = watched_twin(listener, twin));)
		twin->beaten_by = call->thread;
	close(fd);
}

/* Accepts a connection from the kernel; -1 and errno. The listener shares O_NONBLOCK with the program, so it
 * is set for this moment only. */
static int accept_now(const struct subject *subject, bool *nonblocking, struct endpoint *peer)
{
	struct sockaddr_storage from;
	socklen_t size = sizeof from;
	const struct transport *transport = subject->watched->transport;
	int flags = libc.fcntl(subject->fd, F_GETFL, NULL);
	*nonblocking = flags & O_NONBLOCK;
	if (transport->has_client && !transport->has_client(subject->fd)) {
		errno = EAGAIN;
		return -1;
	}
	if (!*nonblocking)
		libc.fcntl(subject->fd, F_SETFL, (void *)(long)(flags | O_NONBLOCK));
	int fd = libc.accept4(subject->fd, (struct sockaddr *)&from, &size, SOCK_CLOEXEC);
	int error = errno;
	if (!*nonblocking)
		libc.fcntl(subject->fd, F_SETFL, (void *)(long)flags);
	errno = error;
	if (fd >= 0)
		transport->endpoint((struct sockaddr *)&from, size, peer);
	return fd;
}

static int take_unclaimed(struct watched *listener, struct endpoint *peer)
{
	struct unclaimed *one = &listener->unclaimed;
	if (!one->present)
		return -1;
	*peer = one->peer;
	one->present = false;
	return one->fd;
}

/* Answers with the next connection that is allowed. false: there is none, and the listener blocks. */
static bool try_accept(struct subject *subject)
{
	struct watched *listener = subject->watched;
	for (;;) {
		struct endpoint peer = {CID_ANY, PORT_ANY};
		bool nonblocking = true;
		int fd = take_unclaimed(listener, &peer);
		bool kept = fd >= 0;
		if (!kept)
			fd = accept_now(subject, &nonblocking, &peer);
		if (fd < 0 && errno == EAGAIN && !nonblocking)
			return false;
		if (fd < 0) {
			fail(subject, errno);
			return true;
		}
		if (target_has(listener->rule, TARGET_FROM_AFAR))
			peer.cid = CID_ANY;
		int shown_in, family = family_of_peer(listener, &peer, &shown_in);
		struct address shown = endpoint_shown(&peer, shown_in, &shim.ranges);
		bool let_in = allowed(listener->rule, peer.cid);
		if (!kept) {
			report("accept", &shown, listener->rule, &peer, let_in ? "accepted" : "not allowed");
			if (let_in)
				inherit(fd, listener, family, &peer, &shown);
		}
		if (let_in) {
			deliver(subject, fd, family, &peer, &shown);
			return true;
		}
		close(fd);
	}
}

/* ---- the program waits ---- */

static struct acceptor *acceptor_of(void *member, size_t offset)
{
	return (struct acceptor *)((char *)member - offset);
}

static void end(struct acceptor *acceptor)
{
	struct acceptor **link = &acceptors;
	held_end(&acceptor->held);
	watch_end(&acceptor->watch);
	timer_end(&acceptor->timer);
	while (*link != acceptor)
		link = &(*link)->next;
	*link = acceptor->next;
	if (acceptor->subject.fd >= 0)
		close(acceptor->subject.fd);
	free(acceptor);
}

static void gone(struct held *held)
{
	end(acceptor_of(held, offsetof(struct acceptor, held)));
}

static void ready(struct watch *watch, uint32_t events)
{
	struct acceptor *acceptor = acceptor_of(watch, offsetof(struct acceptor, watch));
	struct subject subject = acceptor->subject;
	struct call call = acceptor->held.call;
	(void)events;
	subject.call = &call;
	if (!call_is_there(&call) || try_accept(&subject))
		end(acceptor);
}

static void late(struct timer *timer)
{
	struct acceptor *acceptor = acceptor_of(timer, offsetof(struct acceptor, timer));
	call_answer(&acceptor->held.call, 0, EAGAIN); /* SO_RCVTIMEO */
	end(acceptor);
}

static void wait_for_client(struct subject *subject)
{
	struct acceptor *acceptor = calloc(1, sizeof *acceptor);
	int limit = options_time(&subject->watched->options, SO_RCVTIMEO);
	if (!acceptor) {
		fail(subject, ENOBUFS);
		return;
	}
	held_begin(&acceptor->held, subject->call, gone);
	acceptor->subject = *subject;
	acceptor->next = acceptors;
	acceptors = acceptor;
	subject->fd = -1;
	if (!watch_begin(&acceptor->watch, acceptor->subject.fd, EPOLLIN, ready)) {
		call_answer(&acceptor->held.call, 0, ENOBUFS);
		end(acceptor);
	} else if (limit) {
		timer_begin(&acceptor->timer, limit, late);
	}
}

void accept_cancel(const struct subject *subject, struct watched *others)
{
	pid_t process = task_process(subject->call->thread);
	for (struct acceptor *acceptor = acceptors, *next; acceptor; acceptor = next) {
		next = acceptor->next;
		if (acceptor->subject.watched != subject->watched)
			continue;
		if (others && task_process(acceptor->held.call.thread) != process) {
			acceptor->subject.watched = others;
		} else {
			call_answer(&acceptor->held.call, 0, EINVAL);
			end(acceptor);
		}
	}
}

void serve_accept(struct subject *subject)
{
	struct watched *watched = subject->watched;
	int flags = accept_flags(subject->call), error;
	if (!watched || watched->stage == STAGE_IP) {
		call_pass(subject->call); /* it is IP's: the kernel waits */
	} else if (flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) {
		fail(subject, EINVAL);
	} else if (watched->stage != STAGE_LISTENING) {
		fail(subject, watched->options.datagram ? EOPNOTSUPP : EINVAL);
	} else if ((error = call_take_back(subject->call)) >= 0) {
		answer(subject, error, 0);
	} else if (!try_accept(subject)) {
		if (was_beaten(subject))
			fail(subject, ECONNABORTED);
		else
			wait_for_client(subject);
	}
}
