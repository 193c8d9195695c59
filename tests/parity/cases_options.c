/* SPDX-License-Identifier: MIT */
/* Socket options and ioctls: defaults, values set before and after, errors, what accept inherits. */
#include "parity.h"

struct option {
	const char *name;
	int level, option, value;
};
#define OPTION(level, option, value)                                                                         \
	{                                                                                                    \
#option, level, option, value                                                                \
	}

static const struct option common[] = {
	OPTION(SOL_SOCKET, SO_KEEPALIVE, 1),
	OPTION(SOL_SOCKET, SO_OOBINLINE, 1),
	OPTION(SOL_SOCKET, SO_PRIORITY, 5),
	OPTION(SOL_SOCKET, SO_MARK, 77),
	OPTION(SOL_SOCKET, SO_REUSEADDR, 1),
	OPTION(SOL_SOCKET, SO_REUSEPORT, 1),
	OPTION(SOL_SOCKET, SO_RCVLOWAT, 3),
	OPTION(SOL_SOCKET, SO_SNDBUF, 65536),
	OPTION(SOL_SOCKET, SO_RCVBUF, 65536),
	OPTION(SOL_SOCKET, SO_BUSY_POLL, 10),
	OPTION(SOL_SOCKET, SO_TIMESTAMP, 1),
	OPTION(SOL_SOCKET, SO_DONTROUTE, 1),
	OPTION(SOL_SOCKET, SO_NO_CHECK, 1),
	OPTION(SOL_SOCKET, SO_ZEROCOPY, 1),
	OPTION(SOL_SOCKET, SO_DEBUG, 1),
	OPTION(SOL_SOCKET, SO_BROADCAST, 1),
	OPTION(SOL_SOCKET, SO_RXQ_OVFL, 1),
	OPTION(SOL_SOCKET, SO_MAX_PACING_RATE, 1 << 30),
	OPTION(IPPROTO_TCP, TCP_NODELAY, 1),
	OPTION(IPPROTO_TCP, TCP_KEEPIDLE, 33),
	OPTION(IPPROTO_TCP, TCP_KEEPINTVL, 7),
	OPTION(IPPROTO_TCP, TCP_KEEPCNT, 4),
	OPTION(IPPROTO_TCP, TCP_SYNCNT, 3),
	OPTION(IPPROTO_TCP, TCP_LINGER2, 20),
	OPTION(IPPROTO_TCP, TCP_DEFER_ACCEPT, 3),
	OPTION(IPPROTO_TCP, TCP_USER_TIMEOUT, 5000),
	OPTION(IPPROTO_TCP, TCP_CORK, 1),
	OPTION(IPPROTO_TCP, TCP_MAXSEG, 1000),
	OPTION(IPPROTO_TCP, TCP_NOTSENT_LOWAT, 16384),
	OPTION(IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, 1),
	OPTION(IPPROTO_TCP, TCP_SAVE_SYN, 1),
	OPTION(IPPROTO_TCP, TCP_TIMESTAMP, 12345),
	OPTION(IPPROTO_TCP, TCP_QUICKACK, 0),
};

static const struct option ip4[] = {
	OPTION(IPPROTO_IP, IP_TOS, 0x10),
	OPTION(IPPROTO_IP, IP_TTL, 44),
	OPTION(IPPROTO_IP, IP_RECVERR, 1),
	OPTION(IPPROTO_IP, IP_FREEBIND, 1),
	OPTION(IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1),
	OPTION(IPPROTO_IP, IP_PKTINFO, 1),
	OPTION(IPPROTO_IP, IP_MTU_DISCOVER, 2),
	OPTION(IPPROTO_IP, IP_RECVTTL, 1),
	OPTION(IPPROTO_IP, IP_MINTTL, 1),
	OPTION(IPPROTO_IP, IP_TRANSPARENT, 1),
	OPTION(IPPROTO_IP, IP_RECVTOS, 1),
};

static const struct option ip6[] = {
	OPTION(IPPROTO_IPV6, IPV6_UNICAST_HOPS, 44),
	OPTION(IPPROTO_IPV6, IPV6_TCLASS, 0x20),
	OPTION(IPPROTO_IPV6, IPV6_V6ONLY, 1),
	OPTION(IPPROTO_IPV6, IPV6_RECVPKTINFO, 1),
	OPTION(IPPROTO_IPV6, IPV6_RECVERR, 1),
	OPTION(IPPROTO_IPV6, IPV6_MTU_DISCOVER, 2),
	OPTION(IPPROTO_IPV6, IPV6_RECVTCLASS, 1),
	OPTION(IPPROTO_IPV6, IPV6_AUTOFLOWLABEL, 1),
	OPTION(IPPROTO_IP, IP_TOS, 0x08),
};

#define COUNT(table) (sizeof(table) / sizeof(table[0]))

static void get(const char *who, int fd, const struct option *option)
{
	char text[80];
	snprintf(text, sizeof(text), "%s, %s", who, option->name);
	do_getsockopt(text, fd, option->level, option->option, sizeof(int));
}

static void set(const char *who, int fd, const struct option *option)
{
	char text[80];
	snprintf(text, sizeof(text), "%s, %s", who, option->name);
	do_setsockopt(text, fd, option->level, option->option, option->value);
}

/* Those whose value TCP itself changes with the connection's state or a timer. */
static bool moves(const struct option *option)
{
	return option->level == IPPROTO_TCP &&
	       (option->option == TCP_MAXSEG || option->option == TCP_TIMESTAMP ||
		       option->option == TCP_QUICKACK);
}

/* Its buffers are TCP's own to tune once it is connected, unless they were set. */
static bool tunes(const struct option *option)
{
	return moves(option) || option->option == SO_SNDBUF || option->option == SO_RCVBUF;
}

static bool is_clock(const struct option *option)
{
	return option->option == TCP_TIMESTAMP;
}

static bool is_v6only(const struct option *option)
{
	return option->level == IPPROTO_IPV6 && option->option == IPV6_V6ONLY;
}

static bool none(const struct option *option)
{
	(void)option;
	return false;
}

typedef void call(const char *who, int fd, const struct option *option);
static void each(call *call, const char *who, int fd, const struct option *table, size_t count,
	bool (*without)(const struct option *))
{
	for (size_t i = 0; i < count; i++)
		if (!without(&table[i]))
			call(who, fd, &table[i]);
}
#define EACH(call, fd, table, without) each(call, #fd, fd, table, COUNT(table), without)

CASE_EACH(option_defaults, "every option's default on a fresh socket")
{
	int s = tcp();
	EACH(get, s, common, is_clock);
	EACH(get, s, ip4, none);
	EACH(get, s, ip6, none);
}

CASE(option_defaults_connected, "every option's default on both ends of a connection")
{
	struct pair p = pair();
	EACH(get, p.client, common, tunes);
	EACH(get, p.server, common, tunes);
	EACH(get, p.client, ip4, none);
	EACH(get, p.server, ip4, none);
}

CASE_EACH(option_set_fresh, "what is set on a fresh socket is read back, before connect and after")
{
	int s = listener(), c = tcp();
	EACH(set, c, common, none);
	EACH(set, c, ip4, none);
	EACH(set, c, ip6, is_v6only);
	EACH(get, c, common, is_clock);
	CONNECT(c, address_of(s));
	EACH(get, c, common, moves);
	EACH(get, c, ip4, none);
	EACH(get, c, ip6, none);
}

CASE_EACH(option_set_connected, "what is set on a connected socket is read back")
{
	struct pair p = pair();
	EACH(set, p.client, common, none);
	EACH(get, p.client, common, moves);
	EACH(set, p.client, ip4, none);
	EACH(get, p.client, ip4, none);
	CARRIES(p.client, p.server);
}

CASE_EACH(option_inherited_by_accept, "what the listener has set before listen, its connections have")
{
	int s = tcp(), c = tcp();
	EACH(set, s, common, none);
	EACH(set, s, ip4, none);
	EACH(set, s, ip6, none);
	SETSOCKOPT(s, IPPROTO_IPV6, IPV6_V6ONLY, 0);
	SETSOCKOPT(s, IPPROTO_TCP, TCP_DEFER_ACCEPT, 0);
	BIND(s, loopback(0));
	LISTEN(s, 5);
	connect_to(c, address_of(s));
	int a = ACCEPT(s);
	EACH(get, a, common, moves);
	EACH(get, a, ip4, none);
	EACH(get, a, ip6, none);
}

CASE(option_inherited_after_listen, "what the listener sets after listen, the next connection has")
{
	int s = listener(), c = tcp();
	SETSOCKOPT(s, IPPROTO_TCP, TCP_NODELAY, 1);
	SETSOCKOPT(s, SOL_SOCKET, SO_KEEPALIVE, 1);
	SETSOCKOPT(s, IPPROTO_TCP, TCP_KEEPIDLE, 99);
	SETSOCKOPT(s, SOL_SOCKET, SO_OOBINLINE, 1);
	connect_to(c, address_of(s));
	int a = ACCEPT(s);
	GETSOCKOPT(a, IPPROTO_TCP, TCP_NODELAY);
	GETSOCKOPT(a, SOL_SOCKET, SO_KEEPALIVE);
	GETSOCKOPT(a, IPPROTO_TCP, TCP_KEEPIDLE);
	GETSOCKOPT(a, SOL_SOCKET, SO_OOBINLINE);
	SETSOCKOPT(a, IPPROTO_TCP, TCP_NODELAY, 0);
	GETSOCKOPT(a, IPPROTO_TCP, TCP_NODELAY);
	GETSOCKOPT(s, IPPROTO_TCP, TCP_NODELAY);
}

CASE(option_inherited_timeouts, "SO_RCVTIMEO of the listener limits recv on what it accepts")
{
	int s = listener(), c = tcp();
	struct timeval limit = {0, 200000};
	SETSOCKOPT_DATA(s, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	connect_to(c, address_of(s));
	int a = ACCEPT(s);
	GETSOCKOPT_SIZE(a, SOL_SOCKET, SO_RCVTIMEO, sizeof(limit));
	clock_start();
	RECV(a, 1, 0);
	TOOK(200);
}

CASE(option_inherited_linger, "SO_LINGER of the listener passes to what it accepts")
{
	int s = listener(), c = tcp();
	struct linger linger = {1, 3};
	SETSOCKOPT_DATA(s, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	connect_to(c, address_of(s));
	int a = ACCEPT(s);
	GETSOCKOPT_SIZE(a, SOL_SOCKET, SO_LINGER, sizeof(linger));
}

CASE_EACH(option_domain, "SO_DOMAIN, SO_TYPE and SO_PROTOCOL say TCP, in every state")
{
	int fresh = tcp();
	struct pair p = pair();
	int all[] = {fresh, p.listener, p.client, p.server};
	for (int i = 0; i < 4; i++) {
		GETSOCKOPT(all[i], SOL_SOCKET, SO_DOMAIN);
		GETSOCKOPT(all[i], SOL_SOCKET, SO_TYPE);
		GETSOCKOPT(all[i], SOL_SOCKET, SO_PROTOCOL);
		GETSOCKOPT(all[i], SOL_SOCKET, SO_ACCEPTCONN);
		GETSOCKOPT(all[i], SOL_SOCKET, SO_ERROR);
	}
}

CASE(option_read_only, "options that can't be set say ENOPROTOOPT")
{
	struct pair p = pair();
	SETSOCKOPT(p.client, SOL_SOCKET, SO_TYPE, 1);
	SETSOCKOPT(p.client, SOL_SOCKET, SO_DOMAIN, 2);
	SETSOCKOPT(p.client, SOL_SOCKET, SO_PROTOCOL, 6);
	SETSOCKOPT(p.client, SOL_SOCKET, SO_ERROR, 0);
	SETSOCKOPT(p.client, SOL_SOCKET, SO_ACCEPTCONN, 1);
	SETSOCKOPT(p.client, SOL_SOCKET, SO_PEERCRED, 1);
	SETSOCKOPT(p.client, IPPROTO_TCP, TCP_INFO, 1);
	SETSOCKOPT(p.client, IPPROTO_IP, IP_MTU, 1);
}

CASE(option_unknown, "unknown options and levels, get and set, connected and fresh")
{
	struct pair p = pair();
	int fresh = tcp(), all[] = {fresh, p.client};
	for (int i = 0; i < 2; i++) {
		SETSOCKOPT(all[i], SOL_SOCKET, 9999, 1);
		GETSOCKOPT(all[i], SOL_SOCKET, 9999);
		SETSOCKOPT(all[i], IPPROTO_TCP, 9999, 1);
		GETSOCKOPT(all[i], IPPROTO_TCP, 9999);
		SETSOCKOPT(all[i], IPPROTO_IP, 9999, 1);
		GETSOCKOPT(all[i], IPPROTO_IP, 9999);
		SETSOCKOPT(all[i], IPPROTO_UDP, 1, 1);
		GETSOCKOPT(all[i], IPPROTO_UDP, 1);
		SETSOCKOPT(all[i], 4242, 1, 1);
		GETSOCKOPT(all[i], 4242, 1);
		SETSOCKOPT(all[i], IPPROTO_IPV6, IPV6_V6ONLY, 1);
		GETSOCKOPT(all[i], IPPROTO_IPV6, IPV6_V6ONLY);
		SETSOCKOPT(all[i], 40, 0, 1); /* AF_VSOCK's own level */
		GETSOCKOPT(all[i], 40, 0);
	}
}

CASE(option_bad_values, "values out of range are refused and change nothing")
{
	struct pair p = pair();
	int fresh = tcp(), all[] = {fresh, p.client};
	for (int i = 0; i < 2; i++) {
		SETSOCKOPT(all[i], IPPROTO_TCP, TCP_KEEPIDLE, 0);
		SETSOCKOPT(all[i], IPPROTO_TCP, TCP_KEEPIDLE, 40000);
		SETSOCKOPT(all[i], IPPROTO_TCP, TCP_KEEPINTVL, -1);
		SETSOCKOPT(all[i], IPPROTO_TCP, TCP_KEEPCNT, 128);
		SETSOCKOPT(all[i], IPPROTO_TCP, TCP_SYNCNT, 0);
		SETSOCKOPT(all[i], IPPROTO_TCP, TCP_MAXSEG, 3);
		SETSOCKOPT(all[i], IPPROTO_TCP, TCP_USER_TIMEOUT, -1);
		SETSOCKOPT(all[i], IPPROTO_TCP, TCP_NOTSENT_LOWAT, -1);
		SETSOCKOPT(all[i], IPPROTO_IP, IP_TTL, 0);
		SETSOCKOPT(all[i], IPPROTO_IP, IP_TTL, 256);
		SETSOCKOPT(all[i], IPPROTO_IP, IP_MTU_DISCOVER, 99);
		SETSOCKOPT(all[i], SOL_SOCKET, SO_PRIORITY, -1);
		SETSOCKOPT(all[i], SOL_SOCKET, SO_BUSY_POLL, -1);
		SETSOCKOPT(all[i], IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 7);
		GETSOCKOPT(all[i], IPPROTO_TCP, TCP_KEEPIDLE);
		GETSOCKOPT(all[i], IPPROTO_IP, IP_TTL);
	}
}

CASE(option_truth_values, "any value but 0 is true for a switch, and reads back as 1")
{
	struct pair p = pair();
	SETSOCKOPT(p.client, IPPROTO_TCP, TCP_NODELAY, 42);
	GETSOCKOPT(p.client, IPPROTO_TCP, TCP_NODELAY);
	SETSOCKOPT(p.client, SOL_SOCKET, SO_KEEPALIVE, -7);
	GETSOCKOPT(p.client, SOL_SOCKET, SO_KEEPALIVE);
	SETSOCKOPT(p.client, SOL_SOCKET, SO_KEEPALIVE, 0);
	GETSOCKOPT(p.client, SOL_SOCKET, SO_KEEPALIVE);
	SETSOCKOPT(p.client, SOL_SOCKET, SO_REUSEADDR, 3);
	GETSOCKOPT(p.client, SOL_SOCKET, SO_REUSEADDR);
}

CASE(option_set_sizes, "a value shorter than an int is EINVAL, a longer one is taken, no value EFAULT")
{
	struct pair p = pair();
	int fresh = tcp(), all[] = {fresh, p.client};
	int64_t one = 1;
	unsigned char byte = 1;
	for (int i = 0; i < 2; i++) {
		SETSOCKOPT_DATA(all[i], IPPROTO_TCP, TCP_NODELAY, &byte, 1);
		SETSOCKOPT_DATA(all[i], IPPROTO_TCP, TCP_NODELAY, &one, 8);
		SETSOCKOPT_DATA(all[i], IPPROTO_TCP, TCP_NODELAY, &one, 0);
		SETSOCKOPT_DATA(all[i], IPPROTO_TCP, TCP_NODELAY, &one, (socklen_t)-1);
		SETSOCKOPT_DATA(all[i], IPPROTO_TCP, TCP_NODELAY, NULL, 4);
		SETSOCKOPT_DATA(all[i], SOL_SOCKET, SO_KEEPALIVE, &byte, 1);
		SETSOCKOPT_DATA(all[i], SOL_SOCKET, SO_KEEPALIVE, NULL, 4);
		SETSOCKOPT_DATA(all[i], SOL_SOCKET, SO_SNDBUF, &byte, 2);
		SETSOCKOPT_DATA(all[i], IPPROTO_IP, IP_TOS, &byte, 1);
		SETSOCKOPT_DATA(all[i], IPPROTO_IP, IP_TTL, &byte, 0);
		GETSOCKOPT(all[i], IPPROTO_IP, IP_TOS);
		GETSOCKOPT(all[i], IPPROTO_TCP, TCP_NODELAY);
	}
}

CASE(option_get_sizes, "getsockopt cuts to the caller's size and returns the true one")
{
	struct pair p = pair();
	int fresh = tcp(), all[] = {fresh, p.client};
	for (int i = 0; i < 2; i++) {
		GETSOCKOPT_SIZE(all[i], IPPROTO_TCP, TCP_NODELAY, 1);
		GETSOCKOPT_SIZE(all[i], IPPROTO_TCP, TCP_NODELAY, 8);
		GETSOCKOPT_SIZE(all[i], IPPROTO_TCP, TCP_NODELAY, 0);
		GETSOCKOPT_SIZE(all[i], IPPROTO_TCP, TCP_NODELAY, (socklen_t)-1);
		GETSOCKOPT_SIZE(all[i], SOL_SOCKET, SO_TYPE, 2);
		GETSOCKOPT_SIZE(all[i], SOL_SOCKET, SO_DOMAIN, 8);
		GETSOCKOPT_SIZE(all[i], SOL_SOCKET, SO_DOMAIN, 1);
		GETSOCKOPT_SIZE(all[i], SOL_SOCKET, SO_ERROR, 1);
		GETSOCKOPT_SIZE(all[i], IPPROTO_IP, IP_TTL, 1);
		GETSOCKOPT_SIZE(all[i], IPPROTO_IP, IP_TTL, 3);
		GETSOCKOPT_SIZE(all[i], SOL_SOCKET, SO_LINGER, 4);
		GETSOCKOPT_SIZE(all[i], SOL_SOCKET, SO_LINGER, 16);
		GETSOCKOPT_SIZE(all[i], SOL_SOCKET, SO_RCVTIMEO, 8);
	}
}

CASE(option_null_pointers, "getsockopt with no buffer or no length is EFAULT")
{
	struct pair p = pair();
	int value = 0, fresh = tcp(), all[] = {fresh, p.client};
	for (int i = 0; i < 2; i++) {
		socklen_t length = 4;
		begin("getsockopt(TCP_NODELAY, NULL, 4)");
		finish(getsockopt(all[i], IPPROTO_TCP, TCP_NODELAY, NULL, &length));
		begin("getsockopt(TCP_NODELAY, value, NULL)");
		finish(getsockopt(all[i], IPPROTO_TCP, TCP_NODELAY, &value, NULL));
		begin("getsockopt(SO_DOMAIN, NULL, 4)");
		finish(getsockopt(all[i], SOL_SOCKET, SO_DOMAIN, NULL, &length));
		begin("getsockopt(SO_DOMAIN, value, NULL)");
		finish(getsockopt(all[i], SOL_SOCKET, SO_DOMAIN, &value, NULL));
	}
}

CASE(option_bad_pointers, "an option's value that can't be read or written is EFAULT, not a crash")
{
	struct pair p = pair();
	socklen_t length = 4;
	begin("setsockopt(TCP_NODELAY, an unmapped page)");
	finish(setsockopt(p.client, IPPROTO_TCP, TCP_NODELAY, (void *)4096, 4));
	begin("getsockopt(TCP_NODELAY, an unmapped page)");
	finish(getsockopt(p.client, IPPROTO_TCP, TCP_NODELAY, (void *)4096, &length));
	begin("getsockopt(SO_DOMAIN, an unmapped page)");
	finish(getsockopt(p.client, SOL_SOCKET, SO_DOMAIN, (void *)4096, &length));
}

CASE(option_linger, "SO_LINGER is read back as it was set")
{
	struct pair p = pair();
	struct linger linger = {1, 7};
	GETSOCKOPT_SIZE(p.client, SOL_SOCKET, SO_LINGER, sizeof(linger));
	SETSOCKOPT_DATA(p.client, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	GETSOCKOPT_SIZE(p.client, SOL_SOCKET, SO_LINGER, sizeof(linger));
	linger.l_onoff = 0;
	SETSOCKOPT_DATA(p.client, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	GETSOCKOPT_SIZE(p.client, SOL_SOCKET, SO_LINGER, sizeof(linger));
	SETSOCKOPT_DATA(p.client, SOL_SOCKET, SO_LINGER, &linger, 4);
}

CASE(option_timeouts, "SO_RCVTIMEO and SO_SNDTIMEO are read back, bad ones refused")
{
	int s = listener(), c = tcp();
	struct timeval three = {3, 500000}, bad = {0, 1000000}, negative = {-1, 0};
	SETSOCKOPT_DATA(c, SOL_SOCKET, SO_RCVTIMEO, &three, sizeof(three));
	SETSOCKOPT_DATA(c, SOL_SOCKET, SO_SNDTIMEO, &three, sizeof(three));
	SETSOCKOPT_DATA(c, SOL_SOCKET, SO_SNDTIMEO, &bad, sizeof(bad));
	CONNECT(c, address_of(s));
	GETSOCKOPT_SIZE(c, SOL_SOCKET, SO_RCVTIMEO, sizeof(three));
	GETSOCKOPT_SIZE(c, SOL_SOCKET, SO_SNDTIMEO, sizeof(three));
	SETSOCKOPT_DATA(c, SOL_SOCKET, SO_RCVTIMEO, &bad, sizeof(bad));
	SETSOCKOPT_DATA(c, SOL_SOCKET, SO_SNDTIMEO, &negative, sizeof(negative));
	SETSOCKOPT_DATA(c, SOL_SOCKET, SO_RCVTIMEO, &three, 4);
	GETSOCKOPT_SIZE(c, SOL_SOCKET, SO_RCVTIMEO, sizeof(three));
	GETSOCKOPT_SIZE(c, SOL_SOCKET, SO_SNDTIMEO, sizeof(three));
}

CASE(option_receive_timeout, "SO_RCVTIMEO set before connect limits recv after it: EAGAIN")
{
	int s = listener(), c = tcp();
	struct timeval limit = {0, 200000};
	SETSOCKOPT_DATA(c, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	CONNECT(c, address_of(s));
	clock_start();
	RECV(c, 10, 0);
	TOOK(200);
}

CASE(option_send_timeout, "SO_SNDTIMEO limits send to a peer that doesn't read: EAGAIN")
{
	struct pair p = pair();
	static char data[1 << 20];
	struct timeval limit = {0, 200000};
	SETSOCKOPT_DATA(p.client, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	for (int full = 0; full < 2;) /* TCP may find room once more */
		full = send(p.client, data, sizeof(data), 0) > 0 ? 0 : full + 1;
	clock_start();
	begin("send(p.client, 1 MiB)");
	finish(send(p.client, data, sizeof(data), 0));
	TOOK(200);
}

CASE(option_buffers, "SO_SNDBUF and SO_RCVBUF read back doubled, with a least value and a greatest")
{
	int s = listener(), c = tcp();
	SETSOCKOPT(c, SOL_SOCKET, SO_SNDBUF, 30000);
	GETSOCKOPT(c, SOL_SOCKET, SO_SNDBUF);
	SETSOCKOPT(c, SOL_SOCKET, SO_RCVBUF, 30000);
	GETSOCKOPT(c, SOL_SOCKET, SO_RCVBUF);
	CONNECT(c, address_of(s));
	GETSOCKOPT(c, SOL_SOCKET, SO_SNDBUF);
	GETSOCKOPT(c, SOL_SOCKET, SO_RCVBUF);
	SETSOCKOPT(c, SOL_SOCKET, SO_SNDBUF, 0);
	GETSOCKOPT(c, SOL_SOCKET, SO_SNDBUF);
	SETSOCKOPT(c, SOL_SOCKET, SO_RCVBUF, 0);
	GETSOCKOPT(c, SOL_SOCKET, SO_RCVBUF);
	SETSOCKOPT(c, SOL_SOCKET, SO_SNDBUF, 1 << 30);
	GETSOCKOPT(c, SOL_SOCKET, SO_SNDBUF);
	SETSOCKOPT(c, SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24);
	GETSOCKOPT(c, SOL_SOCKET, SO_RCVBUF);
	SETSOCKOPT(c, SOL_SOCKET, SO_RCVBUF, -1);
	GETSOCKOPT(c, SOL_SOCKET, SO_RCVBUF);
}

CASE(option_buffers_small, "a connection with the smallest buffers still carries a megabyte")
{
	int s = tcp(), c = tcp();
	SETSOCKOPT(s, SOL_SOCKET, SO_RCVBUF, 1);
	SETSOCKOPT(c, SOL_SOCKET, SO_SNDBUF, 1);
	BIND(s, loopback(0));
	LISTEN(s, 5);
	CONNECT(c, address_of(s));
	int a = ACCEPT(s);
	pid_t pid = child();
	if (!pid) {
		send_all(c, 1 << 18);
		done();
	}
	RECEIVE_ALL(a, 1 << 18);
	wait_for(pid);
}

CASE(option_low_water, "SO_RCVLOWAT: poll waits for that many bytes")
{
	struct pair p = pair();
	SETSOCKOPT(p.server, SOL_SOCKET, SO_RCVLOWAT, 4);
	SEND(p.client, "ab", 0);
	POLL(p.server);
	SEND(p.client, "cd", 0);
	POLL(p.server);
	RECV(p.server, 10, 0);
	GETSOCKOPT(p.server, SOL_SOCKET, SO_RCVLOWAT);
}

CASE(option_low_water_large, "SO_RCVLOWAT beyond any buffer is taken")
{
	struct pair p = pair();
	SETSOCKOPT(p.server, SOL_SOCKET, SO_RCVLOWAT, 1 << 28);
	SEND(p.client, "less", 0);
	POLL(p.server);
	SETSOCKOPT(p.server, SOL_SOCKET, SO_RCVLOWAT, 0);
	GETSOCKOPT(p.server, SOL_SOCKET, SO_RCVLOWAT);
	SETSOCKOPT(p.server, SOL_SOCKET, SO_SNDLOWAT, 5);
	GETSOCKOPT(p.server, SOL_SOCKET, SO_SNDLOWAT);
}

CASE(option_low_water_before_connect, "SO_RCVLOWAT set before connect holds after it")
{
	int s = listener(), c = tcp();
	SETSOCKOPT(c, SOL_SOCKET, SO_RCVLOWAT, 4);
	CONNECT(c, address_of(s));
	int a = accept_from(s);
	SEND(a, "ab", 0);
	POLL(c);
	SEND(a, "cd", 0);
	POLL(c);
}

CASE(option_tcp_info, "TCP_INFO's state follows the connection's")
{
	struct pair p = pair();
	int fresh = tcp(), all[] = {fresh, p.listener, p.client, p.server};
	for (int i = 0; i < 6; i++) {
		struct tcp_info info;
		socklen_t length = sizeof(info.tcpi_state);
		memset(&info, 0xa5, sizeof(info));
		if (i == 4)
			SHUTDOWN(p.client, SHUT_WR), pause_ms(300);
		int fd = i < 4 ? all[i] : i == 4 ? p.client : p.server;
		begin("getsockopt(TCP_INFO)");
		long value = getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length);
		finish_note(", state %d, length %d", info.tcpi_state, (int)length);
		finish(value);
	}
	struct tcp_info whole;
	memset(&whole, 0xa5, sizeof(whole));
	socklen_t length = sizeof(whole);
	begin("getsockopt(TCP_INFO)");
	finish(getsockopt(p.client, IPPROTO_TCP, TCP_INFO, &whole, &length));
	VALUE(length == sizeof(whole));
	VALUE(whole.tcpi_rtt < 1000000);
	VALUE(whole.tcpi_snd_mss > 0 && whole.tcpi_snd_mss <= 65535);
	VALUE(whole.tcpi_unacked);
	VALUE(whole.tcpi_retransmits);
}

CASE(option_congestion, "TCP_CONGESTION names an algorithm, takes a known one and refuses an unknown")
{
	struct pair p = pair();
	char name[16] = "";
	socklen_t length = sizeof(name);
	SETSOCKOPT_DATA(p.client, IPPROTO_TCP, TCP_CONGESTION, "reno", 4);
	begin("getsockopt(TCP_CONGESTION)");
	finish(getsockopt(p.client, IPPROTO_TCP, TCP_CONGESTION, name, &length));
	record("%s, length %d", bytes_text(name, strlen(name)), (int)length);
	SETSOCKOPT_DATA(p.client, IPPROTO_TCP, TCP_CONGESTION, "nosuch", 6);
	SETSOCKOPT_DATA(p.client, IPPROTO_TCP, TCP_CONGESTION, "", 0);
	length = 2;
	begin("getsockopt(TCP_CONGESTION, size 2)");
	finish(getsockopt(p.client, IPPROTO_TCP, TCP_CONGESTION, name, &length));
	VALUE(length);
}

CASE(option_congestion_before_connect, "TCP_CONGESTION set before connect is read back after it")
{
	int s = listener(), c = tcp();
	char name[16] = "";
	socklen_t length = sizeof(name);
	SETSOCKOPT_DATA(c, IPPROTO_TCP, TCP_CONGESTION, "reno", 4);
	CONNECT(c, address_of(s));
	begin("getsockopt(TCP_CONGESTION)");
	finish(getsockopt(c, IPPROTO_TCP, TCP_CONGESTION, name, &length));
	record("%s", bytes_text(name, strlen(name)));
}

CASE(option_ulp, "TCP_ULP with a name that nobody knows is ENOENT, and none is set")
{
	struct pair p = pair();
	char name[16] = "untouched";
	socklen_t length = sizeof(name);
	SETSOCKOPT_DATA(p.client, IPPROTO_TCP, TCP_ULP, "nosuch", 6);
	begin("getsockopt(TCP_ULP)");
	finish(getsockopt(p.client, IPPROTO_TCP, TCP_ULP, name, &length));
	VALUE(length);
}

CASE(option_peer_credentials, "SO_PEERCRED returns nobody's credentials")
{
	struct pair p = pair();
	struct {
		int pid, uid, gid;
	} credentials = {7, 7, 7};
	socklen_t length = sizeof(credentials);
	begin("getsockopt(SO_PEERCRED)");
	finish(getsockopt(p.client, SOL_SOCKET, SO_PEERCRED, &credentials, &length));
	record("%d %d %d, length %d", credentials.pid, credentials.uid, credentials.gid, (int)length);
	length = sizeof(credentials);
	begin("getsockopt(server, SO_PEERCRED)");
	finish(getsockopt(p.server, SOL_SOCKET, SO_PEERCRED, &credentials, &length));
	record("%d %d %d, length %d", credentials.pid, credentials.uid, credentials.gid, (int)length);
	SETSOCKOPT(p.client, SOL_SOCKET, SO_PASSCRED, 1);
	GETSOCKOPT(p.client, SOL_SOCKET, SO_PASSCRED);
}

/* Every name: is there an answer, and how long? Netfilter's names, from 64 on at IP's levels, aren't asked:
 * they make a kernel with CONFIG_BPFILTER start modprobe. Nor what depends on the path (IPV6_PATHMTU), or on
 * keys that TCP alone has (TCP_AO_GET_KEYS). */
static void walk(const char *who, int fd)
{
	static const struct {
		int level, names, without;
	} levels[] = {{SOL_SOCKET, 90, SO_ZEROCOPY}, {IPPROTO_TCP, 50, 42}, {IPPROTO_IP, 64, -1},
		{IPPROTO_IPV6, 64, IPV6_PATHMTU}};
	for (size_t i = 0; i < COUNT(levels); i++) {
		for (int name = 0; name < levels[i].names; name++) {
			char value[512] = ""; /* some read it first: MCAST_MSFILTER its group */
			socklen_t length = sizeof(value);
			int result = getsockopt(fd, levels[i].level, name, value, &length);
			if (name != levels[i].without)
				record("%s, level %d, option %d: %s, %d bytes", who, levels[i].level, name,
					result < 0 ? error_name(errno) : "0", result < 0 ? 0 : (int)length);
		}
	}
}

CASE_EACH(option_every_name, "every option that has a number, on a listener and on both ends of a connection")
{
	struct pair p = pair();
	walk("listener", p.listener);
	walk("client", p.client);
	walk("server", p.server);
}

CASE(option_zerocopy_receive,
	"TCP_ZEROCOPY_RECEIVE maps nothing of a few bytes, and says how many recv() is to read")
{
	enum { TCP_ZEROCOPY = 35 };
	struct pair p = pair();
	struct {
		uint64_t address;
		uint32_t length, skip_hint, queued;
		int32_t error;
	} zerocopy = {.length = 4096};
	socklen_t length = sizeof zerocopy;
	send(p.client, "hello", 5, 0);
	settle();
	begin("getsockopt(TCP_ZEROCOPY_RECEIVE)");
	finish(getsockopt(p.server, IPPROTO_TCP, TCP_ZEROCOPY, &zerocopy, &length));
	record("length %u, skip %u, queued %u", zerocopy.length, zerocopy.skip_hint, zerocopy.queued);
	zerocopy.length = 0;
	begin("getsockopt(listener, TCP_ZEROCOPY_RECEIVE)");
	finish(getsockopt(p.listener, IPPROTO_TCP, TCP_ZEROCOPY, &zerocopy, &length));
	zerocopy.address = 1;
	begin("getsockopt(client, TCP_ZEROCOPY_RECEIVE, an odd address)");
	finish(getsockopt(p.client, IPPROTO_TCP, TCP_ZEROCOPY, &zerocopy, &length));
}

CASE_EACH(option_of_connection, "the CPU, the family and the MTU of a connection are a TCP connection's")
{
	struct pair p = pair();
	int cpu = -1;
	socklen_t length = sizeof(cpu);
	send(p.client, "x", 1, 0);
	settle();
	getsockopt(p.server, SOL_SOCKET, SO_INCOMING_CPU, &cpu, &length);
	VALUE(cpu >= 0);
	GETSOCKOPT(p.client, SOL_SOCKET, SO_PEERSEC);
	GETSOCKOPT(p.client, IPPROTO_IPV6, IPV6_ADDRFORM);
	GETSOCKOPT(p.client, IPPROTO_IPV6, IPV6_MTU);
}

CASE(option_device, "SO_BINDTODEVICE takes lo and returns it, and refuses what isn't there")
{
	int c = tcp(), s = listener();
	char name[IFNAMSIZ] = "";
	socklen_t length = sizeof(name);
	SETSOCKOPT_DATA(c, SOL_SOCKET, SO_BINDTODEVICE, "nosuch0", 8);
	SETSOCKOPT_DATA(c, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3);
	CONNECT(c, address_of(s));
	begin("getsockopt(SO_BINDTODEVICE)");
	finish(getsockopt(c, SOL_SOCKET, SO_BINDTODEVICE, name, &length));
	record("%s, length %d", bytes_text(name, strlen(name)), (int)length);
}

CASE(option_mtu, "IP_MTU is ENOTCONN before connect, and loopback's after")
{
	int c = tcp(), s = listener();
	GETSOCKOPT(c, IPPROTO_IP, IP_MTU);
	CONNECT(c, address_of(s));
	GETSOCKOPT(c, IPPROTO_IP, IP_MTU);
	GETSOCKOPT(c, IPPROTO_IP, IP_MTU);
}

CASE(option_v6only, "IPV6_V6ONLY can be set until bind, then EINVAL")
{
	int s = SOCKET(AF_INET6, SOCK_STREAM, 0), t = SOCKET(AF_INET6, SOCK_STREAM, 0);
	GETSOCKOPT(s, IPPROTO_IPV6, IPV6_V6ONLY);
	SETSOCKOPT(s, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	BIND(s, ipv6("::", 0));
	GETSOCKOPT(s, IPPROTO_IPV6, IPV6_V6ONLY);
	SETSOCKOPT(s, IPPROTO_IPV6, IPV6_V6ONLY, 0);
	SETSOCKOPT(s, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	LISTEN(s, 5);
	CONNECT(t, address_of(s));
	SETSOCKOPT(t, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	int a = ACCEPT(s);
	GETSOCKOPT(a, IPPROTO_IPV6, IPV6_V6ONLY);
}

CASE(option_ipv6_on_ipv4, "IPv6 options on an IPv4 socket, connected or not")
{
	struct pair p = pair();
	SETSOCKOPT(p.client, IPPROTO_IPV6, IPV6_TCLASS, 1);
	GETSOCKOPT(p.client, IPPROTO_IPV6, IPV6_UNICAST_HOPS);
	SETSOCKOPT(p.listener, IPPROTO_IPV6, IPV6_V6ONLY, 1);
}

CASE(option_addrform, "IPV6_ADDRFORM turns a v4-mapped connection into an IPv4 one")
{
	family = AF_INET6;
	family_mapped = true;
	struct pair p = pair();
	SETSOCKOPT(p.client, IPPROTO_IPV6, IPV6_ADDRFORM, AF_INET);
	GETSOCKOPT(p.client, SOL_SOCKET, SO_DOMAIN);
	GETPEERNAME(p.client);
	CARRIES(p.client, p.server);
}

CASE(option_fastopen_listener, "TCP_FASTOPEN on a listener is taken and read back")
{
	int s = tcp();
	SETSOCKOPT(s, IPPROTO_TCP, TCP_FASTOPEN, 16);
	BIND(s, loopback(0));
	SETSOCKOPT(s, IPPROTO_TCP, TCP_FASTOPEN, 32);
	LISTEN(s, 5);
	GETSOCKOPT(s, IPPROTO_TCP, TCP_FASTOPEN);
	SETSOCKOPT(s, IPPROTO_TCP, TCP_FASTOPEN, 64);
	struct pair p = pair();
	SETSOCKOPT(p.client, IPPROTO_TCP, TCP_FASTOPEN, 8);
}

CASE(option_defer_accept, "TCP_DEFER_ACCEPT: a server that waits for data gets a client with data")
{
	int s = listener(), c = tcp();
	SETSOCKOPT(s, IPPROTO_TCP, TCP_DEFER_ACCEPT, 5);
	CONNECT(c, address_of(s));
	SEND(c, "first words", 0);
	POLL_WAIT(s, POLLIN);
	int a = ACCEPT(s);
	RECV(a, 20, 0);
}

CASE(option_filter, "a socket filter is taken and taken off, and says so")
{
	struct pair p = pair();
	struct {
		unsigned short code;
		unsigned char jt, jf;
		unsigned k;
	} all = {6, 0, 0, 0xffffffff};
	struct {
		unsigned short length;
		void *filter;
	} program = {1, &all};
	SETSOCKOPT(p.client, SOL_SOCKET, SO_DETACH_FILTER, 0);
	SETSOCKOPT_DATA(p.client, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
	CARRIES(p.server, p.client);
	SETSOCKOPT(p.client, SOL_SOCKET, SO_DETACH_FILTER, 0);
}

CASE(option_nodelay_like_asyncio, "TCP_NODELAY is set by who sees SO_PROTOCOL 6 on what it accepted")
{
	struct pair p = pair();
	int protocol = 0;
	socklen_t length = sizeof(protocol);
	getsockopt(p.server, SOL_SOCKET, SO_PROTOCOL, &protocol, &length);
	VALUE(protocol == IPPROTO_TCP);
	SETSOCKOPT(p.server, IPPROTO_TCP, TCP_NODELAY, 1);
	GETSOCKOPT(p.server, IPPROTO_TCP, TCP_NODELAY);
	GETSOCKOPT(p.client, IPPROTO_TCP, TCP_NODELAY);
}

CASE(option_cork, "corked writes arrive when the cork is pulled")
{
	struct pair p = pair();
	SETSOCKOPT(p.client, IPPROTO_TCP, TCP_CORK, 1);
	SEND(p.client, "head", 0);
	SEND(p.client, "body", 0);
	SETSOCKOPT(p.client, IPPROTO_TCP, TCP_CORK, 0);
	RECV(p.server, 8, MSG_WAITALL);
}

CASE(option_multicast, "multicast options on a TCP socket")
{
	struct pair p = pair();
	struct ip_mreqn group = {.imr_multiaddr.s_addr = htonl(0xe0000101)};
	SETSOCKOPT(p.client, IPPROTO_IP, IP_MULTICAST_TTL, 2);
	SETSOCKOPT(p.client, IPPROTO_IP, IP_MULTICAST_LOOP, 0);
	SETSOCKOPT_DATA(p.client, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof(group));
	GETSOCKOPT(p.client, IPPROTO_IP, IP_MULTICAST_TTL);
}

CASE(option_cookie, "SO_COOKIE is the same on every look, and differs between sockets")
{
	struct pair p = pair();
	uint64_t cookie[3] = {0};
	int fds[3] = {p.client, p.client, p.server};
	for (int i = 0; i < 3; i++) {
		socklen_t length = sizeof(cookie[i]);
		begin("getsockopt(SO_COOKIE)");
		finish(getsockopt(fds[i], SOL_SOCKET, SO_COOKIE, &cookie[i], &length));
	}
	VALUE(cookie[0] == cookie[1]);
	VALUE(cookie[0] == cookie[2]);
}

CASE(option_peek_offset, "SO_PEEK_OFF on a stream, as TCP of this kernel has it")
{
	struct pair p = pair();
	GETSOCKOPT(p.server, SOL_SOCKET, SO_PEEK_OFF);
	SETSOCKOPT(p.server, SOL_SOCKET, SO_PEEK_OFF, 2);
	GETSOCKOPT(p.server, SOL_SOCKET, SO_PEEK_OFF);
	SEND(p.client, "abcdef", 0);
	settle();
	RECV(p.server, 2, MSG_PEEK);
	RECV(p.server, 2, MSG_PEEK);
}

CASE(option_after_listener_close, "options of a closed socket don't show on the next with its number")
{
	int s = tcp(), number = s;
	SETSOCKOPT(s, IPPROTO_TCP, TCP_NODELAY, 1);
	SETSOCKOPT(s, SOL_SOCKET, SO_KEEPALIVE, 1);
	SETSOCKOPT(s, IPPROTO_IP, IP_TTL, 9);
	CLOSE(s);
	struct pair p = pair();
	VALUE(p.listener == number);
	GETSOCKOPT(p.listener, IPPROTO_TCP, TCP_NODELAY);
	GETSOCKOPT(p.listener, SOL_SOCKET, SO_KEEPALIVE);
	GETSOCKOPT(p.listener, IPPROTO_IP, IP_TTL);
}

CASE(option_shared_by_dup, "an option set through one dup is read through the other")
{
	struct pair p = pair();
	int c = DUP(p.client), fresh = tcp(), d = DUP(fresh);
	SETSOCKOPT(c, IPPROTO_TCP, TCP_NODELAY, 1);
	GETSOCKOPT(p.client, IPPROTO_TCP, TCP_NODELAY);
	SETSOCKOPT(d, IPPROTO_TCP, TCP_KEEPIDLE, 12);
	GETSOCKOPT(fresh, IPPROTO_TCP, TCP_KEEPIDLE);
}

/* ioctl */

CASE(ioctl_fionread, "FIONREAD counts what can be read, exactly")
{
	struct pair p = pair();
	IOCTL_INT(p.server, FIONREAD, -1);
	SEND(p.client, "hello", 0);
	POLL_WAIT(p.server, POLLIN);
	IOCTL_INT(p.server, FIONREAD, -1);
	RECV(p.server, 2, 0);
	IOCTL_INT(p.server, FIONREAD, -1);
	RECV(p.server, 10, 0);
	IOCTL_INT(p.server, FIONREAD, -1);
	CLOSE(p.client);
	IOCTL_INT(p.server, FIONREAD, -1);
}

CASE(ioctl_fionread_large, "FIONREAD is exact beyond 64 KiB")
{
	int s = tcp(), c = tcp();
	SETSOCKOPT(s, SOL_SOCKET, SO_RCVBUF, 1 << 20);
	BIND(s, loopback(0));
	LISTEN(s, 1);
	CONNECT(c, address_of(s));
	int a = ACCEPT(s);
	for (int i = 0; i < 4; i++) {
		send_all(c, 25000);
		pause_ms(100); /* TCP's window grows with its acknowledgements */
	}
	IOCTL_INT(a, FIONREAD, -1);
	RECEIVE_ALL(a, 25000);
	IOCTL_INT(a, FIONREAD, -1);
}

CASE(ioctl_fionread_pieces, "FIONREAD counts over many small messages")
{
	struct pair p = pair();
	for (int i = 0; i < 300; i++)
		send_all(p.client, 7);
	pause_ms(300); /* TCP's own delayed acknowledgement */
	IOCTL_INT(p.server, FIONREAD, -1);
	SHUTDOWN(p.client, SHUT_WR);
	IOCTL_INT(p.server, FIONREAD, -1);
}

CASE(ioctl_fionread_states, "FIONREAD on a fresh and a listening socket")
{
	int fresh = tcp(), s = listener();
	IOCTL_INT(fresh, FIONREAD, -1);
	IOCTL_INT(s, FIONREAD, -1);
}

CASE(ioctl_output_queue, "SIOCOUTQ comes to 0 when the peer has read all, and SIOCATMARK is 0")
{
	struct pair p = pair();
	IOCTL_INT(p.client, SIOCOUTQ, -1);
	SEND(p.client, "hello", 0);
	RECV(p.server, 10, 0);
	IOCTL_INT(p.client, SIOCOUTQ, -1);
	IOCTL_INT(p.client, SIOCATMARK, -1);
	begin("sockatmark");
	finish(sockatmark(p.server));
}

CASE(ioctl_output_queue_of_listener, "SIOCOUTQ and SIOCOUTQNSD of a listener are EINVAL")
{
	struct pair p = pair();
	IOCTL_INT(p.listener, SIOCOUTQ, -1);
	IOCTL_INT(p.listener, SIOCOUTQNSD, -1);
	IOCTL_INT(p.client, SIOCOUTQNSD, -1);
}

CASE(ioctl_namespace, "SIOCGSKNS returns the lowest fd that is free")
{
	struct pair p = pair();
	int lowest = lowest_free();
	begin("ioctl(p.client, SIOCGSKNS)");
	finish_fd(ioctl(p.client, SIOCGSKNS), lowest);
}

CASE(ioctl_fionbio, "FIONBIO before and after connect is O_NONBLOCK")
{
	int s = listener(), c = tcp();
	IOCTL_INT(c, FIONBIO, 1);
	SHOW_FLAGS(c);
	CONNECT(c, address_of(s));
	POLL_WAIT(c, POLLOUT);
	SHOW_FLAGS(c);
	RECV(c, 1, 0);
	IOCTL_INT(c, FIONBIO, 0);
	SHOW_FLAGS(c);
	int a = accept_from(s);
	SEND(a, "x", 0);
	RECV(c, 1, 0);
}

CASE(ioctl_cloexec, "FIOCLEX and FIONCLEX")
{
	struct pair p = pair();
	begin("ioctl(FIOCLEX)");
	finish(ioctl(p.client, FIOCLEX));
	SHOW_FLAGS(p.client);
	begin("ioctl(FIONCLEX)");
	finish(ioctl(p.client, FIONCLEX));
	SHOW_FLAGS(p.client);
}

CASE(ioctl_interface, "interface requests work on a connected socket as on any other")
{
	struct pair p = pair();
	struct ifreq request = {.ifr_name = "lo"};
	begin("ioctl(SIOCGIFFLAGS)");
	finish(ioctl(p.client, SIOCGIFFLAGS, &request));
	VALUE((request.ifr_flags & IFF_LOOPBACK) != 0);
	begin("ioctl(SIOCGIFADDR)");
	finish(ioctl(p.client, SIOCGIFADDR, &request));
	record("%s", inet_ntoa(((struct sockaddr_in *)&request.ifr_addr)->sin_addr));
}

CASE(ioctl_unknown, "an unknown request is ENOTTY, a terminal's too")
{
	struct pair p = pair();
	IOCTL_INT(p.client, 0x12345678, 0);
	begin("isatty");
	finish(isatty(p.client) - 1);
}

/* What the random walk found */

CASE(option_set_with_client_waiting,
	"what the listener sets while a client waits, that client's connection doesn't have")
{
	int s = listener(), c = tcp();
	connect_to(c, address_of(s));
	settle();
	SETSOCKOPT(s, IPPROTO_TCP, TCP_NODELAY, 1);
	SETSOCKOPT(s, SOL_SOCKET, SO_KEEPALIVE, 1);
	int a = ACCEPT(s);
	GETSOCKOPT(a, IPPROTO_TCP, TCP_NODELAY);
	GETSOCKOPT(a, SOL_SOCKET, SO_KEEPALIVE);
}

static void show_peer_name(int fd, socklen_t size)
{
	struct sockaddr_storage peer;
	memset(&peer, 0xa5, sizeof(peer));
	socklen_t length = size;
	begin("getsockopt(SO_PEERNAME, %d)", (int)size);
	if (finish(getsockopt(fd, SOL_SOCKET, SO_PEERNAME, &peer, &length)) == 0)
		record("%s", sockaddr_text(&peer, length, size));
	VALUE(length);
}

CASE_EACH(option_peername,
	"SO_PEERNAME fills no more room than the address has, and also when both ends are shut")
{
	struct pair p = pair();
	socklen_t whole = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
	int fresh = tcp(), *const all[] = {&fresh, &p.client, &p.server};
	for (int shut = 0; shut < 3; shut++) {
		if (shut)
			SHUTDOWN(shut == 1 ? p.client : p.server, SHUT_WR);
		settle();
		for (int i = 0; i < 3; i++) {
			show_peer_name(*all[i], whole);
			show_peer_name(*all[i], 8);
			show_peer_name(*all[i], 0);
			show_peer_name(*all[i], whole + 1);
			show_peer_name(*all[i], sizeof(struct sockaddr_storage));
			show_peer_name(*all[i], (socklen_t)-1);
		}
	}
}
