/* SPDX-License-Identifier: MIT */
#include "attempt.h"

#include "greeter.h"
#include "state/registrations.h"
#include "system/clock.h"
#include "system/forks.h"
#include "system/signals.h"
#include "transport/transport_unix.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

enum { KERNEL_TIMEOUT_MS = 2000 }; /* VSOCK_DEFAULT_CONNECT_TIMEOUT, Linux 4.8 to 6.18 */

static int choose_port(struct attempt *attempt)
{
	const struct claim *claim = &attempt->sock->claim;
	return dial_bind(attempt->fresh, attempt->to.transport, &attempt->to.endpoint,
		ports_kind(&attempt->asked), claim->bound ? claim->name.port : 0, &attempt->local.port);
}

/* At once, since a fork() in a signal handler is to find it, too. */
static int hold(struct attempt *attempt, int fd)
{
	attempt->held = fd;
	atomic_store(&attempt->sock->fresh, fd);
	return fd;
}

/* The child of a fork() in a signal handler has closed it already, and its number may be another file's. */
static void discard(struct attempt *attempt)
{
	int held = attempt->held;
	attempt->fresh = -1;
	forks_hold_off();
	hold(attempt, -1);
	if (held >= 0 && attempt->process == fd_process())
		close_quietly(held);
	forks_let();
}

/* A socket that bind() has given a place on our transport connects from there, and keeps it if that fails. */
static void from_its_place(struct attempt *attempt, int flags)
{
	attempt->fresh = hold(attempt, fd_dup(fd_of(attempt->fd, attempt->sock), attempt->sock));
	if (attempt->fresh >= 0 && flags & SOCK_NONBLOCK)
		libc.fcntl(attempt->fresh, F_SETFL, (void *)(long)(O_RDWR | O_NONBLOCK));
	attempt->local = attempt->sock->local;
	attempt->in_place = true;
}

static bool must_greet(const struct attempt *attempt)
{
	return attempt->to.greeting && !attempt->greeted;
}

static void from_a_new_one(struct attempt *attempt, int flags)
{
	attempt->fresh = hold(attempt, attempt->to.transport->open(flags, attempt->rule->buffer));
	if (attempt->fresh < 0)
		return;
	if (!attempt->to.greeting) /* they would act on the greeting: SO_RCVLOWAT, SO_PEEK_OFF */
		options_apply(&attempt->sock->options, attempt->fresh, attempt->rule->buffer);
	attempt->local = (struct endpoint){CID_ANY, PORT_ANY};
	if (choose_port(attempt) < 0)
		discard(attempt);
}

/* Another socket has the description too, and goes on with it: it isn't to be connected below it. */
static bool is_others_too(const struct attempt *attempt)
{
	const struct sock *sock = attempt->sock;
	return sock->shares || (sock_is_open_to_others(sock) && int_option(attempt->fd, SO_ACCEPTCONN) == 1);
}

/* One whose port says the right family: a server's socket can't have another port beside it. What the program
 * already polls can't greet. */
static bool has_a_place(const struct attempt *attempt)
{
	const struct sock *sock = attempt->sock;
	return attempt->placed || (state_of(sock) == STATE_BOUND && !is_others_too(attempt) &&
					  sock->transport == attempt->to.transport && !attempt->to.greeting &&
					  ports_marked((uint16_t)sock->local.port,
						  ports_kind(&attempt->asked)) == sock->local.port);
}

static bool open_client(struct attempt *attempt, int flags)
{
	forks_hold_off();
	if (has_a_place(attempt))
		from_its_place(attempt, flags);
	else
		from_a_new_one(attempt, flags);
	forks_let();
	return attempt->fresh >= 0;
}

static void record(struct attempt *attempt, enum sock_state state)
{
	struct sock *sock = attempt->sock;
	sock_lead(sock, attempt->rule, attempt->to.transport);
	sock->local = attempt->local;
	sock->peer = attempt->to.endpoint;
	sock->asked = attempt->asked;
	sock->scope = attempt->scope;
	report_reset(&sock->report, attempt->refused);
	sock->orphaned = false;
	set_state(sock, state);
}

/* Not if the program, or IP, could lose something by it: a port of IP's; an edge that Unix sockets don't
 * report to epoll when they are connected; the tries of retry=, which another thread that sets O_NONBLOCK
 * would end; what another thread asks a name server before its socket is ready. */
static bool may_go_first(const struct attempt *attempt)
{
	const struct sock *sock = attempt->sock;
	return !attempt->in_place && !attempt->to.greeting && !attempt->again && !sock->claim.bound &&
	       !attempt->to.transport->answered_here && !registrations_any(sock);
}

/* Those who see the peer accept the connection may use the program's fd before connect() has returned:
 * another thread, a child. So the number has the fresh socket before that connects. */
static bool go_first(struct attempt *attempt)
{
	struct sock *sock = attempt->sock;
	enum sock_state before = state_of(sock);
	if (!may_go_first(attempt))
		return true;
	forks_hold_off();
	record(attempt, STATE_CONNECTING);
	attempt->placed = attempt->in_place = swap_beside(attempt->fd, sock, attempt->fresh) == 0;
	if (!attempt->placed) {
		set_state(sock, before);
		discard(attempt);
	}
	forks_let();
	return attempt->placed;
}

void attempt_take_back(struct attempt *attempt)
{
	struct sock *sock = attempt->sock;
	KEEP_ERRNO;
	if (!attempt->placed)
		return;
	attempt->placed = false;
	if (state_of(sock) != STATE_CONNECTING && state_of(sock) != STATE_FAILED)
		return; /* another thread has done so, by connect(AF_UNSPEC) */
	set_state(sock, STATE_FAILED);
	stream_to_ip(attempt->fd, sock);
}

/* The thread is cancelled while it waits, or jumps out. A second jump may come on the way. */
static void abandon(void *held)
{
	struct attempt *attempt = held;
	struct sock *sock = attempt->sock;
	if (!sock)
		return;
	discard(attempt);
	attempt_take_back(attempt);
	attempt->sock = NULL;
	sock->attempting = 0;
	fd_release(sock);
}

/* A handler that runs between two tries of retry= would interrupt neither. */
static int hold_signals(struct attempt *attempt, int result)
{
	int saved = errno;
	attempt->holds_signals = attempt->again && signals_hold(&attempt->signals);
	errno = saved;
	return result;
}

static int let_signals_in(struct attempt *attempt)
{
	if (!attempt->holds_signals)
		return 0;
	bool interrupt = signals_interrupt(attempt->signals);
	attempt->holds_signals = false;
	signals_let_in(attempt->signals);
	return interrupt ? fail(EINTR) : 0;
}

/* A call that waits: signals come in, and the thread may be cancelled, or jump out. */
#define WAIT(attempt, call)                                                                                  \
	hold_signals(attempt, CANCEL_HERE(let_signals_in(attempt) < 0 ? -1 : (int)(call), abandon, attempt))

static int clear_nonblocking(int fd)
{
	int flags = libc.fcntl(fd, F_GETFL, NULL);
	return flags < 0 ? -1 : libc.fcntl(fd, F_SETFL, (void *)(long)(flags & ~O_NONBLOCK));
}

/* What became of an attempt that poll() was asked for: 0, or -1 with its errno; EINPROGRESS: nothing yet. */
static int ended(int fd, const struct transport *transport, int ready)
{
	if (ready < 0)
		return -1;
	if (ready == 0)
		return fail(EINPROGRESS);
	int error = take_socket_error(fd);
	return error ? fail(transport->connect_error(error)) : 0;
}

static bool is_of_a_crash(int signal)
{
	return signal == SIGSEGV || signal == SIGBUS || signal == SIGFPE || signal == SIGILL ||
	       signal == SIGTRAP || signal == SIGSYS || signal == SIGABRT;
}

/* Would the kernel go on after the signal that has just been handled? It doesn't say which one it was, so all
 * handlers must agree; one without SA_RESTART is there to interrupt something. */
bool attempt_handlers_restart(void)
{
	for (int number = 1; number < NSIG; number++)
		if (!is_of_a_crash(number) && signal_interrupts(number))
			return false;
	return true;
}

static void begin_greeting(struct attempt *attempt)
{
	attempt->greeting = (struct greeting){.sent = false};
	attempt->deadline = dial_deadline(&attempt->to);
}

/* In slices, since another thread's shutdown() ends it. */
static int greet(struct attempt *attempt, int64_t deadline)
{
	enum { GLANCE_MS = 100 };
	struct sock *sock = attempt->sock;
	int64_t until;
	int result;
	do {
		until = now_ms() + GLANCE_MS;
		until = until < deadline ? until : deadline;
		result = WAIT(
			attempt, dial_greet(attempt->fresh, &attempt->to, &attempt->greeting, until, -1));
	} while (result < 0 && errno == ETIMEDOUT && until < deadline && !sock->cancelled);
	if (result < 0 && errno == ETIMEDOUT && sock->cancelled)
		errno = ECONNRESET;
	attempt->greeted = result == 0;
	if (attempt->greeted)
		options_apply(&sock->options, attempt->fresh, attempt->rule->buffer);
	return result;
}

/* The whole greeting, as a part of a connect() that blocks: it goes on after a signal, or is left to itself.
 */
static int greet_blocking(struct attempt *attempt)
{
	int result;
	begin_greeting(attempt);
	do
		result = greet(attempt, attempt->deadline);
	while (result < 0 && errno == EINTR && attempt_handlers_restart());
	return result;
}

/* Starts an attempt on a non-blocking socket. 0: connected already; EINPROGRESS; anything else: no socket is
 * left. */
static int start(struct attempt *attempt)
{
	if (!open_client(attempt, SOCK_CLOEXEC | SOCK_NONBLOCK))
		return -1;
	int result =
		attempt->to.transport->connect(attempt->fresh, &attempt->to.place, attempt->rule->timeout_ms);
	if (result < 0 && errno != EINPROGRESS)
		discard(attempt);
	if (attempt->to.greeting && attempt->fresh >= 0) {
		begin_greeting(attempt);
		return fail(EINPROGRESS);
	}
	return result;
}

/* What became of it within limit_ms: 0, or -1 with its errno; EINPROGRESS: nothing yet. */
static int await(struct attempt *attempt, int limit_ms)
{
	if (!attempt->to.greeting) {
		struct pollfd wait = {.fd = attempt->fresh, .events = POLLOUT};
		int ready = WAIT(attempt, libc.poll(&wait, 1, limit_ms));
		return ended(attempt->fresh, attempt->to.transport, ready);
	}
	int64_t until = now_ms() + limit_ms;
	bool last = until >= attempt->deadline;
	int result = greet(attempt, last ? attempt->deadline : until);
	return result < 0 && errno == ETIMEDOUT && !last ? fail(EINPROGRESS) : result;
}

/* Waits limit_ms for a program that blocks, and then lets the attempt go on without it, as TCP does:
 * EINPROGRESS, or EINTR, with a socket. */
static int start_and_wait(struct attempt *attempt, int limit_ms)
{
	int result = start(attempt);
	if (attempt->fresh < 0) {
		KEEP_ERRNO;
		if (attempt->in_place) /* it has become the program's, too */
			clear_nonblocking(fd_of(attempt->fd, attempt->sock));
		return -1;
	}
	while (result < 0 && errno == EINPROGRESS && limit_ms) {
		result = await(attempt, limit_ms);
		if (result == 0 || errno != EINTR || !attempt_handlers_restart())
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
	attempt->stand_in = transport_unix_refused(flags);
	if (attempt->stand_in >= 0)
		options_apply(&attempt->sock->options, attempt->stand_in, attempt->rule->buffer);
	return fail(attempt->stand_in < 0 ? attempt->refused : EINPROGRESS);
}

/* The program waits no longer; a last attempt goes on without it. */
static int give_up_waiting(struct attempt *attempt, int error)
{
	if (start_and_wait(attempt, 0) < 0 && attempt->fresh < 0)
		fail_later(attempt, SOCK_CLOEXEC);
	return fail(error);
}

/* AF_VSOCK keeps it (Linux 5.10 to 6.1), and the next connect() or accept() would report it again. */
static void forget_error(int fd)
{
	KEEP_ERRNO;
	int_option(fd, SO_ERROR);
}

/* AF_VSOCK gives an attempt up at a signal: it is made again, within the time of one attempt, or left to
 * itself. */
static int make_once(struct attempt *attempt, int flags)
{
	int send_limit = options_time(&attempt->sock->options, SO_SNDTIMEO);
	uint32_t limit = attempt->rule->timeout_ms;
	int64_t deadline = 0;
	if (send_limit)
		return start_and_wait(attempt, send_limit);
	for (;;) {
		if (!open_client(attempt, flags) || !go_first(attempt))
			return -1;
		int result = WAIT(
			attempt, attempt->to.transport->connect(attempt->fresh, &attempt->to.place, limit));
		if (result == 0 && attempt->to.greeting) {
			result = greet_blocking(attempt);
			if (result < 0 && errno == EINTR)
				return -1; /* it goes on beside the program */
		}
		if (result == 0)
			return 0;
		if (attempt->in_place && !attempt->placed)
			forget_error(attempt->fresh);
		discard(attempt);
		if (errno != EINTR)
			return -1;
		if (!attempt_handlers_restart())
			return give_up_waiting(attempt, EINTR);
		int64_t now = now_ms();
		if (!deadline)
			deadline = now + (limit ? limit : KERNEL_TIMEOUT_MS);
		if (now >= deadline)
			return fail(ETIMEDOUT);
		limit = (uint32_t)(deadline - now);
	}
}

/* Sleeps so that a signal does to it what it would do to connect(): a handler with SA_RESTART is run, and the
 * sleep goes on; one without ends it with EINTR. Signals stay held back, so none comes unnoticed between the
 * end of the sleep and the next try. */
static int pause_for(struct attempt *attempt, int64_t ms)
{
	int64_t until = now_ms() + ms, left = ms;
	int result = 0;
	while (result == 0 && left > 0) {
		struct pollfd signals = {
			.fd = hold(attempt, signals_fd(~attempt->signals)), .events = POLLIN};
		bool came = libc.poll(&signals, 1, (int)left) != 0;
		discard(attempt);
		if (came)
			result = WAIT(attempt, libc.poll(NULL, 0, 0));
		left = until - now_ms();
	}
	return result;
}

static bool nobody_there(int error)
{
	return error == ECONNREFUSED || error == ETIMEDOUT || error == EHOSTUNREACH || error == ENETUNREACH;
}

/* Is that what is tried again with retry=? */
static bool found_nobody(const struct attempt *attempt, int result)
{
	return result < 0 && !attempt_has_come_to(attempt) && nobody_there(errno);
}

/* After a first try: until there is somebody, or the time is over. */
static int try_again(struct attempt *attempt, int flags, int64_t began)
{
	uint32_t send_limit = (uint32_t)options_time(&attempt->sock->options, SO_SNDTIMEO);
	int64_t until = began + attempt->rule->retry_ms;
	for (int64_t pause = 10; now_ms() + pause <= until; pause = pause < 500 ? pause * 2 : 1000) {
		if (attempt->sock->cancelled)
			return fail(ECONNRESET);
		if (pause_for(attempt, pause) < 0 && errno == EINTR)
			return give_up_waiting(attempt, EINTR);
		if (send_limit && now_ms() - began >= send_limit)
			return give_up_waiting(attempt, EINPROGRESS);
		int result = make_once(attempt, flags);
		if (!found_nobody(attempt, result))
			return result;
	}
	return -1;
}

/* The blocking connect(), with a rule's `retry`. Leaves a fresh socket to put in place: connected (0), or
 * under way (-1 with EINTR or EINPROGRESS); else -1 and no socket. */
static int make_blocking(struct attempt *attempt, int flags)
{
	if (!attempt->rule->retry_ms)
		return make_once(attempt, flags);
	int64_t began = now_ms();
	attempt->again = true;
	hold_signals(attempt, 0);
	int result = make_once(attempt, flags);
	if (found_nobody(attempt, result))
		result = try_again(attempt, flags, began);
	int saved = errno;
	attempt->again = false;
	WAIT(attempt, 0);
	errno = saved;
	return result;
}

/* The non-blocking one. As with TCP on loopback, every end that comes at once is shown as EINPROGRESS first.
 */
static int make_nonblocking(struct attempt *attempt)
{
	int result = start(attempt);
	if (result == 0)
		return fail(EINPROGRESS);
	if (errno == ECONNREFUSED || errno == ETIMEDOUT)
		return fail_later(attempt, SOCK_CLOEXEC | SOCK_NONBLOCK);
	return -1;
}

/* The program goes on, and a task greets on the fresh socket. */
static int greet_beside(struct attempt *attempt, int flags)
{
	struct greeter greeter = {.sock = attempt->sock,
		.fd = attempt->fd,
		.fresh = attempt->fresh,
		.to = attempt->to,
		.greeting = attempt->greeting,
		.deadline = attempt->deadline};
	int stand_in = dial_stand_in(flags & SOCK_NONBLOCK, &greeter.gate);
	if (stand_in < 0) {
		discard(attempt);
		return -1;
	}
	options_apply(&attempt->sock->options, stand_in, attempt->rule->buffer);
	bool kept = fd_hold(attempt->fd, attempt->sock);
	if (!kept || swap_in(attempt->fd, attempt->sock, stand_in) < 0) {
		if (kept)
			fd_release(attempt->sock);
		else
			close_quietly(stand_in);
		close_quietly(greeter.gate);
		discard(attempt);
		return -1;
	}
	attempt->sock->stood_in = attempt->sock->may_reset = true;
	greeter_start(&greeter);
	return 0;
}

static int put_in_place(struct attempt *attempt, int flags)
{
	if (attempt->stand_in >= 0)
		return swap_in(attempt->fd, attempt->sock, attempt->stand_in);
	if (attempt->in_place) {
		discard(attempt);
		return 0;
	}
	if (must_greet(attempt))
		return greet_beside(attempt, flags);
	return swap_in(attempt->fd, attempt->sock, attempt->fresh);
}

/* Others have used the socket meanwhile, and may have seen what has come of it. */
static int hand_over_placed(struct attempt *attempt, int outcome)
{
	struct sock *sock = attempt->sock;
	discard(attempt);
	if (outcome)
		return 0;
	if (!sock_change(sock, STATE_CONNECTING, STATE_CONNECTED) && state_of(sock) != STATE_CONNECTED)
		return fail(ECONNABORTED);
	swap_register_again(sock); /* Unix sockets report no edge for it */
	return 0;
}

int attempt_hand_over(struct attempt *attempt, int flags, int outcome)
{
	enum sock_state before = state_of(attempt->sock);
	if (attempt->placed && attempt->stand_in < 0)
		return hand_over_placed(attempt, outcome);
	forks_hold_off();
	record(attempt, outcome ? STATE_CONNECTING : STATE_CONNECTED);
	int result = put_in_place(attempt, flags);
	if (result < 0)
		set_state(attempt->sock, before);
	forks_let();
	return result;
}

bool attempt_begin(struct attempt *attempt, int fd, struct sock *sock, const struct rule *rule,
	const struct address *asked, uint32_t scope)
{
	*attempt = (struct attempt){.fd = fd,
		.sock = sock,
		.rule = rule,
		.asked = *asked,
		.scope = scope,
		.process = fd_process(),
		.fresh = -1,
		.held = -1,
		.stand_in = -1};
	return destination_to_connect(rule, asked, &attempt->to);
}

int attempt_make(struct attempt *attempt, int flags)
{
	struct sock *sock = attempt->sock;
	sock->cancelled = false;
	int result = flags & SOCK_NONBLOCK ? make_nonblocking(attempt) : make_blocking(attempt, flags);
	if (attempt->local.port != PORT_ANY)
		sock->claim.tried = (uint16_t)attempt->local.port;
	return result;
}

bool attempt_has_come_to(const struct attempt *attempt)
{
	return attempt->fresh >= 0 || attempt->stand_in >= 0;
}
