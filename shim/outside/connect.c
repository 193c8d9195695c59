/* SPDX-License-Identifier: MIT */
/* connect(): an attempt is made on a fresh socket of the supervisor's, which replaces the program's when it
 * has got far enough: when it is connected if the program waits, or once it is under way if the program
 * doesn't wait. So a blocking connect() that fails leaves no trace. The attempt holds the call of the thread
 * that waits, and events and timers move it on: the socket becomes writable, a pause of `retry=` ends, a time
 * limit expires. If the thread goes away for a signal, the attempt continues, and the next connect() on the
 * same socket waits for it again; any other call puts its socket in place, unless that must be greeted first.
 */
#include "serve.h"
#include "task.h"

#include "core/names.h"
#include "core/verdict.h"
#include "transport/dial.h"
#include "transport/transport_unix.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct attempt {
	struct held held;	 /* the connect() that waits; its call.id is 0 if none does */
	struct watch watch;	 /* the socket becomes writable */
	struct timer timer;	 /* the next of the times below, or the end of a pause */
	struct watched *watched; /* the record of the program's socket */
	int number;		 /* the program's fd */
	int flags;		 /* O_NONBLOCK and O_CLOEXEC of it, as they were in this turn: */
	unsigned turn;		 /* of wait_turn() */
	int fresh;		 /* the socket that is being connected; -1: none */
	int own; /* the program's own socket, which bind() has given a place, and which connects from there;
		    -1: none */
	bool nonblocking;	  /* the program's socket doesn't block */
	const struct rule *rule;  /* the rule that decided */
	struct destination to;	  /* where to connect, and what is said there first */
	struct endpoint local;	  /* this end on the transport */
	struct greeting greeting; /* how far it has got on the fresh socket */
	int64_t greet_until;	  /* when it must be over */
	int64_t deadline;	  /* when to stop waiting for room in the peer's backlog; 0: never */
	int64_t until;		  /* when to stop trying again; 0: it is tried once */
	int64_t send_limit;	  /* when the program stops waiting; 0: never */
	int pause;		  /* ms until it is tried again */
	bool done;		  /* it has ended, with this outcome: */
	int outcome;		  /* 0 or an errno */
};

enum { LOOK_AGAIN_MS = 100, FULL_MS = 5 };

static struct attempt *attempt_of(const void *member, size_t offset)
{
	return (struct attempt *)((char *)(uintptr_t)member - offset);
}

static void close_fresh(struct attempt *attempt)
{
	watch_end(&attempt->watch);
	if (attempt->fresh >= 0)
		close(attempt->fresh);
	attempt->fresh = -1;
}

/* While the supervisor waits for the program's own socket, that doesn't block. */
static void set_blocking(int fd, bool nonblocking)
{
	libc.fcntl(fd, F_SETFL, (void *)(long)(O_RDWR | (nonblocking ? O_NONBLOCK : 0)));
}

static void drop(struct attempt *attempt)
{
	held_end(&attempt->held);
	timer_end(&attempt->timer);
	close_fresh(attempt);
	if (attempt->own >= 0) {
		set_blocking(attempt->own, attempt->nonblocking);
		close(attempt->own);
	}
	attempt->watched->attempt = NULL;
	free(attempt);
}

/* 0 or an errno. */
static int choose_port(struct attempt *attempt)
{
	const struct watched *watched = attempt->watched;
	int result = dial_bind(attempt->fresh, attempt->to.transport, &attempt->to.endpoint,
		ports_kind(&watched->asked), watched->bound ? watched->name.port : 0, &attempt->local.port);
	return result < 0 ? errno : 0;
}

/* Opens a socket that is ready to connect. 0 or an errno. */
static int open_fresh(struct attempt *attempt)
{
	const struct transport *transport = attempt->to.transport;
	attempt->fresh = attempt->own >= 0
				 ? libc.fcntl(attempt->own, F_DUPFD_CLOEXEC, NULL)
				 : transport->open(SOCK_CLOEXEC | SOCK_NONBLOCK, attempt->rule->buffer);
	if (attempt->fresh < 0)
		return errno;
	if (attempt->own >= 0) {
		set_blocking(attempt->fresh, true);
		attempt->local = attempt->watched->local;
		return 0;
	}
	if (!attempt->to.greeting) /* they would act on the greeting: SO_RCVLOWAT, SO_PEEK_OFF */
		options_apply(&attempt->watched->options, attempt->fresh, attempt->rule->buffer);
	attempt->local = (struct endpoint){CID_ANY, PORT_ANY};
	return choose_port(attempt);
}

/* Begins the attempt. 0: connected; EINPROGRESS; or the errno with which it ended, and then there is no
 * socket. */
static int start(struct attempt *attempt)
{
	struct watched *watched = attempt->watched;
	if (attempt->to.transport == &transport_names) {
		attempt->fresh = nameserver_open(false, SOCK_CLOEXEC | SOCK_NONBLOCK);
		return attempt->fresh < 0 ? errno : 0;
	}
	int error = open_fresh(attempt);
	if (!error && attempt->to.transport->connect(
			      attempt->fresh, &attempt->to.place, attempt->rule->timeout_ms) < 0)
		error = errno;
	if (error && error != EINPROGRESS)
		close_fresh(attempt);
	if (attempt->local.port != PORT_ANY)
		watched->tried = (uint16_t)attempt->local.port;
	return error;
}

static void tell_log(const struct attempt *attempt, int outcome)
{
	report("connect", &attempt->watched->asked, attempt->rule, &attempt->to.endpoint,
		outcome == EINPROGRESS ? "under way"
		: outcome	       ? log_errno(outcome)
				       : "connected");
}

/* Replaces the program's socket by the fresh one: from here on it is connected, or connecting. 0 or an errno.
 */
static int take_place(struct subject *subject, struct attempt *attempt, int outcome, int refused)
{
	struct watched *watched = attempt->watched;
	int flags = attempt->turn == wait_turn() ? attempt->flags : subject_flags(subject);
	if (flags < 0)
		return EBADF;
	if (!attempt->nonblocking)
		set_blocking(attempt->fresh, false);
	struct watched before = *watched;
	watched->rule = attempt->rule;
	watched->transport = attempt->to.transport;
	watched->local = attempt->local;
	watched->peer = attempt->to.endpoint;
	watched->refused = refused;
	watched->report_once = watched->abort_once = false;
	watched->stage = outcome ? STAGE_CONNECTING : STAGE_CONNECTED;
	int error = attempt->own >= 0 && !refused
			    ? 0
			    : subject_replace(subject, attempt->fresh, flags & O_CLOEXEC);
	if (error)
		*watched = before;
	return error;
}

/* Makes a non-blocking attempt that failed at once look as if it had failed a moment later. */
static int refuse_later(struct attempt *attempt, int error)
{
	attempt->fresh = transport_unix_refused(SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (attempt->fresh >= 0)
		options_apply(&attempt->watched->options, attempt->fresh, attempt->rule->buffer);
	return attempt->fresh < 0 ? error : EINPROGRESS;
}

/* As with TCP on loopback, even an attempt that ends at once is shown as EINPROGRESS first. The errno with
 * which connect() is answered; ENOENT: the caller has gone. */
static int show_later(struct subject *subject, struct attempt *attempt, int error)
{
	int refused = 0;
	if (error == ECONNREFUSED || error == ETIMEDOUT)
		error = refuse_later(attempt, refused = error);
	if (!error || error == EINPROGRESS) {
		error = take_place(subject, attempt, EINPROGRESS, refused);
		error = error ? error : EINPROGRESS;
	}
	return error;
}

static void connect_nonblocking(struct subject *subject, struct attempt *attempt)
{
	int error = start(attempt);
	tell_log(attempt, error);
	error = show_later(subject, attempt, error);
	drop(attempt);
	if (error == ENOENT)
		subject->call->id = 0;
	else
		fail(subject, error);
}

/* ---- the program waits ---- */

static void proceed(struct attempt *attempt);

/* The program's thread has gone away. The attempt continues, and its outcome is for the program's next call
 * on this socket. If there is none, because the socket was closed, the peer must see an end. */
static void look_again(struct timer *timer)
{
	struct attempt *attempt = attempt_of(timer, offsetof(struct attempt, timer));
	struct task_fd fd;
	if (task_look(attempt->held.call.thread, attempt->number, &fd) || fd.inode != attempt->watched->inode)
		drop(attempt);
	else
		timer_begin(timer, LOOK_AGAIN_MS, look_again);
}

static void leave_to_next_call(struct attempt *attempt)
{
	held_end(&attempt->held);
	attempt->held.call.id = 0;
	timer_begin(&attempt->timer, LOOK_AGAIN_MS, look_again);
}

static void thread_gone(struct held *held)
{
	struct attempt *attempt = attempt_of(held, offsetof(struct attempt, held));
	if (attempt->fresh < 0) { /* between two attempts */
		drop(attempt);
		return;
	}
	leave_to_next_call(attempt);
}

static bool nobody_there(int error)
{
	return error == ECONNREFUSED || error == ETIMEDOUT || error == EHOSTUNREACH || error == ENETUNREACH;
}

/* A connect() that reports how an attempt failed leaves the socket as new, except for a port of the program's
 * choice. */
static void start_over(struct subject *subject, int error)
{
	subject->watched->stage = STAGE_FAILED;
	subject_to_ip(subject);
	fail(subject, error);
}

/* The answer to a connect() that waited. One that failed leaves no trace, except that TCP has released a port
 * of the kernel's choice. */
static void answer_waiting(struct subject *subject, int error)
{
	if (!subject->watched->bound || !subject->watched->any_port || !nobody_there(error)) {
		answer(subject, 0, error);
		return;
	}
	subject_reopen(subject);
	start_over(subject, error);
}

/* Ends a connect() that waited, or leaves its outcome to the next call. */
static void conclude(struct attempt *attempt, int outcome)
{
	struct call call = attempt->held.call;
	struct watched *watched = attempt->watched;
	watch_end(&attempt->watch);
	tell_log(attempt, outcome);
	attempt->done = outcome != EINPROGRESS;
	attempt->outcome = outcome;
	if (!call.id || (outcome && !call_is_there(&call))) {
		leave_to_next_call(attempt);
		return;
	}
	struct subject subject = {&call, attempt->number, -1, watched->inode, watched};
	int error = outcome;
	if (attempt->nonblocking) {
		error = show_later(&subject, attempt, outcome);
	} else if (!outcome || (outcome == EINPROGRESS && attempt->fresh >= 0)) {
		int placed = take_place(&subject, attempt, outcome, 0);
		error = placed ? placed : outcome;
	}
	if (error == ENOENT) { /* it has gone away just now */
		leave_to_next_call(attempt);
		return;
	}
	drop(attempt);
	answer_waiting(&subject, error);
	subject_close(&subject);
}

static void try_again(struct timer *timer)
{
	struct attempt *attempt = attempt_of(timer, offsetof(struct attempt, timer));
	attempt->deadline = attempt->rule->timeout_ms ? now_ms() + attempt->rule->timeout_ms : 0;
	proceed(attempt);
}

static void room_again(struct timer *timer)
{
	proceed(attempt_of(timer, offsetof(struct attempt, timer)));
}

/* The program's SO_SNDTIMEO has expired: the attempt continues without the program, on its socket; between
 * two attempts there is none that could. */
static void send_limit_over(struct timer *timer)
{
	struct attempt *attempt = attempt_of(timer, offsetof(struct attempt, timer));
	conclude(attempt, EINPROGRESS);
}

static void failed(struct attempt *attempt, int error)
{
	int64_t now = now_ms();
	close_fresh(attempt);
	/* If the backlog is full, a blocking connect() of a Unix socket would have waited. */
	bool full = error == ETIMEDOUT && attempt->to.transport == &transport_unix && !attempt->nonblocking &&
		    !attempt->greet_until && (!attempt->deadline || now < attempt->deadline);
	if (attempt->send_limit && now >= attempt->send_limit) {
		conclude(attempt, EINPROGRESS);
	} else if (full) {
		timer_begin(&attempt->timer, FULL_MS, room_again);
	} else if (attempt->until && nobody_there(error) && now + attempt->pause <= attempt->until) {
		timer_begin(&attempt->timer, attempt->pause, try_again);
		attempt->pause = attempt->pause < 500 ? attempt->pause * 2 : 1000;
	} else {
		conclude(attempt, error);
	}
}

static int take_error(const struct attempt *attempt)
{
	int error = take_socket_error(attempt->fresh);
	return error ? attempt->to.transport->connect_error(error) : 0;
}

static void ready(struct watch *watch, uint32_t events)
{
	struct attempt *attempt = attempt_of(watch, offsetof(struct attempt, watch));
	(void)events;
	int error = take_error(attempt);
	watch_end(watch);
	timer_end(&attempt->timer);
	if (error && attempt->held.call.id)
		failed(attempt, error);
	else
		conclude(attempt, error);
}

/* ---- what is said first: the call is held until that is over, also of a program that doesn't wait ---- */

/* SO_SNDTIMEO has expired, or the answer hasn't come in time: what isn't greeted can't be the program's yet.
 */
static void greeting_late(struct timer *timer)
{
	struct attempt *attempt = attempt_of(timer, offsetof(struct attempt, timer));
	if (attempt->send_limit && attempt->send_limit < attempt->greet_until) {
		attempt->send_limit = 0;
		tell_log(attempt, EINPROGRESS);
		call_answer(&attempt->held.call, 0, EINPROGRESS);
		leave_to_next_call(attempt);
	} else {
		failed(attempt, ETIMEDOUT);
	}
}

static void wait_for_answer(struct attempt *attempt)
{
	int64_t until = attempt->greet_until;
	if (attempt->send_limit && attempt->send_limit < until)
		until = attempt->send_limit;
	timer_begin(&attempt->timer, until - now_ms(), greeting_late);
}

static void greeting_ready(struct watch *watch, uint32_t events)
{
	struct attempt *attempt = attempt_of(watch, offsetof(struct attempt, watch));
	short next;
	(void)events;
	watch_end(watch);
	if (dial_greet_on(attempt->fresh, &attempt->to, &attempt->greeting, &next) == 0) {
		timer_end(&attempt->timer);
		options_apply(&attempt->watched->options, attempt->fresh, attempt->rule->buffer);
		conclude(attempt, 0);
	} else if (errno != EAGAIN) {
		int error = errno;
		timer_end(&attempt->timer);
		failed(attempt, error);
	} else if (!watch_begin(watch, attempt->fresh, (uint32_t)next, greeting_ready)) {
		close_fresh(attempt);
		conclude(attempt, ENOBUFS);
	}
}

static void greet(struct attempt *attempt)
{
	attempt->greeting = (struct greeting){.sent = false};
	attempt->greet_until = dial_deadline(&attempt->to);
	wait_for_answer(attempt);
	greeting_ready(&attempt->watch, 0);
}

static void proceed(struct attempt *attempt)
{
	attempt->greet_until = 0;
	int error = start(attempt);
	if (attempt->to.greeting && (!error || error == EINPROGRESS)) {
		greet(attempt);
		return;
	}
	if (error != EINPROGRESS) {
		if (error)
			failed(attempt, error);
		else
			conclude(attempt, 0);
		return;
	}
	if (!watch_begin(&attempt->watch, attempt->fresh, EPOLLOUT, ready))
		conclude(attempt, ENOBUFS);
	else if (attempt->send_limit)
		timer_begin(&attempt->timer, attempt->send_limit - now_ms(), send_limit_over);
}

static void connect_held(struct subject *subject, struct attempt *attempt)
{
	int limit = options_time(&attempt->watched->options, SO_SNDTIMEO);
	int64_t now = now_ms();
	attempt->send_limit = limit && !attempt->nonblocking ? now + limit : 0;
	attempt->until = attempt->rule->retry_ms && !attempt->nonblocking ? now + attempt->rule->retry_ms : 0;
	attempt->deadline = attempt->rule->timeout_ms ? now + attempt->rule->timeout_ms : 0;
	attempt->pause = 10;
	held_begin(&attempt->held, subject->call, thread_gone);
	proceed(attempt);
}

/* ---- an attempt that is already under way ---- */

void attempt_settle(struct subject *subject)
{
	struct watched *watched = subject->watched;
	struct attempt *attempt = watched ? watched->attempt : NULL;
	if (!attempt || call_is_there(&attempt->held.call) || (!attempt->done && attempt->to.greeting))
		return;
	int outcome = attempt->done ? attempt->outcome : EINPROGRESS;
	if (attempt->fresh >= 0 && (!outcome || outcome == EINPROGRESS)) {
		if (take_place(subject, attempt, outcome, 0))
			return;
		watched->report_once = !outcome;
		subject_reopen(subject);
	} else {
		watched->refused = outcome;
	}
	drop(attempt);
}

bool attempt_cancel(struct watched *watched)
{
	struct attempt *attempt = watched->attempt;
	if (!attempt || attempt->done)
		return false;
	close_fresh(attempt);
	timer_end(&attempt->timer);
	conclude(attempt, ECONNRESET);
	return true;
}

/* ---- connect() on a socket that isn't new ---- */

struct again {
	struct held held;
	struct watch watch;
	struct timer timer;
	struct subject subject; /* without its call */
};

/* error: what the call is answered with; ASK: what the socket says, of which nothing is taken unless somebody
 * waits, since it is for the next call otherwise. */
enum { ASK = -1 };
static void again_done(struct again *again, int error)
{
	struct subject subject = again->subject;
	struct call call = again->held.call;
	watch_end(&again->watch);
	timer_end(&again->timer);
	held_end(&again->held);
	free(again);
	subject.call = &call;
	/* The table may have dropped it meanwhile. */
	subject.watched = watched_find(subject.inode, subject.number);
	if (subject.watched && call_is_there(&call)) {
		error = error == ASK ? subject_take_error(&subject) : error;
		if (!error)
			subject.watched->stage = STAGE_CONNECTED;
		if (error && error != EINPROGRESS)
			start_over(&subject, error);
		else
			answer(&subject, 0, error);
	}
	close(subject.fd);
}

static void again_ready(struct watch *watch, uint32_t events)
{
	(void)events;
	again_done((struct again *)((char *)watch - offsetof(struct again, watch)), ASK);
}

static void again_late(struct timer *timer)
{
	again_done((struct again *)((char *)timer - offsetof(struct again, timer)), EINPROGRESS);
}

static void again_gone(struct held *held)
{
	again_done((struct again *)((char *)held - offsetof(struct again, held)), EINPROGRESS);
}

static void wait_again(struct subject *subject)
{
	struct again *again = calloc(1, sizeof *again);
	int limit = options_time(&subject->watched->options, SO_SNDTIMEO);
	if (!again) {
		fail(subject, ENOBUFS);
		return;
	}
	held_begin(&again->held, subject->call, again_gone);
	again->subject = *subject;
	subject->fd = -1;
	if (!watch_begin(&again->watch, again->subject.fd, EPOLLOUT, again_ready))
		again_done(again, ENOBUFS);
	else if (limit)
		timer_begin(&again->timer, limit, again_late);
}

/* connect() on a socket whose connection is under way. */
static void connect_again(struct subject *subject)
{
	int error = subject_take_error(subject);
	if (error) {
		start_over(subject, error);
	} else if (subject_settle(subject) == STAGE_CONNECTED) {
		subject->watched->report_once = false;
		answer(subject, 0, 0);
	} else if (libc.fcntl(subject->fd, F_GETFL, NULL) & O_NONBLOCK) {
		fail(subject, EALREADY);
	} else {
		wait_again(subject);
	}
}

static void hold_again(struct subject *subject, struct attempt *attempt)
{
	held_end(&attempt->held);
	timer_end(&attempt->timer);
	attempt->number = subject->number;
	held_begin(&attempt->held, subject->call, thread_gone);
	if (attempt->fresh < 0)
		proceed(attempt);
	else if (attempt->greet_until)
		wait_for_answer(attempt);
	else if (attempt->send_limit)
		timer_begin(&attempt->timer, attempt->send_limit - now_ms(), send_limit_over);
}

/* connect() comes again, because its thread was away in a signal handler: it waits again, or gets what has
 * come of it. As in the kernel, the address isn't looked at. */
static void resume(struct subject *subject)
{
	struct watched *watched = subject->watched;
	struct attempt *attempt = watched->attempt;
	int flags, outcome = attempt->outcome;
	if (attempt->done && outcome) {
		drop(attempt);
		answer_waiting(subject, outcome);
	} else if (attempt->done) {
		attempt_settle(subject);
		if (watched->stage == STAGE_CONNECTED)
			connect_again(subject);
		else
			subject->call->id = 0; /* the thread has gone away again */
	} else if ((flags = subject_flags(subject)) < 0) {
		return;
	} else if (flags & O_NONBLOCK && !attempt->nonblocking) {
		fail(subject, EALREADY);
	} else {
		hold_again(subject, attempt);
	}
}

/* ---- connect() beside another thread's on the same socket ---- */

struct beside {
	struct held held;
	struct timer timer;
	uint64_t inode; /* of the socket, before */
	int64_t until;	/* when SO_SNDTIMEO ends; 0: never */
};

enum { BESIDE_MS = 5 };

static void beside_end(struct beside *beside)
{
	held_end(&beside->held);
	timer_end(&beside->timer);
	free(beside);
}

static void beside_gone(struct held *held)
{
	beside_end((struct beside *)((char *)held - offsetof(struct beside, held)));
}

/* The other thread's attempt is over: this call gets what came of it, as from the kernel. */
static void beside_over(struct call *call)
{
	struct subject subject;
	enum stage stage = STAGE_IP;
	if (subject_open(&subject, call)) {
		if (subject.watched)
			stage = subject_settle(&subject);
		if (stage == STAGE_CONNECTING)
			connect_again(&subject);
		else
			fail(&subject, stage == STAGE_CONNECTED ? 0 : ECONNABORTED);
	}
	subject_close(&subject);
}

static void beside_look(struct timer *timer)
{
	struct beside *beside = (struct beside *)((char *)timer - offsetof(struct beside, timer));
	struct watched *watched = watched_find(beside->inode, -1);
	struct call call = beside->held.call;
	bool goes_on = watched && watched->attempt, late = beside->until && now_ms() >= beside->until;
	if (goes_on && !late) {
		timer_begin(timer, BESIDE_MS, beside_look);
		return;
	}
	beside_end(beside);
	if (goes_on)
		call_answer(&call, 0, EALREADY);
	else
		beside_over(&call);
}

static void connect_beside(struct subject *subject)
{
	int limit = options_time(&subject->watched->options, SO_SNDTIMEO);
	bool waits = !(libc.fcntl(subject->fd, F_GETFL, NULL) & O_NONBLOCK);
	struct beside *beside = waits ? calloc(1, sizeof *beside) : NULL;
	if (!beside) {
		fail(subject, waits ? ENOBUFS : EALREADY);
		return;
	}
	beside->inode = subject->inode;
	beside->until = limit ? now_ms() + limit : 0;
	held_begin(&beside->held, subject->call, beside_gone);
	timer_begin(&beside->timer, BESIDE_MS, beside_look);
}

/* Has IP connected it? This is asked of a socket that has been used, or was inherited. */
static bool is_open_in_tcp(const struct subject *subject)
{
	struct tcp_info info = {.tcpi_state = TCP_CLOSE};
	socklen_t length = sizeof info.tcpi_state;
	return subject->watched->used &&
	       libc.getsockopt(subject->fd, IPPROTO_TCP, TCP_INFO, &info, &length) == 0 &&
	       info.tcpi_state != TCP_CLOSE;
}

/* ---- the system call ---- */

static int wrong_address(
	const struct watched *watched, const struct sockaddr_storage *address, socklen_t length)
{
	socklen_t least = watched->family == AF_INET6 ? offsetof(struct sockaddr_in6, sin6_scope_id)
						      : sizeof(struct sockaddr_in);
	if (length < least)
		return EINVAL;
	return address->ss_family == watched->family ? 0 : EAFNOSUPPORT;
}

static uint32_t scope_of(
	const struct watched *watched, const struct sockaddr_storage *address, socklen_t length)
{
	return watched->family == AF_INET6 && length >= sizeof(struct sockaddr_in6)
		       ? ((const struct sockaddr_in6 *)address)->sin6_scope_id
		       : 0;
}

/* Learns what the program had set before without our seeing it. */
static void learn(struct subject *subject)
{
	struct watched *watched = subject->watched;
	struct address name;
	if (watched->stage != STAGE_IP)
		return;
	subject_learn_options(subject);
	/* Bound to port 0: the kernel chose one. */
	if (watched->bound && !watched->name.port && bound_address(subject->fd, watched, &name))
		watched->name = name;
}

/* The other one goes on with a socket that is shared: this one connects a socket of its own. */
static int part(struct subject *subject)
{
	struct watched *others;
	if (!subject->watched->shared || subject->watched->stage != STAGE_BOUND)
		return 0;
	int error = subject_part(subject, &others);
	if (!error)
		subject_reopen(subject);
	return error;
}

static void connect_mapped(
	struct subject *subject, const struct rule *rule, const struct address *asked, uint32_t scope)
{
	int flags = subject_flags(subject), parted = flags < 0 ? 0 : part(subject);
	if (parted)
		fail(subject, parted);
	if (flags < 0 || parted)
		return;
	struct attempt *attempt = calloc(1, sizeof *attempt);
	if (!attempt) {
		fail(subject, ENOBUFS);
		return;
	}
	*attempt = (struct attempt){
		.watched = subject->watched, .number = subject->number, .fresh = -1, .own = -1};
	attempt->flags = flags;
	attempt->turn = wait_turn();
	attempt->rule = rule;
	int error = destination_to_connect(rule, asked, &attempt->to) ? 0 : errno;
	attempt->nonblocking = flags & O_NONBLOCK;
	if (subject->watched->stage == STAGE_BOUND && subject->watched->transport == attempt->to.transport &&
		!attempt->to.greeting)
		attempt->own = libc.fcntl(subject->fd, F_DUPFD_CLOEXEC, NULL);
	subject->watched->asked = *asked;
	subject->watched->scope = scope;
	subject->watched->attempt = attempt;
	if (error) {
		drop(attempt);
		fail(subject, error);
		return;
	}
	learn(subject);
	if (attempt->nonblocking && !attempt->to.greeting)
		connect_nonblocking(subject, attempt);
	else
		connect_held(subject, attempt);
}

/* From here on the socket is left to IP. */
static void connect_by_ip(struct subject *subject, const struct address *asked, const struct rule *rule)
{
	report("connect", asked, NULL, NULL, rule ? "direct, left to IP" : "no rule, left to IP");
	int error = subject->watched->stage == STAGE_IP ? 0 : subject_to_ip(subject);
	if (error) {
		fail(subject, error);
		return;
	}
	subject->watched->used = true;
	call_pass(subject->call);
}

static void connect_stream(struct subject *subject, const struct sockaddr_storage *address, socklen_t length)
{
	struct watched *watched = subject->watched;
	struct address asked;
	address_from_sockaddr(&asked, (const struct sockaddr *)address, length);
	if (address_is_wildcard(&asked) && watched->bound && address_is_ipv4(&watched->name))
		asked = address_ipv4(INADDR_ANY, asked.port); /* as tcp_v6_connect() does */
	address_wildcard_to_loopback(&asked);
	const struct verdict verdict = verdict_of(shim.map, SIDE_CONNECT, SOCKET_STREAM, &asked);
	if (watched->stage == STAGE_IP && verdict.kind != VERDICT_IP && is_open_in_tcp(subject)) {
		fail(subject, EISCONN);
	} else if (verdict.kind == VERDICT_IP) {
		connect_by_ip(subject, &asked, verdict.rule);
	} else if (verdict.kind == VERDICT_RESERVED) {
		report_unreachable(&asked, false);
		fail(subject, verdict.error);
	} else if (watched->family == AF_INET6 && address_is_ipv4(&asked) &&
		   options_int(&watched->options, IPPROTO_IPV6, IPV6_V6ONLY, 0)) {
		fail(subject, ENETUNREACH);
	} else if (verdict.kind == VERDICT_REFUSED) {
		report("connect", &asked, verdict.rule, NULL, "refused");
		fail(subject, verdict.error);
	} else {
		connect_mapped(subject, verdict.rule, &asked, scope_of(watched, address, length));
	}
}

/* UDP is left to IP, except for what is sent to a name server for which the map stands in; nothing is sent to
 * the reserved ranges. */
static void connect_datagram(
	struct subject *subject, const struct sockaddr_storage *address, socklen_t length)
{
	struct watched *watched = subject->watched;
	struct address asked;
	address_from_sockaddr(&asked, (const struct sockaddr *)address, length);
	address_wildcard_to_loopback(&asked);
	const struct verdict verdict = verdict_of(shim.map, SIDE_CONNECT, SOCKET_DATAGRAM, &asked);
	if (verdict.kind == VERDICT_NAMES) {
		int error =
			nameserver_replace(subject, verdict.rule, &asked, scope_of(watched, address, length));
		if (!error)
			watched->stage = STAGE_CONNECTED;
		fail(subject, error);
	} else if (verdict.kind == VERDICT_RESERVED) {
		/* As resolvers do for each name, to find out which addresses can be reached: no error to log.
		 */
		report("connect", &asked, NULL, NULL, "UDP isn't carried");
		fail(subject, verdict.error);
	} else {
		int error = watched->stage == STAGE_IP ? 0 : subject_to_ip(subject);
		if (error)
			fail(subject, error);
		else
			call_pass(subject->call);
	}
}

/* What the socket's state decides before the address is examined. true: answered. */
static bool connect_by_stage(struct subject *subject)
{
	struct watched *watched = subject->watched;
	if (watched->options.datagram)
		return false;
	if (watched->attempt && call_is_there(&watched->attempt->held.call)) {
		connect_beside(subject);
	} else if (watched->attempt) {
		resume(subject);
	} else if (watched->stage == STAGE_CONNECTING) {
		connect_again(subject);
	} else if (watched->abort_once) { /* what the kernel returns if the attempt had failed and the program
					     knows */
		watched->abort_once = false;
		if (watched->stage == STAGE_BOUND)
			fail(subject, ECONNABORTED);
		else
			start_over(subject, ECONNABORTED);
	} else if (watched->stage == STAGE_CONNECTED && watched->report_once) {
		watched->report_once = false;
		answer(subject, 0, 0);
	} else if (watched->stage == STAGE_CONNECTED || watched->stage == STAGE_LISTENING) {
		fail(subject, EISCONN);
	} else {
		return false;
	}
	return true;
}

static void disconnect(struct subject *subject)
{
	struct attempt *attempt = subject->watched->attempt;
	int error = 0;
	if (attempt && !call_is_there(&attempt->held.call))
		drop(attempt);
	if (subject->watched->stage == STAGE_IP)
		call_pass(subject->call);
	else if (!(error = subject_to_ip(subject)))
		answer(subject, 0, 0);
	else
		fail(subject, error);
}

void serve_connect(struct subject *subject)
{
	struct sockaddr_storage address;
	socklen_t length;
	int error;
	if (!subject_know(subject, &error)) {
		if (error)
			fail(subject, error);
		else
			call_pass(subject->call);
		return;
	}
	if (!subject_read_address(subject, argument(subject, 1), argument(subject, 2), &address, &length))
		return;
	struct watched *watched = subject->watched;
	int wrong = wrong_address(watched, &address, length);
	if (length < sizeof address.ss_family)
		fail(subject, EINVAL);
	else if (address.ss_family == AF_UNSPEC)
		disconnect(subject);
	else if (connect_by_stage(subject))
		;
	else if (wrong && watched->options.datagram && watched->stage == STAGE_IP)
		call_pass(subject->call); /* an IPv6 UDP socket takes IPv4 addresses too */
	else if (wrong)
		fail(subject, wrong);
	else if (watched->options.datagram)
		connect_datagram(subject, &address, length);
	else
		connect_stream(subject, &address, length);
}
