/* SPDX-License-Identifier: MIT */
#include "dial.h"

#include "core/names.h"
#include "core/shim.h"
#include "system/clock.h"
#include "system/errno.h"
#include "system/log.h"
#include "transport_unix.h"

#include <poll.h>

static bool path_of(const struct rule *rule, const struct address *address, uint16_t port, char path[108])
{
	char host[NAME_TEXT];
	names_host_text(shim.map, address, host);
	if (rule_path(rule, host, port, path))
		return true;
	errno = ENAMETOOLONG;
	return false;
}

bool destination_of(
	const struct rule *rule, const struct address *address, uint16_t port, struct destination *to)
{
	char path[108];
	*to = (struct destination){.transport = transport_of(rule)};
	if (!target_has(rule, TARGET_HAS_PATH)) {
		to->endpoint = (struct endpoint){rule->target.cid, rule_port(rule, port)};
		to->transport->place(&to->endpoint, &to->place);
		return true;
	}
	if (!path_of(rule, address, port, path))
		return false;
	to->endpoint = (struct endpoint){CID_LOCAL, port};
	transport_unix_path(path, &to->place);
	if (rule->side == SIDE_CONNECT && target_has(rule, TARGET_GREETS)) {
		to->greeting = GREETING_FIRECRACKER;
		to->port = rule_port(rule, port);
	}
	return true;
}

static int bind_one(int fd, const struct transport *transport, const struct endpoint *peer,
	enum port_kind kind, uint16_t wanted, uint32_t *chosen)
{
	for (int i = 0; i < PORT_TRIES; i++) {
		uint32_t port = i == 0 && wanted ? ports_marked(wanted, kind) : ports_next(kind);
		if (transport->bind_client(fd, port, peer) == 0) {
			*chosen = port;
			return 0;
		}
		if (errno != EADDRINUSE)
			break;
	}
	return transport->bind_client(fd, PORT_ANY, peer);
}

int dial_bind(int fd, const struct transport *transport, const struct endpoint *peer, enum port_kind kind,
	uint16_t wanted, uint32_t *port)
{
	int saved = errno;
	if (transport->counter)
		ports_begin(transport->counter);
	if (bind_one(fd, transport, peer, kind, wanted, port) < 0)
		return fail(EADDRNOTAVAIL);
	errno = saved;
	return 0;
}

/* Whoever hangs up before the answer has refused; with the request unread it is a reset. */
static int refused(int error)
{
	return fail(error == 0 || error == ECONNRESET || error == EPIPE ? ECONNREFUSED : error);
}

static int request(int fd, const struct destination *to, struct greeting *greeting)
{
	char text[GREETING_REQUEST];
	size_t size = greeting_request(greeting, to->port, text);
	if (libc.send(fd, text, size, MSG_NOSIGNAL) != (ssize_t)size)
		return refused(errno);
	greeting->sent = true;
	return 0;
}

/* 0: the answer is whole; EAGAIN: not yet. */
static int take_answer(int fd, struct greeting *greeting)
{
	char bytes[GREETING_ANSWER], quoted[GREETING_ANSWER + 1];
	size_t taken;
	ssize_t got = libc.recv(fd, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);
	if (got <= 0)
		return got < 0 && errno == EAGAIN ? -1 : refused(got < 0 ? errno : 0);
	enum greeting_outcome outcome = greeting_take(greeting, bytes, (size_t)got, &taken);
	if (libc.recv(fd, bytes, taken, MSG_DONTWAIT) != (ssize_t)taken)
		return fail(ECONNREFUSED); /* somebody else reads here */
	if (outcome == GREETING_DONE)
		return 0;
	if (outcome == GREETING_MORE)
		return fail(EAGAIN);
	greeting_quote(greeting, quoted);
	log_error("expected \"OK\" and a number in answer to CONNECT, found \"", quoted,
		"\": is this the Unix socket of a virtual machine's vsock?");
	return fail(ECONNREFUSED);
}

int dial_greet(int fd, const struct destination *to, struct greeting *greeting, int64_t deadline, int gate)
{
	greeting->kind = to->greeting;
	if (!greeting->sent && request(fd, to, greeting) < 0)
		return -1;
	for (;;) {
		struct pollfd wait[] = {{.fd = fd, .events = POLLIN}, {.fd = gate}};
		int64_t left = deadline - now_ms();
		int ready = libc.poll(wait, 2, left > 0 ? (int)left : 0);
		if (ready < 0)
			return -1;
		if (wait[1].revents)
			return fail(ECANCELED);
		if (ready == 0)
			return fail(ETIMEDOUT);
		if (take_answer(fd, greeting) == 0)
			return 0;
		if (errno != EAGAIN)
			return -1;
	}
}

/* A Unix socket is writable while a quarter of its buffer at most waits to be read: unix_writable(), Linux
 * 4.14 to 6.18. Whoever closes with unread data resets its peer. */
int dial_stand_in(int flags, int *gate)
{
	enum { SENDS = 64 };
	static const char filling[1024];
	int pair[2], least = 0;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0, pair) < 0)
		return -1;
	libc.setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &least, sizeof least);
	for (int i = 0; i < SENDS; i++)
		if (libc.send(pair[0], filling, sizeof filling, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			break;
	*gate = pair[1];
	return pair[0];
}
