/* SPDX-License-Identifier: MIT */
#include "dial.h"

#include "core/names.h"
#include "core/shim.h"
#include "system/clock.h"
#include "system/errno.h"
#include "system/kernel.h"
#include "system/log.h"
#include "system/option.h"
#include "transport_door.h"
#include "transport_unix.h"
#include "vsock_local.h"

#include <poll.h>
#include <unistd.h>

static bool path_of(const struct rule *rule, const struct address *address, uint16_t port, char path[108])
{
	char host[NAME_TEXT];
	names_host_text(shim.map, address, host);
	if (rule_path(rule, host, port, path))
		return true;
	errno = ENAMETOOLONG;
	return false;
}

/* Where AF_VSOCK has no way to this machine, its own programs come and go by a door. */
static void set_place(struct destination *to)
{
	if (to->endpoint.cid == CID_LOCAL && to->transport == &transport_vsock && vsock_needs_door())
		to->transport = &transport_door;
	to->transport->place(&to->endpoint, &to->place);
}

bool destination_of(
	const struct rule *rule, const struct address *address, uint16_t port, struct destination *to)
{
	char path[108];
	*to = (struct destination){.transport = transport_of(rule),
		.greeting = target_greeting(rule),
		.rule = rule,
		.asked = *address};
	to->asked.port = port;
	if (!rule->target.path) {
		to->endpoint = (struct endpoint){rule->target.cid, rule_port(rule, port)};
		set_place(to);
		return true;
	}
	if (!path_of(rule, address, port, path))
		return false;
	to->endpoint = (struct endpoint){CID_LOCAL, port};
	transport_unix_path(path, &to->place);
	return true;
}

bool destination_to_connect(const struct rule *rule, const struct address *asked, struct destination *to)
{
	if (!destination_of(rule, asked, asked->port, to))
		return false;
	if (to->endpoint.cid == CID_ANY) {
		to->endpoint.cid = CID_LOCAL;
		set_place(to);
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

/* ---- greetings ---- */

int64_t dial_deadline(const struct destination *to)
{
	uint32_t limit = to->rule->timeout_ms;
	return now_ms() + (limit ? limit : greeting_patience(to->greeting));
}

/* `name` has the room for what wish->name may point to. */
static int wish_of(const struct destination *to, struct greeting_wish *wish, char name[NAME_TEXT])
{
	const struct rule *rule = to->rule;
	bool is_pattern = false;
	*wish = (struct greeting_wish){.kind = to->greeting,
		.port = to->asked.port,
		.address = to->asked,
		.login = rule->login,
		.login_length = rule->login_length};
	if (to->greeting == GREETING_FIRECRACKER)
		wish->port = rule_port(rule, to->asked.port);
	else if (names_host(shim.map, &to->asked, name, &is_pattern))
		wish->name = name;
	return is_pattern ? fail(EHOSTUNREACH) : 0; /* a glob's own address: no host */
}

/* Whoever hangs up before the answer has refused; with the request unread it is a reset. ENOTCONN: what the
 * end of a stream is before Linux 5.2. */
static int refused(int error)
{
	bool hung_up = error == 0 || error == ECONNRESET || error == EPIPE || error == ENOTCONN;
	return fail(hung_up ? ECONNREFUSED : error);
}

static int request(int fd, const struct greeting_wish *wish, struct greeting *greeting)
{
	char text[GREETING_REQUEST];
	size_t size = greeting_request(greeting, wish, text);
	if (libc.send(fd, text, size, MSG_NOSIGNAL) != (ssize_t)size)
		return refused(errno);
	greeting->sent = true;
	return 0;
}

static void log_answer(const struct greeting_wish *wish, const struct greeting *greeting)
{
	char quoted[GREETING_ANSWER + 1];
	const char *remedy = greeting_remedy(greeting, wish->kind, wish->login);
	greeting_quote(greeting, quoted);
	if (remedy)
		log_error(remedy);
	else if (wish->kind == GREETING_HTTP)
		log_connect("the proxy answered \"", quoted, "\"");
}

static void log_wrong(const struct greeting_wish *wish, const struct greeting *greeting)
{
	char quoted[GREETING_ANSWER + 1];
	greeting_quote(greeting, quoted);
	log_error("expected ", greeting_expected(wish->kind), ", found \"", quoted, "\"");
}

static bool can_peek(void)
{
	static _Atomic int known;
	return !kernel_was_before(&known, 5, 5);
}

/* What has come, without taking it. Before Linux 5.5 AF_VSOCK can't peek: a byte is taken then, if there is
 * one, and not by libc.recv(), which would find a connection of the program's here (socket/stream_end.h). */
static ssize_t look(int fd, char *bytes, size_t size, bool *taken)
{
	*taken = !can_peek();
	return *taken ? syscall(SYS_recvfrom, fd, bytes, 1, MSG_DONTWAIT, NULL, NULL)
		      : libc.recv(fd, bytes, size, MSG_PEEK | MSG_DONTWAIT);
}

/* 0: the greeting is over. EAGAIN: not yet, or greeting->sent has been taken back. */
static int take_answer(int fd, const struct greeting_wish *wish, struct greeting *greeting)
{
	char bytes[256];
	size_t taken;
	bool is_taken;
	ssize_t got = look(fd, bytes, sizeof bytes, &is_taken);
	if (got <= 0)
		return got < 0 && errno == EAGAIN ? -1 : refused(got < 0 ? errno : 0);
	enum greeting_outcome outcome = greeting_take(greeting, wish, bytes, (size_t)got, &taken);
	if (!is_taken && libc.recv(fd, bytes, taken, MSG_DONTWAIT) != (ssize_t)taken)
		return fail(ECONNREFUSED); /* somebody else reads here */
	switch (outcome) {
	case GREETING_DONE:
		return 0;
	case GREETING_REFUSED:
		log_answer(wish, greeting);
		return fail(greeting->error);
	case GREETING_WRONG:
		log_wrong(wish, greeting);
		return fail(greeting->error);
	default:
		return fail(EAGAIN);
	}
}

/* Is it connected? EAGAIN: not yet. */
static int connected(int fd, const struct destination *to)
{
	struct pollfd wait = {.fd = fd, .events = POLLOUT};
	if (libc.poll(&wait, 1, 0) < 1)
		return fail(EAGAIN);
	int error = take_socket_error(fd);
	return error ? fail(to->transport->connect_error(error)) : 0;
}

int dial_greet_on(int fd, const struct destination *to, struct greeting *greeting, short *events)
{
	char name[NAME_TEXT];
	struct greeting_wish wish;
	if (wish_of(to, &wish, name) < 0)
		return -1;
	for (;;) {
		*events = greeting->sent ? POLLIN : POLLOUT;
		if (!greeting->sent && (connected(fd, to) < 0 || request(fd, &wish, greeting) < 0))
			return -1;
		*events = POLLIN;
		if (take_answer(fd, &wish, greeting) == 0)
			return 0;
		if (errno != EAGAIN || greeting->sent)
			return -1;
	}
}

int dial_greet(int fd, const struct destination *to, struct greeting *greeting, int64_t deadline, int gate)
{
	short events;
	while (dial_greet_on(fd, to, greeting, &events) < 0) {
		if (errno != EAGAIN)
			return -1;
		struct pollfd wait[] = {{.fd = fd, .events = events}, {.fd = gate}};
		int64_t left = deadline - now_ms();
		int ready = libc.poll(wait, 2, left > 0 ? (int)left : 0);
		if (ready < 0)
			return -1;
		if (wait[1].revents)
			return fail(ECANCELED);
		if (ready == 0)
			return fail(ETIMEDOUT);
	}
	return 0;
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
