/* SPDX-License-Identifier: MIT */
/* connect(): an attempt is made on a fresh socket, which takes the program's socket's place when it has come
 * far enough: about to connect or connected, if the program waits, under way, if it doesn't. A blocking
 * connect() that fails leaves no trace, or a socket that is as new as the old one. */
#include "attempt.h"
#include "core/verdict.h"
#include "system/clock.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stddef.h>

static void let_go(void *sock)
{
	fd_release(sock);
}

/* A connect() that reports how an attempt has failed leaves the socket as new, except for a port that the
 * program chose. */
static int start_over(int fd, struct sock *sock, int error)
{
	enum sock_state before = state_of(sock);
	set_state(sock, STATE_FAILED);
	if (stream_to_ip(fd, sock) < 0 && before == STATE_BOUND)
		set_state(sock, before);
	return fail(error);
}

static int attempt_alone(
	int fd, struct sock *sock, const struct rule *rule, const struct address *asked, uint32_t scope)
{
	struct attempt attempt;
	int flags = swap_flags(fd);
	if (flags < 0 || !attempt_begin(&attempt, fd, sock, rule, asked, scope))
		return -1;
	if (sock->claim.bound && state_of(sock) == STATE_IP &&
		!sock->claim.name.port) { /* bound to port 0: the kernel chose one */
		struct address name;
		if (stream_bound_to(fd, sock, &name))
			sock->claim.name = name;
	}
	int result = attempt_make(&attempt, flags);
	int outcome = result < 0 ? errno : 0;
	stream_log("connect", asked, rule, &attempt.to.endpoint,
		outcome == EINPROGRESS ? "under way"
		: outcome	       ? log_errno(outcome)
				       : "connected");
	if (!attempt_has_come_to(&attempt)) {
		if (attempt.placed) {
			attempt_take_back(&attempt);
			return fail(outcome);
		}
		if (!sock->claim.any_port)
			return fail(outcome);
		sock->peer = attempt.to.endpoint;
		sock->asked = *asked;
		return start_over(fd, sock, outcome);
	}

	if (attempt_hand_over(&attempt, flags, outcome) < 0)
		return -1;
	return outcome ? fail(outcome) : 0;
}

/* connect() on a socket whose connection is under way. */
static int connect_again(int fd, struct sock *sock)
{
	int error = stream_take_error(fd, sock);
	if (error)
		return start_over(fd, sock, error);
	if (stream_settle(fd, sock) == STATE_CONNECTED) {
		sock->report.connected = false;
		return 0;
	}
	int flags = libc.fcntl(fd, F_GETFL, NULL);
	if (flags < 0)
		return -1;
	if (flags & O_NONBLOCK)
		return fail(EALREADY);
	int limit = options_time(&sock->options, SO_SNDTIMEO);
	int result;
	do {
		int ready = CANCEL_HERE(stream_await_writable(fd, sock, limit), let_go, sock);
		if (ready > 0)
			error = stream_take_error(fd, sock);
		result = ready > 0 ? (error ? fail(error) : 0) : ready < 0 ? -1 : fail(EINPROGRESS);
	} while (result < 0 && errno == EINTR && attempt_handlers_restart());
	if (result == 0)
		set_state(sock, STATE_CONNECTED);
	else if (errno != EINTR && errno != EINPROGRESS)
		return start_over(fd, sock, errno);
	return result;
}

/* Another thread connects this socket: a call that waits gets what comes of that, as from the kernel. */
static int connect_beside(int fd, struct sock *sock)
{
	enum { NAP_MS = 2 };
	int limit = options_time(&sock->options, SO_SNDTIMEO), flags = libc.fcntl(fd, F_GETFL, NULL);
	int64_t until = limit ? now_ms() + limit : INT64_MAX;
	if (flags < 0)
		return -1;
	if (flags & O_NONBLOCK ||
		sock->attempting == (uintptr_t)pthread_self()) /* that a handler interrupted */
		return fail(EALREADY);
	while (sock->attempting) {
		if (now_ms() >= until)
			return fail(EALREADY);
		if (CANCEL_HERE(libc.poll(NULL, 0, NAP_MS), let_go, sock) < 0 && !attempt_handlers_restart())
			return fail(EINTR);
	}
	if (state_of(sock) == STATE_CONNECTING)
		return connect_again(fd, sock);
	return state_of(sock) == STATE_CONNECTED ? 0 : fail(ECONNABORTED);
}

static int connect_mapped(
	int fd, struct sock *sock, const struct rule *rule, const struct address *asked, uint32_t scope)
{
	uintptr_t nobody = 0;
	if (!atomic_compare_exchange_strong(&sock->attempting, &nobody, (uintptr_t)pthread_self()))
		return connect_beside(fd, sock);
	/* It may have been connected since its state was looked at. */
	enum sock_state state = state_of(sock);
	bool is_new = state != STATE_CONNECTED && state != STATE_CONNECTING && state != STATE_LISTENING;
	int result = is_new ? attempt_alone(fd, sock, rule, asked, scope) : 0;
	sock->attempting = 0;
	if (state == STATE_CONNECTING)
		return connect_again(fd, sock);
	return is_new ? result : fail(EISCONN);
}

int stream_wrong_address(const struct sock *sock, const struct sockaddr *address, socklen_t length)
{
	socklen_t least = sock->family == AF_INET6 ? offsetof(struct sockaddr_in6, sin6_scope_id)
						   : sizeof(struct sockaddr_in);
	if (!address)
		return EFAULT;
	if (length < least)
		return EINVAL;
	return address->sa_family == sock->family ? 0 : EAFNOSUPPORT;
}

struct kept {
	int fd;
	struct sock *sock;
};

static void let_kept_go(void *context)
{
	struct kept *kept = context;
	close_quietly(kept->fd);
	if (kept->sock)
		fd_release(kept->sock);
}

static int connect_kept(int fd, struct kept *kept, const struct sockaddr *address, socklen_t length)
{
	return CANCEL_HERE(libc.connect(fd, address, length), let_kept_go, kept);
}

/* Another thread may put another socket on the number at any time: a duplicate is judged, and that is
 * connected. */
bool stream_connect_itself(int fd, struct sock *sock, bool (*judge)(int fd, const struct sock *sock),
	const struct sockaddr *address, socklen_t length, int *result)
{
	int saved = errno;
	struct kept kept = {libc.fcntl(fd, F_DUPFD_CLOEXEC, NULL), sock};
	int itself = kept.fd < 0 ? fd : kept.fd; /* there may be no fd left */
	errno = saved;
	bool right = judge(itself, sock);
	if (right)
		*result = connect_kept(itself, &kept, address, length);
	close_quietly(kept.fd);
	return right;
}

static bool is_of_family(int fd, const struct sock *sock)
{
	return int_option(fd, SO_DOMAIN) == sock->family;
}

/* An INET socket that has been used may be replaced once it is unconnected again. */
static bool is_open_in_tcp(int fd, const struct sock *sock)
{
	(void)sock;
	struct tcp_info info = {.tcpi_state = TCP_CLOSE};
	socklen_t length = sizeof info.tcpi_state;
	return libc.getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) == 0 &&
	       info.tcpi_state != TCP_CLOSE;
}

static int connect_over_ip(int fd, struct sock *sock, const struct sockaddr *address, socklen_t length)
{
	return CANCEL_HERE(libc.connect(fd, address, length), let_go, sock);
}

static void forget(int fd, void *context)
{
	(void)context;
	fd_forget(fd);
}

/* IP has it from here on, and its calls cost no more than any other fd's. Should it come back (AF_UNSPEC,
 * then a mapped address), the kernel knows what it is, as of one that was inherited. */
int stream_leave_to_ip(int fd, struct sock *sock, const struct sockaddr *address, socklen_t length)
{
	if (atomic_load(&sock->references) > 2) /* this fd, and the call that is under way */
		fd_each(sock, forget, NULL);
	else
		fd_forget(fd);
	return connect_over_ip(fd, sock, address, length);
}

int stream_connect(int fd, struct sock *sock, const struct sockaddr *address, socklen_t length)
{
	enum sock_state state = state_of(sock);
	if (length < sizeof address->sa_family || length > sizeof(struct sockaddr_storage))
		return fail(EINVAL);
	if (address && address->sa_family == AF_UNSPEC)
		return state == STATE_IP ? libc.connect(fd, address, length) : stream_to_ip(fd, sock);
	if (state == STATE_CONNECTING && sock->attempting)
		return stream_settle(fd, sock) == STATE_CONNECTED ? fail(EISCONN) : connect_beside(fd, sock);
	if (state == STATE_CONNECTING && sock->orphaned && stream_settle(fd, sock) != STATE_CONNECTED) {
		set_state(sock, STATE_FAILED); /* it makes one of its own: the end of that isn't seen here */
		if (stream_to_ip(fd, sock) < 0)
			return -1;
		state = state_of(sock);
	}
	if (state == STATE_CONNECTING)
		return connect_again(fd, sock);
	if (sock->report.aborted) { /* the kernel's word for "it had failed, and you know" */
		sock->report.aborted = false;
		return state == STATE_BOUND ? fail(ECONNABORTED) : start_over(fd, sock, ECONNABORTED);
	}
	if (state == STATE_CONNECTED && sock->report.connected) {
		sock->report.connected = false;
		return 0;
	}
	if (state == STATE_CONNECTED || state == STATE_LISTENING)
		return fail(EISCONN);

	struct address asked;
	int wrong = stream_wrong_address(sock, address, length);
	int result;
	if (wrong && state == STATE_IP &&
		stream_connect_itself(fd, sock, is_of_family, address, length, &result))
		return result;
	if (wrong)
		return fail(wrong);
	address_from_sockaddr(&asked, address, length);
	if (address_is_wildcard(&asked) && sock->claim.bound && address_is_ipv4(&sock->claim.name))
		asked = address_ipv4(INADDR_ANY, asked.port); /* as tcp_v6_connect() */
	const struct verdict verdict = verdict_of(shim.map, SIDE_CONNECT, SOCKET_STREAM, &asked);
	asked = verdict.address;
	if (state == STATE_IP && sock->used &&
		stream_connect_itself(fd, sock, is_open_in_tcp, address, length, &result))
		return result; /* EISCONN, EALREADY, or what came of it */
	if (verdict.kind == VERDICT_RESERVED)
		return stream_unreachable(&asked);
	if (verdict.kind == VERDICT_IP) {
		if (state != STATE_IP && stream_to_ip(fd, sock) < 0)
			return -1;
		stream_log("connect", &asked, NULL, NULL,
			verdict.rule ? "direct, left to IP" : "no rule, left to IP");
		return stream_leave_to_ip(fd, sock, address, length);
	}
	if (sock->family == AF_INET6 && address_is_ipv4(&asked) &&
		options_int(&sock->options, IPPROTO_IPV6, IPV6_V6ONLY, 0))
		return fail(ENETUNREACH);
	if (verdict.kind == VERDICT_REFUSED) {
		stream_log("connect", &asked, verdict.rule, NULL, "refused");
		return fail(verdict.error);
	}
	uint32_t scope = sock->family == AF_INET6 && length >= sizeof(struct sockaddr_in6)
				 ? ((const struct sockaddr_in6 *)address)->sin6_scope_id
				 : 0;
	return connect_mapped(fd, sock, verdict.rule, &asked, scope);
}
