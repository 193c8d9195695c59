/* SPDX-License-Identifier: MIT */
#include "options.h"

#include "system/errno.h"
#include "system/pool.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <string.h>

enum {
	VALUE_LIMIT = 20
}; /* a struct timeval is 16; longer ones (filters, keys) act while the socket is TCP's only */

/* Several threads may set options of one socket while others read them, and none may wait: a record is linked
 * in once and stays as long as the socket; setting the same option again overwrites its value. */
struct option {
	_Atomic uint32_t next; /* in the pool's link, which another thread may read still */
	uint16_t level, name;
	_Atomic uint32_t order; /* options are replayed in the order in which they were set last */
	_Atomic uint32_t length;
	_Atomic uint32_t value[VALUE_LIMIT / 4];
};

static struct pool pool = {.size = sizeof(struct option), .chunk = 128};
static _Atomic uint32_t orders;

static struct option *at(uint32_t number)
{
	return pool_at(&pool, number);
}

static struct option *find(const struct options *options, int level, int name)
{
	for (uint32_t number = atomic_load(&options->first); number; number = at(number)->next)
		if (at(number)->level == level && at(number)->name == name)
			return at(number);
	return NULL;
}

struct value {
	uint8_t bytes[VALUE_LIMIT];
	socklen_t length;
};

static struct value value_of(const struct option *option)
{
	struct value value = {.length = atomic_load(&option->length)};
	for (int i = 0; i < VALUE_LIMIT / 4; i++) {
		uint32_t part = atomic_load_explicit(&option->value[i], memory_order_relaxed);
		memcpy(value.bytes + 4 * i, &part, sizeof part);
	}
	return value;
}

static void store(struct option *option, const void *bytes, socklen_t length)
{
	uint32_t parts[VALUE_LIMIT / 4] = {0};
	memcpy(parts, bytes, length);
	for (int i = 0; i < VALUE_LIMIT / 4; i++)
		atomic_store_explicit(&option->value[i], parts[i], memory_order_relaxed);
	atomic_store(&option->length, length);
	atomic_store(&option->order, atomic_fetch_add(&orders, 1));
}

/* A lingering time stays when it is turned off, which no replay can bring about. */
static struct linger linger_after(const struct options *options, const void *set)
{
	struct linger before = {0}, after;
	const struct option *option = find(options, SOL_SOCKET, SO_LINGER);
	if (option) {
		struct value value = value_of(option);
		memcpy(&before, value.bytes, sizeof before);
	}
	memcpy(&after, set, sizeof after);
	after.l_onoff = !!after.l_onoff;
	if (!after.l_onoff)
		after.l_linger = before.l_linger;
	return after;
}

void options_remember(struct options *options, int level, int name, const void *value, socklen_t length)
{
	if (length > VALUE_LIMIT || level < 0 || level > UINT16_MAX || name < 0 || name > UINT16_MAX)
		return;
	struct option *option = find(options, level, name);
	struct linger linger;
	if (level == SOL_SOCKET && name == SO_LINGER && length >= sizeof linger) {
		linger = linger_after(options, value);
		value = &linger;
		length = sizeof linger;
	}
	if (option) {
		store(option, value, length);
		return;
	}
	uint32_t number = pool_take(&pool);
	if (!number)
		return;
	option = at(number);
	option->level = (uint16_t)level;
	option->name = (uint16_t)name;
	store(option, value, length);
	uint32_t first = atomic_load(&options->first);
	do
		option->next = first;
	while (!atomic_compare_exchange_weak(&options->first, &first, number));
}

/* A socket may have had another family: the one that an IPv6 listener accepts (or IPV6_ADDRFORM makes) is
 * IPv4's. */
static bool belongs(int level, int family, bool datagram)
{
	return !(level == IPPROTO_IPV6 && family != AF_INET6) && !(level == IPPROTO_TCP && datagram);
}

void options_learn(struct options *options, int family, int fd)
{
	static const struct {
		int level, name;
	} common[] = {
		{SOL_SOCKET, SO_KEEPALIVE},
		{SOL_SOCKET, SO_REUSEADDR},
		{SOL_SOCKET, SO_REUSEPORT},
		{SOL_SOCKET, SO_LINGER},
		{SOL_SOCKET, SO_RCVTIMEO},
		{SOL_SOCKET, SO_SNDTIMEO},
		{SOL_SOCKET, SO_RCVLOWAT},
		{SOL_SOCKET, SO_OOBINLINE},
		{IPPROTO_TCP, TCP_NODELAY},
		{IPPROTO_TCP, TCP_KEEPIDLE},
		{IPPROTO_TCP, TCP_KEEPINTVL},
		{IPPROTO_TCP, TCP_KEEPCNT},
		{IPPROTO_TCP, TCP_USER_TIMEOUT},
		{IPPROTO_TCP, TCP_CORK},
		{IPPROTO_TCP, TCP_DEFER_ACCEPT},
		{IPPROTO_IP, IP_TOS},
		{IPPROTO_IPV6, IPV6_V6ONLY},
		{IPPROTO_IPV6, IPV6_TCLASS},
	};
	for (size_t i = 0; i < sizeof common / sizeof *common; i++) {
		uint8_t value[VALUE_LIMIT];
		socklen_t length = sizeof value;
		if (belongs(common[i].level, family, options->datagram) &&
			libc.getsockopt(fd, common[i].level, common[i].name, value, &length) == 0)
			options_remember(options, common[i].level, common[i].name, value, length);
	}
}

void options_forget(struct options *options)
{
	uint32_t number = atomic_exchange(&options->first, 0);
	while (number) {
		uint32_t next = at(number)->next;
		pool_release(&pool, number);
		number = next;
	}
}

/* Calls visit for each, in the order in which they were set last. There are few. */
static void in_order(const struct options *options, void (*visit)(const struct option *option, void *context),
	void *context)
{
	uint32_t last = 0;
	for (bool began = false;; began = true) {
		const struct option *next = NULL;
		for (uint32_t number = atomic_load(&options->first); number; number = at(number)->next) {
			const struct option *option = at(number);
			if ((!began || atomic_load(&option->order) > last) &&
				(!next || atomic_load(&option->order) < atomic_load(&next->order)))
				next = option;
		}
		if (!next)
			return;
		last = atomic_load(&next->order);
		visit(next, context);
	}
}

static void copy(const struct option *option, void *to)
{
	struct value value = value_of(option);
	options_remember(to, option->level, option->name, value.bytes, value.length);
}

void options_copy(struct options *to, const struct options *from)
{
	in_order(from, copy, to);
	if (find(to, SOL_SOCKET, SO_PRIORITY) ||
		find(to, IPPROTO_IP, IP_TOS)) /* the one thing that isn't inherited */
		options_remember(to, SOL_SOCKET, SO_PRIORITY, &(int){0}, sizeof(int));
}

int options_int(const struct options *options, int level, int name, int otherwise)
{
	const struct option *option = find(options, level, name);
	if (!option || atomic_load(&option->length) < sizeof otherwise)
		return otherwise;
	return (int)atomic_load_explicit(&option->value[0], memory_order_relaxed);
}

int options_time(const struct options *options, int name)
{
	const struct option *option = find(options, SOL_SOCKET, name);
#ifdef SO_RCVTIMEO_NEW
	const struct option *other =
		find(options, SOL_SOCKET, name == SO_RCVTIMEO ? SO_RCVTIMEO_NEW : SO_SNDTIMEO_NEW);
	if (other && (!option || atomic_load(&other->order) > atomic_load(&option->order)))
		option = other;
#endif
	if (!option)
		return 0;
	struct value value = value_of(option);
	int64_t whole[2] = {0, 0};
	int32_t half[2] = {0, 0}; /* a 32-bit struct timeval */
	if (value.length >= sizeof whole) {
		memcpy(whole, value.bytes, sizeof whole);
	} else if (value.length >= sizeof half) {
		memcpy(half, value.bytes, sizeof half);
		whole[0] = half[0];
		whole[1] = half[1];
	}
	if (whole[0] < 0) /* the kernel then doesn't wait at all */
		return 1;
	if (whole[0] >= INT32_MAX / 1000)
		return INT32_MAX;
	return (int)(whole[0] * 1000 + (whole[1] + 999) / 1000);
}

struct tcp_socket {
	int fd, family;
	bool datagram;
};

static void replay(const struct option *option, void *context)
{
	const struct tcp_socket *to = context;
	struct value value = value_of(option);
	if (belongs(option->level, to->family, to->datagram))
		libc.setsockopt(to->fd, option->level, option->name, value.bytes, value.length);
}

void options_replay(const struct options *options, int family, int fd)
{
	in_order(options, replay, &(struct tcp_socket){fd, family, options->datagram});
}

bool options_universal(int level, int name)
{
	if (level != SOL_SOCKET)
		return false;
	switch (name) {
	case SO_KEEPALIVE:
	case SO_REUSEADDR:
	case SO_PEEK_OFF: /* where the kernel has it for this kind of socket */
#ifdef SO_RCVTIMEO_NEW	  /* which of the two SO_RCVTIMEO is depends on the program's time_t, and is no      \
			     constant */
	case SO_RCVTIMEO_OLD:
	case SO_SNDTIMEO_OLD:
	case SO_RCVTIMEO_NEW:
	case SO_SNDTIMEO_NEW:
#else
	case SO_RCVTIMEO:
	case SO_SNDTIMEO:
#endif
		return true;
	default:
		return false;
	}
}

struct carrier {
	int fd;
	uint32_t buffer;
};

static void apply(const struct option *option, void *context)
{
	const struct carrier *carrier = context;
	struct value value = value_of(option);
	if (options_universal(option->level, option->name)) {
		libc.setsockopt(carrier->fd, SOL_SOCKET, option->name, value.bytes, value.length);
	} else if (option->level == SOL_SOCKET && option->name == SO_RCVLOWAT &&
		   value.length >= sizeof(int)) {
		int least; /* above its buffer size AF_VSOCK says EINVAL */
		memcpy(&least, value.bytes, sizeof least);
		if (carrier->buffer && least > (int)carrier->buffer)
			least = (int)carrier->buffer;
		libc.setsockopt(carrier->fd, SOL_SOCKET, SO_RCVLOWAT, &least, sizeof least);
	}
}

void options_apply(const struct options *options, int fd, uint32_t buffer)
{
	KEEP_ERRNO;
	in_order(options, apply, &(struct carrier){fd, buffer});
}

void options_apply_one(const struct options *options, int name, int fd, uint32_t buffer)
{
	KEEP_ERRNO;
	const struct option *option = find(options, SOL_SOCKET, name);
	if (option)
		apply(option, &(struct carrier){fd, buffer});
}

/* Options of type int that servers set on every connection, with the range that TCP takes: no need to ask it.
 * net/ipv4/tcp.c and net/core/sock.c, Linux 4.14 to 6.18. */
static bool known_good(int level, int name, const void *value, socklen_t length)
{
	static const struct {
		int level, name, least, most;
	} known[] = {
		{IPPROTO_TCP, TCP_NODELAY, INT32_MIN, INT32_MAX},
		{IPPROTO_TCP, TCP_KEEPIDLE, 1, 32767},
		{IPPROTO_TCP, TCP_KEEPINTVL, 1, 32767},
		{IPPROTO_TCP, TCP_KEEPCNT, 1, 127},
	};
	int number;
	if (!value || length < sizeof number || (int)length < 0)
		return false;
	memcpy(&number, value, sizeof number);
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (known[i].level == level && known[i].name == name)
			return number >= known[i].least && number <= known[i].most;
	return false;
}

int options_scratch(const struct options *options, int family)
{
	int fd = libc.socket(family, (options->datagram ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
	if (fd >= 0)
		options_replay(options, family, fd);
	return fd;
}

/* 0: TCP takes it, or can't be asked since this process has no fd left. It says what it made of a lingering
 * time. */
static int try_on_tcp(const struct options *options, int family, int level, int name, const void *value,
	socklen_t length, struct linger *linger)
{
	int fd = options_scratch(options, family);
	if (fd < 0)
		return errno == EMFILE || errno == ENFILE ? 0 : -1;
	int result = libc.setsockopt(fd, level, name, value, length);
	socklen_t size = sizeof *linger;
	if (result == 0 && level == SOL_SOCKET && name == SO_LINGER)
		libc.getsockopt(fd, level, name, linger, &size);
	close_quietly(fd);
	return result;
}

int options_set(struct options *options, int family, int level, int name, const void *value, socklen_t length)
{
	struct linger linger = {.l_onoff = -1};
	if ((options->datagram || !known_good(level, name, value, length)) &&
		try_on_tcp(options, family, level, name, value, length, &linger) < 0)
		return -1;
	if (linger.l_onoff >= 0)
		options_remember(options, level, name, &linger, sizeof linger);
	else
		options_remember(options, level, name, value, length);
	return 0;
}

static int give(const struct option *option, void *value, socklen_t *length)
{
	struct value remembered = value_of(option);
	if (*length > remembered.length)
		*length = remembered.length;
	memcpy(value, remembered.bytes, *length);
	return 0;
}

int options_get(
	const struct options *options, int family, int level, int name, void *value, socklen_t *length)
{
	const struct option *option = find(options, level, name);
	bool answerable = option && value && length && (int)*length >= 0;
	if (answerable && level == SOL_SOCKET && name == SO_LINGER)
		return give(option, value, length);
	int fd = options_scratch(options, family);
	if (fd < 0)
		return answerable && (errno == EMFILE || errno == ENFILE) ? give(option, value, length) : -1;
	int result = libc.getsockopt(fd, level, name, value, length);
	close_quietly(fd);
	return result;
}

int options_zerocopy(int result, bool listening, void *value, const socklen_t *length, int unread)
{
	enum {
		SKIP_HINT = 12,
		IN_QUEUE = 16,
		PAGE = 4096
	}; /* in struct tcp_zerocopy_receive of <linux/tcp.h>, each 4 bytes, behind an address */
	uint64_t address = 1;
	if (listening && (result == 0 || errno == EINVAL) && *length >= SKIP_HINT)
		memcpy(&address, value, sizeof address);
	if (address % PAGE == 0)
		return fail(ENOTCONN);
	if (result == 0 && *length >= SKIP_HINT + sizeof unread)
		memcpy((char *)value + SKIP_HINT, &unread, sizeof unread);
	if (result == 0 && *length >= IN_QUEUE + sizeof unread)
		memcpy((char *)value + IN_QUEUE, &unread, sizeof unread);
	return result;
}

static int of_any_socket(const struct options *options, int name, int *value)
{
	if (name == SO_PEERSEC) /* a scratch socket has a label of its own with AppArmor (Linux 6.1) */
		return ENOPROTOOPT;
	if (name != SO_INCOMING_CPU)
		return -1;
	*value = options_int(options, SOL_SOCKET, name, sched_getcpu());
	return *value < 0 ? -1 : 0;
}

int options_of_connection(
	const struct options *options, int family, bool ipv4, int level, int name, int *value)
{
	if (level == SOL_SOCKET)
		return of_any_socket(options, name, value);
	if (level == IPPROTO_TCP && !options->datagram && name == TCP_MAXSEG)
		*value = LOOPBACK_MSS;
	else if (level == IPPROTO_IP && name == IP_MTU)
		*value = LOOPBACK_MTU;
	else if (level == IPPROTO_IPV6 && family == AF_INET6 && name == IPV6_MTU)
		*value = ipv4 ? LOOPBACK_MTU : LOOPBACK_MTU6;
	else if (level == IPPROTO_IPV6 && family == AF_INET6 && name == IPV6_ADDRFORM)
		*value = AF_INET6;
	else
		return -1;
	return 0;
}
