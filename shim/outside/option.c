/* SPDX-License-Identifier: MIT */
/* Socket options, ioctls and shutdown() of a mapped socket. Every option that the program sets is recorded,
 * and given to a scratch TCP socket to learn what TCP would answer (options.h). What describes the connection
 * is answered from the record. The filter lets all options through that mean the same on every socket, so
 * those never get here. */
#include "kernel.h"
#include "serve.h"
#include "task.h"

#include "system/unread.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>

enum { VALUE = 512 }; /* longer values (filters, keys) have an effect only while the socket is TCP's */

struct option {
	int level, name;
	uint8_t value[VALUE];
	socklen_t length;
};

/* ---- setsockopt() ---- */

/* IPV6_ADDRFORM turns a socket with an IPv4 connection into one of AF_INET. */
static int become_ipv4(struct watched *watched, const struct option *option)
{
	int family = 0;
	memcpy(&family, option->value, sizeof family);
	if (option->length < sizeof family || family != AF_INET)
		return EINVAL;
	watched->family = AF_INET;
	return 0;
}

/* TCP's answer to an option, if it is known without asking; -1: TCP must be asked. */
static int set_known(struct watched *watched, const struct option *option)
{
	bool connected = watched->stage == STAGE_CONNECTED, tcp = !watched->options.datagram;
	if (option->level == IPPROTO_TCP && tcp && option->name == TCP_ULP)
		return connected ? ENOENT : ENOTCONN; /* kernel TLS can't work on something that isn't TCP */
	if (option->level == IPPROTO_TCP && tcp && option->name == TCP_FASTOPEN && connected)
		return EINVAL;
	if (option->level == IPPROTO_IPV6 && option->name == IPV6_V6ONLY && watched->family == AF_INET6 &&
		option->length >= sizeof(int))
		return EINVAL; /* it has an address, or a connection */
	if (option->level == IPPROTO_IPV6 && option->name == IPV6_ADDRFORM && connected &&
		address_is_ipv4(&watched->asked))
		return become_ipv4(watched, option);
	return -1;
}

static int set_mapped(struct subject *subject, const struct option *option)
{
	struct watched *watched = subject->watched;
	int known = set_known(watched, option);
	if (known >= 0)
		return known;
	if (options_universal(option->level, option->name)) {
		if (libc.setsockopt(subject->fd, option->level, option->name, option->value, option->length) <
			0)
			return errno;
		options_remember(
			&watched->options, option->level, option->name, option->value, option->length);
		return 0;
	}
	if (options_set(&watched->options, watched->family, option->level, option->name, option->value,
		    option->length) < 0)
		return errno;
	if (option->level == SOL_SOCKET)
		options_apply_one(&watched->options, option->name, subject->fd,
			watched->rule ? watched->rule->buffer : 0);
	return 0;
}

/* On a socket that is still IP's, the kernel sets the option, with the program's rights; where those don't
 * matter, it is set here, since its error must be known. The value is recorded for the socket that may
 * replace it. */
static void set_by_ip(struct subject *subject, const struct option *option)
{
	int error;
	bool here = options_universal(option->level, option->name);
	if (here && libc.setsockopt(subject->fd, option->level, option->name, option->value, option->length) <
			    0) {
		fail(subject, errno);
		return;
	}
	if (subject_know(subject, &error))
		options_remember(&subject->watched->options, option->level, option->name, option->value,
			option->length);
	if (error || here)
		fail(subject, error);
	else
		call_pass(subject->call);
}

void serve_setsockopt(struct subject *subject)
{
	struct option option = {.level = (int)argument(subject, 1), .name = (int)argument(subject, 2)};
	struct watched *watched = subject->watched;
	bool ip = !watched || subject_settle(subject) == STAGE_IP;
	int64_t length = (int)argument(subject, 4);
	int error;
	if (option.level == SOL_SOCKET && option.name == SO_ZEROCOPY && subject_know(subject, &error)) {
		fail(subject, EOPNOTSUPP); /* nothing would report its completion; as TCP before Linux 4.14 */
		return;
	}
	if (ip && (length <= 0 || length > VALUE || !argument(subject, 3))) {
		call_pass(subject->call);
		return;
	}
	if (length < 0) {
		fail(subject, EINVAL);
		return;
	}
	option.length = length > VALUE ? VALUE : (socklen_t)length;
	if (!subject_read(subject, argument(subject, 3), option.value, option.length))
		return;
	if (ip)
		set_by_ip(subject, &option);
	else
		fail(subject, set_mapped(subject, &option));
}

/* ---- getsockopt() ---- */

static uint8_t tcp_state(int fd, const struct watched *watched)
{
	struct pollfd peer = {.fd = fd, .events = POLLRDHUP};
	bool finished = libc.poll(&peer, 1, 0) > 0 && peer.revents & (POLLRDHUP | POLLHUP);
	if (watched->shut)
		return finished ? TCP_CLOSE : TCP_FIN_WAIT2;
	return finished ? TCP_CLOSE_WAIT : TCP_ESTABLISHED;
}

/* TCP_INFO of a scratch socket, with what a connection on a perfect network would have added to it. */
static void get_tcp_info(const struct subject *subject, struct option *option)
{
	const struct watched *watched = subject->watched;
	struct tcp_info info;
	memcpy(&info, option->value, sizeof info);
	info.tcpi_state = watched->stage == STAGE_LISTENING    ? TCP_LISTEN
			  : watched->stage == STAGE_CONNECTING ? TCP_SYN_SENT
							       : TCP_CLOSE;
	if (watched->stage == STAGE_CONNECTED) {
		info.tcpi_state = tcp_state(subject->fd, watched);
		info.tcpi_snd_mss = info.tcpi_rcv_mss = info.tcpi_advmss = LOOPBACK_MSS;
		info.tcpi_pmtu = LOOPBACK_MTU;
		info.tcpi_snd_cwnd = 10;
	}
	memcpy(option->value, &info, sizeof info);
}

static void set_int(struct option *option, int value)
{
	memcpy(option->value, &value, sizeof value);
	option->length = sizeof value;
}

/* The options of SOL_SOCKET that describe the socket. false: it isn't one of those. */
static bool get_nature(struct subject *subject, struct option *option)
{
	struct watched *watched = subject->watched;
	bool datagram = watched->options.datagram;
	switch (option->name) {
	case SO_ERROR: {
		bool connecting = watched->stage == STAGE_CONNECTING;
		int error = subject_take_error(subject);
		watched->abort_once |= connecting && error;
		set_int(option, error);
		return true;
	}
	case SO_DOMAIN:
		set_int(option, watched->family);
		return true;
	case SO_TYPE:
		set_int(option, datagram ? SOCK_DGRAM : SOCK_STREAM);
		return true;
	case SO_PROTOCOL:
		set_int(option, datagram ? IPPROTO_UDP : IPPROTO_TCP);
		return true;
	default:
		return false;
	}
}

/* As options_of_connection(). */
static int get_of_connection(const struct watched *watched, struct option *option)
{
	int value, known = watched->stage == STAGE_CONNECTED
				   ? options_of_connection(&watched->options, watched->family,
					     address_is_ipv4(&watched->asked), option->level, option->name,
					     &value)
				   : -1;
	if (known == 0)
		set_int(option, value);
	return known;
}

/* SO_PEERNAME: never more than there is. */
static void get_peer(struct subject *subject, int room)
{
	struct watched *watched = subject->watched;
	struct sockaddr_storage peer;
	socklen_t size = address_to_sockaddr(&watched->asked, watched->family, &peer);
	if (watched->stage != STAGE_CONNECTED)
		fail(subject, ENOTCONN);
	else if (room < 0 || (socklen_t)room > size)
		fail(subject, EINVAL);
	else if (subject_write(subject, argument(subject, 3), &peer, (size_t)room))
		answer(subject, 0, 0);
}

/* A kernel that can't show what there is (ENOMEM, before Linux 5.5): a program that gets too large a count
 * reads until there is no more. */
static int unread(const struct subject *subject)
{
	const struct rule *rule = subject->watched->rule;
	int count = unread_bytes(subject->fd);
	if (count < 0 && errno == ENOMEM)
		return (int)(rule ? rule->buffer : BUFFER_DEFAULT);
	return count > 0 ? count : 0;
}

static int get_mapped(struct subject *subject, struct option *option, int room)
{
	struct watched *watched = subject->watched;
	if (option->level == SOL_SOCKET && get_nature(subject, option))
		return 0;
	int known = get_of_connection(watched, option);
	if (known >= 0)
		return known;
	bool info = option->level == IPPROTO_TCP && option->name == TCP_INFO;
	option->length = room < VALUE && !info ? (socklen_t)room : VALUE;
	int result = options_get(&watched->options, watched->family, option->level, option->name,
		option->value, &option->length);
	if (result == 0 && info)
		get_tcp_info(subject, option);
	if (option->level == IPPROTO_TCP && !watched->options.datagram &&
		option->name == OPTION_ZEROCOPY_RECEIVE)
		result = options_zerocopy(result, watched->stage == STAGE_LISTENING, option->value,
			&option->length, result == 0 ? unread(subject) : 0);
	return result < 0 ? errno : 0;
}

void serve_getsockopt(struct subject *subject)
{
	struct option option = {.level = (int)argument(subject, 1), .name = (int)argument(subject, 2)};
	struct watched *watched = subject->watched;
	bool own_error = option.level == SOL_SOCKET && option.name == SO_ERROR && watched && watched->refused;
	int room = 0;
	if (!watched || (subject_settle(subject) == STAGE_IP && !own_error)) {
		call_pass(subject->call);
		return;
	}
	if (!subject_read(subject, argument(subject, 4), &room, sizeof room))
		return;
	if (option.level == SOL_SOCKET && option.name == SO_PEERNAME) {
		get_peer(subject, room);
		return;
	}
	int error = room < 0 ? EINVAL : get_mapped(subject, &option, room);
	if (!error && option.length > (socklen_t)room)
		option.length = (socklen_t)room;
	if (!error)
		error = subject_return_value(
			subject, option.value, option.length, argument(subject, 3), argument(subject, 4));
	fail(subject, error);
}

/* ---- ioctl() ---- */

void serve_ioctl(struct subject *subject)
{
	struct watched *watched = subject->watched;
	unsigned long request = (uint32_t)argument(subject, 1);
	int count = 0;
	if (!watched || watched->stage == STAGE_IP) {
		call_pass(subject->call);
		return;
	}
	if (watched->stage == STAGE_LISTENING && request != IOCTL_AT_MARK) {
		fail(subject, EINVAL);
		return;
	}
	if (request == IOCTL_UNREAD)
		count = unread(subject);
	else if (libc.ioctl(subject->fd, request, &count) < 0)
		count = 0; /* no kernel has SIOCATMARK for AF_VSOCK, nor SIOCOUTQ before 6.12 */
	if (subject_write(subject, argument(subject, 2), &count, sizeof count))
		answer(subject, 0, 0);
}

/* ---- shutdown() ---- */

/* On TCP, shutdown() ends a listener: calls that wait in accept() are released, new clients are refused,
 * poll() returns HUP, and listen() starts again. An INET socket that is bound but doesn't listen behaves in
 * this way. */
static int shutdown_listener(struct subject *subject)
{
	struct watched *others;
	int error = subject_part(subject, &others);
	if (!error)
		accept_cancel(subject, others);
	return error;
}

/* TCP's SHUT_RD concerns this end only, and data that comes later can still be read. Our transports report it
 * to the peer, whose send() then fails, and AF_VSOCK discards what is queued. So it isn't passed on to them,
 * unless a thread may be asleep in recv(), which it must wake. */
static bool reader_may_sleep(const struct subject *subject)
{
	return task_has_threads(subject->call->thread) &&
	       !(libc.fcntl(subject->fd, F_GETFL, NULL) & O_NONBLOCK) && !is_readable(subject->fd);
}

static void shutdown_connection(struct subject *subject, int how)
{
	struct watched *watched = subject->watched;
	if (subject_settle(subject) != STAGE_CONNECTED) {
		fail(subject, ENOTCONN);
		return;
	}
	watched->report_once = false;
	if (how == SHUT_RD && !watched->shut && !reader_may_sleep(subject)) {
		answer(subject, 0, 0);
		return;
	}
	if (libc.shutdown(subject->fd, how) < 0) {
		fail(subject, errno);
		return;
	}
	watched->shut |= how == SHUT_RDWR;
	answer(subject, 0, 0);
}

void serve_shutdown(struct subject *subject)
{
	struct watched *watched = subject->watched;
	int how = (int)argument(subject, 1);
	if (watched && (how < SHUT_RD || how > SHUT_RDWR))
		fail(subject, EINVAL);
	else if (watched && how != SHUT_RD && attempt_cancel(watched))
		answer(subject, 0, 0);
	else if (!watched || watched->stage == STAGE_IP)
		call_pass(subject->call);
	else if (watched->stage == STAGE_LISTENING)
		fail(subject, shutdown_listener(subject));
	else
		shutdown_connection(subject, how);
}
