/* SPDX-License-Identifier: MIT */
/* What connect(), bind(), accept(), the data calls and the options share: the end of a non-blocking attempt,
 * the way back to IP, and the kernel's own answer where it is the right one. Whichever call asks first finds
 * out that an attempt has ended (stream_settle()): CONNECTING becomes CONNECTED or FAILED by a
 * compare-and-exchange, because several threads may ask, but SO_ERROR must be reported once. stream_to_ip()
 * puts a fresh INET socket with the program's options on its number, and stream_leave_to_ip() then lets the
 * kernel connect that. */
#include "stream_internal.h"

#include "core/names.h"
#include "core/text.h"
#include "greeter.h"
#include "protocol.h"
#include "state/door.h"
#include "system/forks.h"
#include "system/task.h"

#include <netinet/in.h>
#include <poll.h>
#include <string.h>

/* In the child of a fork(), the parent's threads that wait in connect() and accept() don't exist: nobody
 * would close their fresh sockets, and a peer would wait in vain for the end of the data. */
static void forget_threads(int fd, void *context)
{
	(void)context;
	struct sock *sock = fd_sock(fd);
	if (!sock || (sock->fresh < 0 && !sock->attempting && !sock->accepting && !sock->pins &&
			     !sock->keepers && !sock->swaps))
		return; /* don't write: the page is shared with the parent */
	if (sock->fresh >= 0)
		close_quietly(sock->fresh);
	sock->fresh = -1;
	sock->orphaned = sock->attempting && state_of(sock) == STATE_CONNECTING;
	sock->attempting = 0;
	sock->accepting = 0;
	sock->pins = sock->keepers = sock->swaps = 0;
}

static void before_fork(void)
{
	forks_before();
	task_before_fork();
}

static void in_child(void)
{
	forks_in_child();
	greeter_in_child();
	fd_each(NULL, forget_threads, NULL);
}

void stream_start(void)
{
	pthread_atfork(before_fork, forks_after, in_child);
}

enum sock_state stream_settle(int fd, struct sock *sock)
{
	struct sockaddr_storage peer;
	socklen_t length = sizeof peer;
	KEEP_ERRNO;
	bool waited_for = sock->attempting;
	if (state_of(sock) == STATE_CONNECTING && !fd_greets(sock) && !sock->report.error &&
		libc.getpeername(fd, (struct sockaddr *)&peer, &length) == 0 &&
		sock_change(sock, STATE_CONNECTING, STATE_CONNECTED) && !waited_for)
		sock->report.connected = true;
	return state_of(sock);
}

int stream_await_writable(int fd, const struct sock *sock, int limit_ms)
{
	struct pollfd wait = {.fd = fd, .events = POLLOUT};
	int left = limit_ms, ready;
	do {
		int glance = limit_ms && left < 500 ? left : 500;
		ready = libc.poll(&wait, 1, glance);
		left -= limit_ms ? glance : 0;
	} while (ready == 0 && fd_sock(fd) == sock && (!limit_ms || left));
	return ready || fd_sock(fd) == sock ? ready : fail(EBADF);
}

static int replace_by_ip(int fd, struct sock *sock)
{
	fd = fd_of(fd, sock); /* the program may go on with a dup */
	int flags = swap_flags(fd);
	if (flags < 0)
		return -1;
	int fresh = libc.socket(sock->family, protocol_of(sock)->type | flags, 0);
	if (fresh < 0)
		return -1;
	bool locked = sock->greeting && fd_greeting_lock(sock);
	if (state_of(sock) == STATE_CONNECTING) { /* the outcome is still to be reported */
		sock->report.error = stream_take_error(fd, sock);
		if (locked && !sock->report.error)
			sock->report.error = ECONNRESET;
	}
	log_debug("a mapped socket is IP's again");
	options_replay(&sock->options, sock->family, fresh);
	bool keeps_port = sock->claim.bound && !(sock->claim.any_port && state_of(sock) != STATE_BOUND);
	if (keeps_port) {
		struct sockaddr_storage name;
		socklen_t length = address_to_sockaddr(&sock->claim.name, sock->family, &name);
		libc.bind(fresh, (struct sockaddr *)&name,
			length); /* if IP has that address; we record it in any case */
	}
	bool attempted = state_of(sock) != STATE_BOUND && state_of(sock) != STATE_LISTENING;
	struct address source =
		attempted && sock->claim.had_address ? stream_own_address(fd, sock) : sock->claim.name;
	int result = swap_in(fd, sock, fresh);
	if (result == 0)
		door_close(sock);
	if (locked && result == 0)
		fd_greeting_end(sock);
	else if (locked)
		fd_greeting_unlock(sock);
	if (result < 0)
		return -1;
	memcpy(sock->claim.name.ip, source.ip, sizeof source.ip);
	if (sock->claim.bound && !keeps_port)
		claim_give_up(&sock->claim);
	report_reset(&sock->report, sock->report.error);
	shut_reset(&sock->shut);
	sock->shares = sock->accepted = false;
	set_state(sock, STATE_IP);
	return 0;
}

int stream_to_ip(int fd, struct sock *sock)
{
	forks_hold_off();
	int result = replace_by_ip(fd, sock);
	forks_let();
	return result;
}

int stream_take_error(int fd, struct sock *sock)
{
	const struct transport *transport = sock->transport; /* another thread may be closing it */
	int error = 0;
	socklen_t length = sizeof error;
	if (libc.getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0)
		return errno;
	int kept = atomic_exchange(&sock->report.error, 0);
	if (kept)
		error = kept;
	else if (error && state_of(sock) == STATE_CONNECTING)
		error = transport ? transport->connect_error(error) : error;
	if (error && !sock_change(sock, STATE_CONNECTING, STATE_FAILED) && state_of(sock) == STATE_CONNECTED)
		sock->report.broken =
			true; /* it was reset: from here on writes are EPIPE, and it has no peer */
	return error;
}

void stream_log(const char *what, const struct address *address, const struct rule *rule,
	const struct endpoint *endpoint, const char *outcome)
{
	if (log_limit < (rule ? LOG_CONNECT : LOG_DEBUG))
		return;
	char text[ADDRESS_PORT_TEXT], host[NAME_TEXT] = "", digits[11], quoted[160],
				      where[ENDPOINT_TEXT] = "";
	bool cid = rule && endpoint && target_has_cid(rule);
	if (cid)
		endpoint_format(endpoint, where, sizeof where);
	bool pattern;
	address_port_format(address, text, sizeof text);
	if (!names_host(shim.map, address, host, &pattern))
		host[0] = '\0';
	if (!rule) {
		log_debug(what, " ", text, ": ", outcome);
		return;
	}
	struct text number = text_in(digits, sizeof digits);
	text_add_number(&number, rule->number);
	size_t size = rule->text_length < sizeof quoted ? rule->text_length : sizeof quoted - 1;
	memcpy(quoted, rule->text, size);
	quoted[size] = '\0';
	log_connect(what, " ", text, *host ? " (" : "", host, *host ? ")" : "", cid ? " = CID " : "", where,
		": ", outcome, " [", rule->source, ", rule ", digits, ": ", quoted, "]");
}

int stream_unreachable(const struct address *address)
{
	char text[ADDRESS_PORT_TEXT], host[NAME_TEXT];
	bool pattern;
	address_port_format(address, text, sizeof text);
	if (!ranges_reserve(&shim.ranges, address))
		log_error(text, ": a rule takes this address, but the socket can't be mapped: "
				"it was opened in a child of vfork(), another thread is just changing it, or "
				"there's no memory");
	else if (names_host(shim.map, address, host, &pattern))
		log_error(text, " is ", host,
			": no rule of the map takes it with this port, and it never goes over IP");
	else
		log_error(text,
			": no rule takes this address of the reserved ranges, and it never goes over IP");
	return fail(EHOSTUNREACH);
}
