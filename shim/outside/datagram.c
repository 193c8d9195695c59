/* SPDX-License-Identifier: MIT */
/* The map's name server, and UDP. A program that asks a name server for which the map stands in gets one end
 * of a socket pair in place of its socket. The supervisor has the other end, reads queries from it, and
 * writes the answers (core/dns.h), so the program's data calls need no help. Datagrams to the reserved ranges
 * aren't sent, and everything else is left to IP. */
#include "serve.h"

#include "core/dns.h"
#include "core/verdict.h"
#include "transport/ports.h"

#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { QUERY = 1024, LENGTH = 2 };

struct server {
	struct server *next, **link; /* leak checkers don't see the pointers that epoll holds */
	struct watch watch;
	bool datagram;
	size_t have; /* bytes of a query that comes in pieces */
	uint8_t bytes[LENGTH + UINT16_MAX];
};
static struct server *servers;

static struct server *server_new(bool datagram)
{
	struct server *server = calloc(1, sizeof *server);
	if (!server)
		return NULL;
	server->next = servers;
	server->link = &servers;
	server->datagram = datagram;
	if (servers)
		servers->link = &server->next;
	servers = server;
	return server;
}

static void server_free(struct server *server)
{
	*server->link = server->next;
	if (server->next)
		server->next->link = server->link;
	free(server);
}

static size_t answer_to(const uint8_t *query, size_t size, uint8_t reply[DNS_ANSWER])
{
	char own[HOST_NAME_MAX + 1] = "";
	gethostname(own, sizeof own - 1);
	return dns_answer(shim.map, own, query, size < QUERY ? size : QUERY, reply);
}

static void put(int fd, const void *bytes, size_t size)
{
	ssize_t sent = libc.send(fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	(void)sent; /* if too many answers are waiting already, this one is lost, as in UDP */
}

/* Answers each query that is now complete; each has its length before it, as over TCP. */
static void answer_stream(struct server *server)
{
	uint8_t reply[LENGTH + DNS_ANSWER];
	while (server->have >= LENGTH) {
		size_t size = (size_t)(server->bytes[0] << 8 | server->bytes[1]), whole = LENGTH + size;
		if (server->have < whole)
			return;
		size_t length = answer_to(server->bytes + LENGTH, size, reply + LENGTH);
		reply[0] = (uint8_t)(length >> 8);
		reply[1] = (uint8_t)length;
		if (length)
			put(server->watch.fd, reply, LENGTH + length);
		server->have -= whole;
		memmove(server->bytes, server->bytes + whole, server->have);
	}
}

static void serve(struct watch *watch, uint32_t events)
{
	struct server *server = (struct server *)((char *)watch - offsetof(struct server, watch));
	uint8_t reply[DNS_ANSWER];
	(void)events;
	ssize_t got = libc.recv(
		watch->fd, server->bytes + server->have, sizeof server->bytes - server->have, MSG_DONTWAIT);
	if (got < 0 && errno == EAGAIN)
		return;
	if (got <= 0) { /* the program has closed it */
		watch_end(watch);
		close(watch->fd);
		server_free(server);
		return;
	}
	if (server->datagram) {
		size_t length = answer_to(server->bytes, (size_t)got, reply);
		if (length)
			put(watch->fd, reply, length);
		return;
	}
	server->have += (size_t)got;
	answer_stream(server);
}

/* SOCK_SEQPACKET keeps the boundaries of datagrams, and has an end. */
int nameserver_open(bool datagram, int flags)
{
	int pair[2];
	int type = (datagram ? SOCK_SEQPACKET : SOCK_STREAM) | SOCK_CLOEXEC;
	if (socketpair(AF_UNIX, type, 0, pair) < 0)
		return -1;
	struct server *server = server_new(datagram);
	libc.fcntl(pair[0], F_SETFL, (void *)(long)(O_RDWR | (flags & SOCK_NONBLOCK ? O_NONBLOCK : 0)));
	if (server && watch_begin(&server->watch, pair[1], EPOLLIN | EPOLLRDHUP, serve))
		return pair[0];
	int error = errno;
	close(pair[0]);
	close(pair[1]);
	if (server)
		server_free(server);
	errno = error;
	return -1;
}

static int replace(struct subject *subject, const struct rule *rule, const struct address *asked, int flags)
{
	struct watched *watched = subject->watched;
	struct address name;
	int fresh = nameserver_open(true, flags & O_NONBLOCK ? SOCK_NONBLOCK : 0);
	if (fresh < 0)
		return errno;
	if (!bound_address(subject->fd, watched, &name))
		name = (struct address){.port = 0};
	watched->bound = name.port != 0;
	if (!name.port)
		name.port = ports_next(ports_kind(asked));
	options_apply(&watched->options, fresh, 0);
	int error = subject_replace(subject, fresh, flags & O_CLOEXEC);
	if (error) {
		close(fresh);
		return error;
	}
	close(subject->fd);
	subject->fd = fresh;
	watched->name = name;
	watched->rule = rule;
	watched->transport = &transport_names;
	watched->peer = (struct endpoint){CID_LOCAL, asked->port};
	watched->local = (struct endpoint){CID_LOCAL, name.port};
	watched->stage = STAGE_BOUND;
	return 0;
}

int nameserver_replace(
	struct subject *subject, const struct rule *rule, const struct address *asked, uint32_t scope)
{
	struct watched *watched = subject->watched;
	bool fresh = watched->stage == STAGE_IP;
	if (fresh) {
		int flags = subject_flags(subject);
		int error = flags < 0 ? -1 : replace(subject, rule, asked, flags);
		if (error)
			return error;
	}
	if (fresh || memcmp(&watched->asked, asked, sizeof *asked) != 0)
		report("ask", asked, rule, NULL, "answered from the map");
	watched->asked = *asked;
	watched->scope = scope;
	return 0;
}

/* ---- sendto() and recvfrom() with an address ---- */

/* What the program sends to the name server is written at its own end. */
static void ask(
	struct subject *subject, const struct rule *rule, const struct address *server, uint32_t scope)
{
	static uint8_t query[QUERY];
	uint64_t size = argument(subject, 2);
	size_t looked_at = size < QUERY ? (size_t)size : QUERY;
	if (!subject_read(subject, argument(subject, 1), query, looked_at))
		return;
	int error = nameserver_replace(subject, rule, server, scope);
	if (error == ENOENT)
		subject->call->id = 0;
	if (!error)
		put(subject->fd, query, looked_at);
	if (error >= 0)
		answer(subject, (int64_t)size, error);
}

static void send_datagram(
	struct subject *subject, const struct sockaddr_storage *address, const struct address *to)
{
	const struct verdict verdict = verdict_of(shim.map, SIDE_CONNECT, SOCKET_DATAGRAM, to);
	if (verdict.kind == VERDICT_NAMES) {
		bool six = address->ss_family == AF_INET6;
		ask(subject, verdict.rule, to,
			six ? ((const struct sockaddr_in6 *)address)->sin6_scope_id : 0);
	} else if (verdict.kind == VERDICT_RESERVED) {
		report_unreachable(to, true);
		fail(subject, verdict.error);
	} else {
		int error = subject->watched->stage == STAGE_IP ? 0 : subject_to_ip(subject);
		if (error)
			fail(subject, error);
		else
			call_pass(subject->call);
	}
}

void serve_sendto(struct subject *subject)
{
	struct sockaddr_storage address;
	socklen_t length;
	struct address to;
	int error;
	struct watched *watched = subject_know(subject, &error);
	if (error) {
		fail(subject, error);
	} else if (!watched) {
		call_pass(subject->call);
	} else if (!watched->options.datagram) {
		if (argument(subject, 3) & MSG_FASTOPEN && watched->stage == STAGE_IP)
			fail(subject, EOPNOTSUPP); /* filter.c */
		else
			call_pass(subject->call); /* TCP ignores the address */
	} else if (subject_read_address(
			   subject, argument(subject, 4), argument(subject, 5), &address, &length)) {
		if (address_from_sockaddr(&to, (struct sockaddr *)&address, length)) {
			address_wildcard_to_loopback(&to);
			send_datagram(subject, &address, &to);
		} else {
			call_pass(subject->call);
		}
	}
}

/* A recvfrom() that waits for an answer. */
struct reader {
	struct held held;
	struct watch watch;
	struct timer timer;
	struct subject subject; /* without its call */
};

static void end_reader(struct reader *reader)
{
	held_end(&reader->held);
	watch_end(&reader->watch);
	timer_end(&reader->timer);
	close(reader->subject.fd);
	free(reader);
}

/* false: nothing has come. */
static bool receive(struct subject *subject)
{
	const struct watched *watched = watched_find(subject->inode, subject->number);
	uint8_t reply[DNS_ANSWER];
	int flags = (int)argument(subject, 3) & (MSG_PEEK | MSG_TRUNC);
	ssize_t got = libc.recv(subject->fd, reply, sizeof reply, MSG_DONTWAIT | flags);
	if (got < 0 && errno == EAGAIN)
		return false;
	int error = got < 0 ? errno : 0;
	if (!watched) /* it was closed while this call waited */
		error = EBADF;
	uint64_t room = argument(subject, 2);
	size_t size = got > 0 && (size_t)got < sizeof reply ? (size_t)got : 0;
	if (size > room)
		size = (size_t)room;
	if (!error)
		error = call_write(subject->call, argument(subject, 1), reply, size);
	if (!error)
		error = subject_return_address(subject, watched->family, &watched->asked, watched->scope,
			argument(subject, 4), argument(subject, 5));
	answer(subject, flags & MSG_TRUNC ? got : (int64_t)size, error);
	return true;
}

static void reader_ready(struct watch *watch, uint32_t events)
{
	struct reader *reader = (struct reader *)((char *)watch - offsetof(struct reader, watch));
	struct call call = reader->held.call;
	(void)events;
	reader->subject.call = &call;
	if (!call_is_there(&call) || receive(&reader->subject))
		end_reader(reader);
}

static void reader_late(struct timer *timer)
{
	struct reader *reader = (struct reader *)((char *)timer - offsetof(struct reader, timer));
	call_answer(&reader->held.call, 0, EAGAIN);
	end_reader(reader);
}

static void reader_gone(struct held *held)
{
	end_reader((struct reader *)((char *)held - offsetof(struct reader, held)));
}

static void wait_for_answer(struct subject *subject)
{
	struct reader *reader = calloc(1, sizeof *reader);
	int limit = options_time(&subject->watched->options, SO_RCVTIMEO);
	if (!reader) {
		fail(subject, ENOBUFS);
		return;
	}
	held_begin(&reader->held, subject->call, reader_gone);
	reader->subject = *subject;
	subject->fd = -1;
	if (!watch_begin(&reader->watch, reader->subject.fd, EPOLLIN, reader_ready)) {
		call_answer(&reader->held.call, 0, ENOBUFS);
		end_reader(reader);
	} else if (limit) {
		timer_begin(&reader->timer, limit, reader_late);
	}
}

void serve_recvfrom(struct subject *subject)
{
	const struct watched *watched = subject->watched;
	if (!watched || !is_nameserver(watched) || !watched->options.datagram || watched->stage == STAGE_IP) {
		call_pass(subject->call);
	} else if (!receive(subject)) {
		bool waits = !(argument(subject, 3) & MSG_DONTWAIT) &&
			     !(libc.fcntl(subject->fd, F_GETFL, NULL) & O_NONBLOCK);
		if (waits)
			wait_for_answer(subject);
		else
			fail(subject, EAGAIN);
	}
}
