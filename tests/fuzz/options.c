/* SPDX-License-Identifier: MIT */
/* Options of a mapped socket beside those of a TCP socket that is given the same calls: every result, errno,
 * length and byte must be the same, of the history, of its copy for an accepted connection, and nothing may
 * be written behind the room. The input: the family and whether it is copied, then calls: level, name,
 * length, and what is set. */
// sources: shim/system/libc.c shim/transport/options.c shim/system/pool.c
// length: 120
// executions: 30000
#include "transport/options.h"
#include "system/libc.h"

#include <assert.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/in6.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

enum { ROOM = 64, KEPT = 20 }; /* longer ones aren't kept: options.c */

struct call {
	int level, name;
	bool gets;
	socklen_t length;
	uint8_t value[KEPT];
};

struct result {
	int result, error;
	socklen_t length;
	uint8_t value[ROOM];
};

/* What is each socket's own, or each moment's, acts on this machine, or what shim/socket/sockopt.c answers
 * before options.c is asked.
 */
static bool left_out(int level, int name)
{
	static const struct {
		int level, name;
	} list[] = {
		{SOL_SOCKET, SO_COOKIE},
		{SOL_SOCKET, SO_RCVBUF},   /* SO_RCVLOWAT enlarges it for good */
		{SOL_SOCKET, SO_PRIORITY}, /* IP_TOS sets it, but not to what IP_TOS was before: a history of
					      two */
		{SOL_SOCKET, SO_ATTACH_FILTER}, /* its bytes are pointers */
		{SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF},
		{SOL_SOCKET, SO_ATTACH_BPF}, /* fds: one that isn't open here may be ours */
		{SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF},
		{IPPROTO_TCP, TCP_INFO},
		{IPPROTO_TCP, TCP_TIMESTAMP}, /* the time */
		{IPPROTO_TCP, TCP_REPAIR},    /* undoes SO_REUSEADDR, which check_copy() sets twice */
		{IPPROTO_TCP, TCP_ULP},
	};
	for (size_t i = 0; i < sizeof list / sizeof *list; i++)
		if (list[i].level == level && list[i].name == name)
			return true;
	return false;
}

static bool next_call(const uint8_t **at, const uint8_t *end, struct call *call)
{
	static const int levels[] = {SOL_SOCKET, IPPROTO_TCP, IPPROTO_IP, IPPROTO_IPV6};
	if (end - *at < 3)
		return false;
	*call = (struct call){.gets = **at & 1, .name = (*at)[1]};
	call->level = **at & 128 ? **at : levels[**at >> 1 & 3];
	call->length = (*at)[2] == 0xff ? (socklen_t)-1 : (*at)[2] % (call->gets ? ROOM : KEPT + 1);
	*at += 3;
	if (call->gets)
		return true;
	size_t size = call->length <= KEPT ? call->length : 0;
	if (size > (size_t)(end - *at))
		size = (size_t)(end - *at);
	memcpy(call->value, *at, size);
	*at += size;
	return true;
}

static int open_tcp(int family)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert(fd >= 0);
	return fd;
}

static struct result on_tcp(int fd, const struct call *call)
{
	struct result result = {.length = call->length};
	memset(result.value, 0xaa, sizeof result.value);
	errno = 0;
	result.result = call->gets ? getsockopt(fd, call->level, call->name, result.value, &result.length)
				   : setsockopt(fd, call->level, call->name, call->value, call->length);
	result.error = errno;
	return result;
}

static struct result on_history(struct options *history, int family, const struct call *call)
{
	struct result result = {.length = call->length};
	memset(result.value, 0xaa, sizeof result.value);
	errno = 0;
	result.result =
		call->gets
			? options_get(history, family, call->level, call->name, result.value, &result.length)
			: options_set(history, family, call->level, call->name, call->value, call->length);
	result.error = result.result < 0 ? errno : 0;
	return result;
}

static void check_same(const struct result *tcp, const struct result *history)
{
	assert(tcp->result == history->result);
	assert(tcp->error == history->error);
	assert(tcp->length == history->length);
	assert(memcmp(tcp->value, history->value, ROOM) == 0);
}

/* An accepted connection's options, on a socket of its own and as answers. */
static void check_copy(const struct options *history, int family)
{
	static const int names[] = {
		SO_KEEPALIVE, SO_REUSEADDR, SO_LINGER, SO_RCVLOWAT, SO_RCVTIMEO, SO_OOBINLINE};
	struct options copied = {.first = 0};
	options_copy(&copied, history);
	int fd = open_tcp(family);
	options_replay(&copied, family, fd);
	errno = 4242;
	options_apply(&copied, fd, 4096);
	assert(errno == 4242);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		struct call call = {SOL_SOCKET, names[i], .gets = true, .length = ROOM};
		struct result tcp = on_tcp(fd, &call), kept = on_history(&copied, family, &call);
		if (names[i] != SO_RCVLOWAT) /* cut to the carrier's buffer */
			check_same(&tcp, &kept);
	}
	assert(options_time(&copied, SO_RCVTIMEO) >= 0 && options_time(&copied, SO_SNDTIMEO) >= 0);
	close(fd);
	options_forget(&copied);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	const uint8_t *end = data + length;
	struct options history = {.first = 0};
	struct call call;
	if (length == 0)
		return 0;
	bool copied = *data & 2;
	int family = *data++ & 1 ? AF_INET6 : AF_INET, fd = open_tcp(family);
	while (next_call(&data, end, &call)) {
		if (left_out(call.level, call.name))
			continue;
		struct result tcp = on_tcp(fd, &call), kept = on_history(&history, family, &call);
		check_same(&tcp, &kept);
	}
	if (copied) /* which costs more than all the rest */
		check_copy(&history, family);
	options_forget(&history);
	close(fd);
	return 0;
}
