/* SPDX-License-Identifier: MIT */
/* connect(): an attempt is made on a fresh socket, which takes the program's socket's place when it has come
 * far enough: connected, if the program waits, under way, if it doesn't. A blocking connect() that fails
 * leaves no trace. */
#include "stream_internal.h"

#include "core/verdict.h"
#include "system/clock.h"
#include "transport/transport_unix.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/timerfd.h>
#include <unistd.h>

struct attempt {
	int fd;
	struct sock *sock;
	const struct rule *rule;
	const struct transport *transport;
	struct place place;
	struct endpoint local, peer;
	struct address asked;
	pid_t process; /* that makes it */
	int fresh;     /* the socket that is to take the place of the program's; -1: none */
	int refused;   /* how it ended at once, to be told later */
	bool in_place; /* the fresh socket is a dup of the program's */
};

enum { KERNEL_TIMEOUT_MS = 2000 }; /* VSOCK_DEFAULT_CONNECT_TIMEOUT, Linux 4.8 to 6.18 */

/* The port that both ends will see: the program's choice, else one of ours, else the transport's, of 32 bits.
 */
static bool choose_port(struct attempt *attempt)
{
	const struct sock *sock = attempt->sock;
	int saved = errno, result = -1;
	if (attempt->transport->turn)
		ports_place(attempt->transport->turn);
	for (int i = 0; i < PORT_TRIES; i++) {
		uint32_t port =
			i == 0 && sock->claim.bound && sock->claim.name.port
				? sock->claim.name.port
				: ports_next(address_is_ipv4(&attempt->asked) ? PORT_OF_IPV4 : PORT_OF_IPV6);
		result = attempt->transport->bind_client(attempt->fresh, port, &attempt->peer);
		if (result == 0)
			attempt->local.port = port;
		if (result == 0 || errno != EADDRINUSE)
			break;
	}
	if (result < 0)
		result = attempt->transport->bind_client(attempt->fresh, PORT_ANY, &attempt->peer);
	errno = result < 0 ? EADDRNOTAVAIL : saved;
	return result == 0;
}

/* A socket that bind() has given a place on our transport connects from there, and keeps it if that fails. */
static void from_its_place(struct attempt *attempt, int flags)
{
	attempt->fresh = fd_dup(attempt->fd, attempt->sock);
	if (attempt->fresh >= 0 && flags & SOCK_NONBLOCK)
		libc.fcntl(attempt->fresh, F_SETFL, (void *)(long)(O_RDWR | O_NONBLOCK));
	attempt->local = attempt->sock->local;
	attempt->in_place = true;
}

static void from_a_new_one(struct attempt *attempt, int flags)
{
	attempt->fresh = attempt->transport->open(flags, attempt->rule->buffer);
	if (attempt->fresh < 0)
		return;
	options_apply(&attempt->sock->options, attempt->fresh, attempt->rule->buffer);
	attempt->local = (struct endpoint){CID_ANY, PORT_ANY};
	if (!choose_port(attempt)) {
		close_quietly(attempt->fresh);
		attempt->fresh = -1;
	}
}

static bool open_client(struct attempt *attempt, int flags)
{
	if (state_of(attempt->sock) == STATE_BOUND && attempt->sock->transport == attempt->transport)
		from_its_place(attempt, flags);
	else
		from_a_new_one(attempt, flags);
	atomic_store(&attempt->sock->fresh, attempt->fresh);
	return attempt->fresh >= 0;
}

/* The child of a fork() in a signal handler has closed it already, and its number may be another file's. */
static void discard(struct attempt *attempt)
{
	int fresh = attempt->fresh;
	attempt->fresh = -1;
	atomic_store(&attempt->sock->fresh, -1);
	if (fresh >= 0 && attempt->process == fd_process())
		close_quietly(fresh);
}

/* The thread is cancelled while it waits, or jumps out. A second jump may come on the way. */
static void abandon(void *held)
{
	struct attempt *attempt = held;
	struct sock *sock = attempt->sock;
	if (!sock)
		return;
	discard(attempt);
	attempt->sock = NULL;
	sock->attempting = false;
	fd_release(sock);
}

static void let_go(void *sock)
{
	fd_release(sock);
}

static int clear_nonblocking(int fd)
{
	int flags = libc.fcntl(fd, F_GETFL, NULL);
	return flags < 0 ? -1 : libc.fcntl(fd, F_SETFL, (void *)(long)(flags & ~O_NONBLOCK));
}

static int take_error(int fd)
{
	int error = 0;
	socklen_t length = sizeof error;
	return libc.getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0 ? errno : error;
}

/* What became of an attempt that poll() was asked for: 0, or -1 with its errno; EINPROGRESS: nothing yet. */
static int ended(int fd, const struct transport *transport, int ready)
{
	if (ready < 0)
		return -1;
	if (ready == 0)
		return fail(EINPROGRESS);
	int error = take_error(fd);
	return error ? fail(transport->connect_error(error)) : 0;
}

static bool is_of_a_crash(int signal)
{
	return signal == SIGSEGV || signal == SIGBUS || signal == SIGFPE || signal == SIGILL ||
	       signal == SIGTRAP || signal == SIGSYS || signal == SIGABRT;
}

/* Would the kernel go on after the signal that has just been handled? It doesn't say which one it was, so all
 * handlers must agree; one without SA_RESTART is there to interrupt something. */
static bool handlers_restart(void)
{
	struct sigaction action;
	for (int number = 1; number < NSIG; number++)
		if (!is_of_a_crash(number) && sigaction(number, NULL, &action) == 0 &&
			action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN &&
			!(action.sa_flags & SA_RESTART))
			return false;
	return true;
}

/* Starts an attempt on a non-blocking socket. 0: connected already; EINPROGRESS; anything else: no socket is
 * left. */
static int start(struct attempt *attempt)
{
	if (!open_client(attempt, SOCK_CLOEXEC | SOCK_NONBLOCK))
		return -1;
	int result = attempt->transport->connect(attempt->fresh, &attempt->place, attempt->rule->timeout_ms);
	if (result < 0 && errno != EINPROGRESS)
		discard(attempt);
	return result;
}

/* Waits limit_ms for a program that blocks, and then lets the attempt go on without it, as TCP does:
 * EINPROGRESS, or EINTR, with a socket. */
static int start_and_wait(struct attempt *attempt, int limit_ms)
{
	int result = start(attempt);
	if (attempt->fresh < 0)
		return -1;
	while (result < 0 && errno == EINPROGRESS && limit_ms) {
		struct pollfd wait = {.fd = attempt->fresh, .events = POLLOUT};
		int ready = CANCEL_HERE(libc.poll(&wait, 1, limit_ms), abandon, attempt);
		result = ended(attempt->fresh, attempt->transport, ready);
		if (result == 0 || errno != EINTR || !handlers_restart())
			break;
		errno = EINPROGRESS;
	}
	int outcome = result < 0 ? errno : 0;
	bool goes_on = outcome == 0 || outcome == EINPROGRESS || outcome == EINTR;
	if (goes_on && clear_nonblocking(attempt->fresh) < 0) {
		outcome = errno;
		goes_on = false;
	}
	if (!goes_on)
		discard(attempt);
	return outcome ? fail(outcome) : 0;
}

/* A non-blocking attempt that has failed at once looks as if it had failed a moment later. */
static int fail_later(struct attempt *attempt, int flags)
{
	attempt->refused = errno;
	attempt->fresh = transport_unix_refused(flags);
	if (attempt->fresh >= 0)
		options_apply(&attempt->sock->options, attempt->fresh, attempt->rule->buffer);
	return fail(attempt->fresh < 0 ? attempt->refused : EINPROGRESS);
}

/* The program waits no longer; a last attempt goes on without it. */
static int give_up_waiting(struct attempt *attempt, int error)
{
	if (start_and_wait(attempt, 0) < 0 && attempt->fresh < 0)
		fail_later(attempt, SOCK_CLOEXEC);
	return fail(error);
}

/* AF_VSOCK gives an attempt up at a signal: it is made again, within the time of one attempt, or left to
 * itself. */
static int attempt_once(struct attempt *attempt, int flags)
{
	int send_limit = options_time(&attempt->sock->options, SO_SNDTIMEO);
	uint32_t limit = attempt->rule->timeout_ms;
	int64_t deadline = 0;
	if (send_limit)
		return start_and_wait(attempt, send_limit);
	for (;;) {
		if (!open_client(attempt, flags))
			return -1;
		if (CANCEL_HERE(attempt->transport->connect(attempt->fresh, &attempt->place, limit), abandon,
			    attempt) == 0)
			return 0;
		discard(attempt);
		if (errno != EINTR)
			return -1;
		if (!handlers_restart())
			return give_up_waiting(attempt, EINTR);
		int64_t now = now_ms();
		if (!deadline)
			deadline = now + (limit ? limit : KERNEL_TIMEOUT_MS);
		if (now >= deadline)
			return fail(ETIMEDOUT);
		limit = (uint32_t)(deadline - now);
	}
}

/* Sleeps so that a signal does to it what it would do to connect(): a read() goes on after a handler with
 * SA_RESTART, and ends with EINTR after one without. */
static int pause_for(struct attempt *attempt, int64_t ms)
{
	struct itimerspec once = {.it_value = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}};
	uint64_t expirations;
	attempt->fresh = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC); /* in its stead until then */
	atomic_store(&attempt->sock->fresh, attempt->fresh);
	ssize_t got = -1;
	if (attempt->fresh >= 0 && timerfd_settime(attempt->fresh, 0, &once, NULL) == 0)
		got = CANCEL_HERE(
			libc.read(attempt->fresh, &expirations, sizeof expirations), abandon, attempt);
	discard(attempt);
	return got < 0 ? -1 : 0;
}

static bool nobody_there(int error)
{
	return error == ECONNREFUSED || error == ETIMEDOUT || error == EHOSTUNREACH || error == ENETUNREACH;
}

/* The blocking connect(), with a rule's `retry`. Leaves a fresh socket to put in place: connected (0), or
 * under way (-1 with EINTR or EINPROGRESS); else -1 and no socket. */
static int attempt_blocking(struct attempt *attempt, int flags)
{
	struct sock *sock = attempt->sock;
	uint32_t retry = attempt->rule->retry_ms;
	uint32_t send_limit = (uint32_t)options_time(&sock->options, SO_SNDTIMEO);
	int64_t began = retry ? now_ms() : 0, until = began + retry, pause = 10;
	for (;;) {
		int result = attempt_once(attempt, flags);
		if (result == 0 || attempt->fresh >= 0 || !retry || !nobody_there(errno) ||
			now_ms() + pause > until)
			return result;
		if (sock->cancelled)
			return fail(ECONNRESET);
		if (pause_for(attempt, pause) < 0 && errno == EINTR)
			return give_up_waiting(attempt, EINTR);
		if (send_limit && now_ms() - began >= send_limit)
			return give_up_waiting(attempt, EINPROGRESS);
		pause = pause < 500 ? pause * 2 : 1000;
	}
}

/* The non-blocking one. As with TCP on loopback, every end that comes at once is shown as EINPROGRESS first.
 */
static int attempt_nonblocking(struct attempt *attempt)
{
	int result = start(attempt);
	if (result == 0)
		return fail(EINPROGRESS);
	if (errno == ECONNREFUSED || errno == ETIMEDOUT)
		return fail_later(attempt, SOCK_CLOEXEC | SOCK_NONBLOCK);
	return -1;
}

/* A connect() that tells how an attempt has failed leaves the socket as new, but for a port of the program's
 * choice. */
static int start_over(int fd, struct sock *sock, int error)
{
	enum sock_state before = state_of(sock);
	set_state(sock, STATE_FAILED);
	if (stream_to_ip(fd, sock) < 0 && before == STATE_BOUND)
		set_state(sock, before);
	return fail(error);
}

static int connect_mapped(
	int fd, struct sock *sock, const struct rule *rule, const struct address *asked, uint32_t scope)
{
	struct attempt attempt = {.fd = fd,
		.sock = sock,
		.rule = rule,
		.transport = transport_of(rule),
		.asked = *asked,
		.process = fd_process(),
		.fresh = -1};
	int flags = swap_flags(fd);
	if (flags < 0 || !stream_place(rule, asked, asked->port, &attempt.place, &attempt.peer))
		return -1;
	if (attempt.peer.cid == CID_ANY) { /* a listener of this machine, by its name */
		attempt.peer.cid = CID_LOCAL;
		attempt.transport->place(&attempt.peer, &attempt.place);
	}
	if (sock->claim.bound && state_of(sock) == STATE_IP &&
		!sock->claim.name.port) { /* bound to port 0: the kernel chose one */
		struct address name;
		if (stream_bound_to(fd, sock, &name))
			sock->claim.name = name;
	}
	sock->cancelled = false;
	sock->attempting = true;
	int result =
		flags & SOCK_NONBLOCK ? attempt_nonblocking(&attempt) : attempt_blocking(&attempt, flags);
	sock->attempting = false;
	int outcome = result < 0 ? errno : 0;
	if (attempt.local.port != PORT_ANY)
		sock->claim.tried = (uint16_t)attempt.local.port;
	stream_log("connect", asked, rule, &attempt.peer,
		outcome == EINPROGRESS ? "under way"
		: outcome	       ? log_errno(outcome)
				       : "connected");
	if (attempt.fresh < 0) {
		if (attempt.in_place)
			take_error(fd); /* AF_VSOCK keeps it (Linux 6.1), accept() would tell it */
		if (!sock->claim.any_port)
			return fail(outcome);
		sock->peer = attempt.peer;
		sock->asked = *asked;
		return start_over(fd, sock, outcome);
	}

	enum sock_state before = state_of(sock);
	sock->rule = rule;
	sock->transport = attempt.transport;
	sock->local = attempt.local;
	sock->peer = attempt.peer;
	sock->asked = *asked;
	sock->scope = scope;
	report_reset(&sock->report, attempt.refused);
	set_state(sock, outcome ? STATE_CONNECTING : STATE_CONNECTED);
	if (attempt.in_place && !attempt.refused) {
		discard(&attempt);
	} else if (swap_in(fd, sock, attempt.fresh) < 0) {
		set_state(sock, before);
		return -1;
	}
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
		result = ended(fd, sock->transport, ready);
	} while (result < 0 && errno == EINTR && handlers_restart());
	if (result == 0)
		set_state(sock, STATE_CONNECTED);
	else if (errno != EINTR && errno != EINPROGRESS)
		return start_over(fd, sock, errno);
	return result;
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
