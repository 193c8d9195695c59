/* SPDX-License-Identifier: MIT */
#include "filter.h"

#include "kernel.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/syscall.h>

enum test {
	ALWAYS,
	IS, /* the argument is this value */
	IS_NOT,
	HAS,	/* it has one of these bits */
	POINTS, /* it isn't NULL */
};

struct trap {
	int system_call;
	enum test test;
	int argument;
	uint32_t value;
	uint32_t action;
};

#define SEEN SECCOMP_RET_TRACE /* a place holder: the supervisor is asked, in the way that is wished */
#define RECEIVES (SECCOMP_RET_TRACE | FILTER_RECEIVES)
#define FAILS(error) (SECCOMP_RET_ERRNO | (error))

/* Rows of one system call are adjacent. The first row whose test holds decides; if none does, the call is
 * passed on. SOL_SOCKET's options that aren't here mean the same on every kind of socket. */
static const struct trap traps[] = {
	{SYS_connect, ALWAYS, 0, 0, SEEN},
	{SYS_bind, ALWAYS, 0, 0, SEEN},
	{SYS_listen, ALWAYS, 0, 0, SEEN},
#ifdef SYS_accept /* not i386 */
	{SYS_accept, ALWAYS, 0, 0, SEEN},
#endif
	{SYS_accept4, ALWAYS, 0, 0, SEEN},
	{SYS_getsockname, ALWAYS, 0, 0, SEEN},
	{SYS_getpeername, ALWAYS, 0, 0, SEEN},
	{SYS_setsockopt, IS_NOT, 1, SOL_SOCKET, SEEN},
	{SYS_setsockopt, IS, 2, SO_REUSEADDR, SEEN},
	{SYS_setsockopt, IS, 2, SO_REUSEPORT, SEEN},
	{SYS_setsockopt, IS, 2, SO_LINGER, SEEN},
	{SYS_setsockopt, IS, 2, SO_RCVLOWAT, SEEN},
	{SYS_setsockopt, IS, 2, SO_RCVTIMEO, SEEN},
	{SYS_setsockopt, IS, 2, SO_SNDTIMEO, SEEN},
	{SYS_setsockopt, IS, 2, SO_ZEROCOPY, SEEN},
	{SYS_getsockopt, IS_NOT, 1, SOL_SOCKET, SEEN},
	{SYS_getsockopt, IS, 2, SO_ERROR, SEEN},
	{SYS_getsockopt, IS, 2, SO_DOMAIN, SEEN},
	{SYS_getsockopt, IS, 2, SO_PROTOCOL, SEEN},
	{SYS_getsockopt, IS, 2, SO_TYPE, SEEN},
	{SYS_getsockopt, IS, 2, SO_REUSEPORT, SEEN},
	{SYS_getsockopt, IS, 2, SO_RCVLOWAT, SEEN},
	{SYS_getsockopt, IS, 2, SO_LINGER, SEEN},
	{SYS_getsockopt, IS, 2, SO_PEERNAME, SEEN},
	/* A Unix socket names the supervisor here, or whoever listens. */
	{SYS_getsockopt, IS, 2, SO_PEERCRED, SEEN},
	{SYS_getsockopt, IS, 2, SO_PEERSEC, SEEN},
	{SYS_getsockopt, IS, 2, SO_PEERGROUPS, SEEN},
	{SYS_getsockopt, IS, 2, SO_PEERPIDFD, SEEN},
	{SYS_getsockopt, IS, 2, SO_INCOMING_CPU, SEEN},
	{SYS_shutdown, IS_NOT, 1, SHUT_WR, SEEN},
	{SYS_sendto, POINTS, 4, 0, SEEN},
	/* As if net.ipv4.tcp_fastopen were off: programs then call connect(). The address of these two calls
	   is in memory, which a filter can't read. */
	{SYS_sendmsg, HAS, 2, MSG_FASTOPEN, FAILS(EOPNOTSUPP)},
	{SYS_sendmmsg, HAS, 3, MSG_FASTOPEN, FAILS(EOPNOTSUPP)},
	{SYS_ioctl, IS, 1, IOCTL_UNREAD, SEEN},
	{SYS_ioctl, IS, 1, IOCTL_UNSENT, SEEN},
	{SYS_ioctl, IS, 1, IOCTL_AT_MARK, SEEN},
	{SYS_io_uring_setup, ALWAYS, 0, 0,
		FAILS(ENOSYS)}, /* its connect() and accept() would bypass the filter */
#ifdef SYS_epoll_create		/* not arm64 */
	{SYS_epoll_create, ALWAYS, 0, 0, SEEN},
#endif
	{SYS_epoll_create1, ALWAYS, 0, 0, SEEN},
	{SYS_recvfrom, POINTS, 4, 0, SEEN}, /* only with `datagrams` */
	{SYS_recvfrom, ALWAYS, 0, 0, RECEIVES},
	{SYS_recvmsg, ALWAYS, 0, 0, RECEIVES},
	{SYS_read, ALWAYS, 0, 0, RECEIVES},
	{SYS_readv, ALWAYS, 0, 0, RECEIVES},
};
enum { TRAPS = sizeof traps / sizeof *traps };

struct program {
	struct sock_filter *code;
	size_t length;
	struct filter_wish wish;
};

static bool is_wanted(const struct program *program, const struct trap *trap)
{
	if (trap->action == RECEIVES)
		return program->wish.receives;
	return trap->system_call != SYS_recvfrom || program->wish.datagrams;
}

static uint32_t action_of(const struct program *program, const struct trap *trap)
{
	return trap->action == SEEN && program->wish.way == FILTER_NOTIFIED ? SECCOMP_RET_USER_NOTIF
									    : trap->action;
}

static void add(struct program *program, uint16_t code, uint8_t yes, uint8_t no, uint32_t value)
{
	program->code[program->length++] = (struct sock_filter){code, yes, no, value};
}

static void load(struct program *program, size_t offset)
{
	add(program, BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t)offset);
}

static size_t low_half(int argument)
{
	return offsetof(struct seccomp_data, args) + 8 * (size_t)argument +
	       (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 4 : 0);
}

static size_t high_half(int argument)
{
	return low_half(argument) ^ 4;
}

/* The instructions for one row, which fall through if its test doesn't hold. */
static void add_row(struct program *program, const struct trap *trap)
{
	if (trap->test != ALWAYS)
		load(program, low_half(trap->argument));
	switch (trap->test) {
	case IS:
		add(program, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, trap->value);
		break;
	case IS_NOT:
		add(program, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, trap->value);
		break;
	case HAS:
		add(program, BPF_JMP | BPF_JSET | BPF_K, 0, 1, trap->value);
		break;
	case POINTS:
		add(program, BPF_JMP | BPF_JEQ | BPF_K, 0, 2, 0);
		load(program, high_half(trap->argument));
		add(program, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 0);
		break;
	case ALWAYS:
		break;
	}
	add(program, BPF_RET | BPF_K, 0, 0, action_of(program, trap));
}

/* The instructions for all rows of one system call, which other calls jump over. Returns the row after them.
 */
static const struct trap *add_number(struct program *program, const struct trap *trap, const struct trap *end)
{
	int system_call = trap->system_call;
	size_t jump = program->length;
	add(program, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, (uint32_t)system_call);
	for (; trap < end && trap->system_call == system_call; trap++)
		add_row(program, trap);
	if (trap[-1].test != ALWAYS)
		add(program, BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW);
	program->code[jump].jf = (uint8_t)(program->length - jump - 1);
	return trap;
}

size_t filter_build(struct sock_filter filter[FILTER_LENGTH], struct filter_wish wish)
{
	struct program program = {filter, 0, wish};
	struct trap wanted[TRAPS];
	size_t count = 0;
	for (size_t i = 0; i < TRAPS; i++)
		if (is_wanted(&program, &traps[i]))
			wanted[count++] = traps[i];
	const struct trap *trap = wanted, *end = wanted + count;
	load(&program, offsetof(struct seccomp_data, arch));
	add(&program, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, NATIVE_ARCH);
	add(&program, BPF_RET | BPF_K, 0,
		0, /* a system call of another machine (int 0x80) ends the process */
		wish.way == FILTER_TRACED ? SECCOMP_RET_TRACE | FILTER_FOREIGN : SECCOMP_RET_USER_NOTIF);
	load(&program, offsetof(struct seccomp_data, nr));
#ifdef FOREIGN_NUMBERS /* x32's, which few kernels have */
	add(&program, BPF_JMP | BPF_JGE | BPF_K, 0, 1, FOREIGN_NUMBERS);
	add(&program, BPF_RET | BPF_K, 0, 0, FAILS(ENOSYS));
#endif
	while (trap < end)
		trap = add_number(&program, trap, end);
	add(&program, BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW);
	return program.length;
}
