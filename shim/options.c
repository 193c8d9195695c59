/* SPDX-License-Identifier: MIT */
#include "options.h"

#include "libc.h"
#include "pool.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

enum { VALUE_LIMIT = 20 }; /* a struct timeval is 16; longer ones (filters, keys) act while the socket is TCP's only */

struct option {
	uint32_t next;
	uint16_t level, name;
	uint16_t length;
	uint8_t value[VALUE_LIMIT];
};

static struct pool pool = {.size = sizeof(struct option), .chunk = 128};

static struct option *at(uint32_t number)
{
	return pool_at(&pool, number);
}

static struct option *find(const struct options *options, int level, int name)
{
	for (uint32_t number = options->first; number; number = at(number)->next)
		if (at(number)->level == level && at(number)->name == name)
			return at(number);
	return NULL;
}

static void drop(struct options *options, int level, int name)
{
	for (uint32_t *link = &options->first; *link; link = &at(*link)->next) {
		uint32_t number = *link;
		if (at(number)->level == level && at(number)->name == name) {
			*link = at(number)->next;
			pool_release(&pool, number);
			return;
		}
	}
}

static struct option *append(struct options *options)
{
	uint32_t number = pool_take(&pool);
	if (!number)
		return NULL;
	at(number)->next = 0;
	uint32_t *end = &options->first; /* in the order in which they were set: some replace others */
	while (*end)
		end = &at(*end)->next;
	*end = number;
	return at(number);
}

void options_remember(struct options *options, int level, int name, const void *value, socklen_t length)
{
	if (length > VALUE_LIMIT || level < 0 || level > UINT16_MAX || name < 0 || name > UINT16_MAX)
		return;
	drop(options, level, name); /* the last one set wins, also over others: SO_RCVBUF and SO_RCVBUFFORCE */
	struct option *option = append(options);
	if (!option)
		return;
	option->level = (uint16_t)level;
	option->name = (uint16_t)name;
	option->length = (uint16_t)length;
	memcpy(option->value, value, length);
}

void options_learn(struct options *options, int fd)
{
	static const struct {
		int level, name;
	} common[] = {
		{SOL_SOCKET, SO_KEEPALIVE},    {SOL_SOCKET, SO_REUSEADDR},    {SOL_SOCKET, SO_REUSEPORT},
		{SOL_SOCKET, SO_LINGER},       {SOL_SOCKET, SO_RCVTIMEO},     {SOL_SOCKET, SO_SNDTIMEO},
		{SOL_SOCKET, SO_RCVLOWAT},     {SOL_SOCKET, SO_OOBINLINE},    {IPPROTO_TCP, TCP_NODELAY},
		{IPPROTO_TCP, TCP_KEEPIDLE},   {IPPROTO_TCP, TCP_KEEPINTVL},  {IPPROTO_TCP, TCP_KEEPCNT},
		{IPPROTO_TCP, TCP_USER_TIMEOUT}, {IPPROTO_TCP, TCP_CORK},     {IPPROTO_TCP, TCP_DEFER_ACCEPT},
		{IPPROTO_IP, IP_TOS},          {IPPROTO_IPV6, IPV6_V6ONLY},   {IPPROTO_IPV6, IPV6_TCLASS},
	};
	for (size_t i = 0; i < sizeof common / sizeof *common; i++) {
		uint8_t value[VALUE_LIMIT];
		socklen_t length = sizeof value;
		if (libc.getsockopt(fd, common[i].level, common[i].name, value, &length) == 0)
			options_remember(options, common[i].level, common[i].name, value, length);
	}
}

void options_forget(struct options *options)
{
	uint32_t number = options->first;
	options->first = 0;
	while (number) {
		uint32_t next = at(number)->next;
		pool_release(&pool, number);
		number = next;
	}
}

void options_copy(struct options *to, const struct options *from)
{
	for (uint32_t number = from->first; number; number = at(number)->next) {
		const struct option *option = at(number);
		options_remember(to, option->level, option->name, option->value, option->length);
	}
	if (find(to, SOL_SOCKET, SO_PRIORITY) || find(to, IPPROTO_IP, IP_TOS)) /* the one thing that isn't inherited */
		options_remember(to, SOL_SOCKET, SO_PRIORITY, &(int){0}, sizeof(int));
}

int options_int(const struct options *options, int level, int name, int otherwise)
{
	const struct option *option = find(options, level, name);
	int value = otherwise;
	if (option && option->length >= sizeof value)
		memcpy(&value, option->value, sizeof value);
	return value;
}

int options_time(const struct options *options, int name)
{
	const struct option *option = find(options, SOL_SOCKET, name);
	int64_t whole[2] = {0, 0};
	int32_t half[2] = {0, 0}; /* a 32-bit struct timeval */
	if (option && option->length >= sizeof whole) {
		memcpy(whole, option->value, sizeof whole);
	} else if (option && option->length >= sizeof half) {
		memcpy(half, option->value, sizeof half);
		whole[0] = half[0];
		whole[1] = half[1];
	}
	if (whole[0] >= INT32_MAX / 1000)
		return INT32_MAX;
	return (int)(whole[0] * 1000 + (whole[1] + 999) / 1000);
}

void options_replay(const struct options *options, int fd)
{
	for (uint32_t number = options->first; number; number = at(number)->next) {
		const struct option *option = at(number);
		libc.setsockopt(fd, option->level, option->name, option->value, option->length);
	}
}

bool options_universal(int level, int name)
{
	if (level != SOL_SOCKET)
		return false;
	switch (name) {
	case SO_KEEPALIVE:
	case SO_REUSEADDR:
	case SO_PEEK_OFF: /* where the kernel has it for this kind of socket */
	case SO_RCVTIMEO:
	case SO_SNDTIMEO:
#if defined SO_RCVTIMEO_NEW && SO_RCVTIMEO_NEW != SO_RCVTIMEO
	case SO_RCVTIMEO_NEW:
	case SO_SNDTIMEO_NEW:
#endif
		return true;
	default:
		return false;
	}
}

static void apply(const struct option *option, int fd, uint32_t buffer)
{
	if (options_universal(SOL_SOCKET, option->name)) {
		libc.setsockopt(fd, SOL_SOCKET, option->name, option->value, option->length);
	} else if (option->name == SO_RCVLOWAT && option->length >= sizeof(int)) {
		int least; /* above its buffer size AF_VSOCK says EINVAL */
		memcpy(&least, option->value, sizeof least);
		if (buffer && least > (int)buffer)
			least = (int)buffer;
		libc.setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &least, sizeof least);
	}
}

void options_apply(const struct options *options, int fd, uint32_t buffer)
{
	int saved = errno;
	for (uint32_t number = options->first; number; number = at(number)->next)
		if (at(number)->level == SOL_SOCKET)
			apply(at(number), fd, buffer);
	errno = saved;
}

void options_apply_one(const struct options *options, int name, int fd, uint32_t buffer)
{
	int saved = errno;
	const struct option *option = find(options, SOL_SOCKET, name);
	if (option)
		apply(option, fd, buffer);
	errno = saved;
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
	int fd = libc.socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0)
		options_replay(options, fd);
	return fd;
}

static void close_quietly(int fd)
{
	int saved = errno;
	libc.close(fd);
	errno = saved;
}

/* A lingering time stays when it is turned off, which no replay can bring about. */
static const struct option *remembered_linger(const struct options *options, int level, int name)
{
	return level == SOL_SOCKET && name == SO_LINGER ? find(options, level, name) : NULL;
}

/* Sets it on a scratch socket, to see whether TCP takes it. A value that TCP completes is read back. */
static int try_on_tcp(const struct options *options, int family, int level, int name, const void *value, socklen_t length,
	struct linger *linger)
{
	int fd = options_scratch(options, family);
	if (fd < 0)
		return -1;
	const struct option *before = remembered_linger(options, level, name);
	int result = libc.setsockopt(fd, level, name, value, length);
	if (result == 0 && level == SOL_SOCKET && name == SO_LINGER) {
		memcpy(linger, value, sizeof *linger);
		if (!linger->l_onoff)
			linger->l_linger = before ? ((const struct linger *)(const void *)before->value)->l_linger : 0;
	}
	close_quietly(fd);
	return result;
}

int options_set(struct options *options, int family, int level, int name, const void *value, socklen_t length)
{
	struct linger linger;
	if (!known_good(level, name, value, length) &&
		try_on_tcp(options, family, level, name, value, length, &linger) < 0)
		return -1;
	if (level == SOL_SOCKET && name == SO_LINGER)
		options_remember(options, level, name, &linger, sizeof linger);
	else
		options_remember(options, level, name, value, length);
	return 0;
}

int options_get(const struct options *options, int family, int level, int name, void *value, socklen_t *length)
{
	const struct option *linger = remembered_linger(options, level, name);
	if (linger && value && length && (int)*length >= 0) {
		if (*length > linger->length)
			*length = linger->length;
		memcpy(value, linger->value, *length);
		return 0;
	}
	int fd = options_scratch(options, family);
	if (fd < 0)
		return -1;
	int result = libc.getsockopt(fd, level, name, value, length);
	close_quietly(fd);
	return result;
}
