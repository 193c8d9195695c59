/* SPDX-License-Identifier: MIT */
/* syscall(2): programs also make system calls by number (libuv closes in this way). Every call that has a
 * hook by name is treated in the same way by number. */
#include "core/shim.h"
#include "core/verdict.h"
#include "socket/stream.h"
#include "state/registrations.h"
#include "system/errno.h"
#include "system/kernel.h"
#include "system/libc.h"
#include "system/log.h"

#include <linux/seccomp.h>
#include <sys/prctl.h>

static void now_filtered(void)
{
	atomic_store(&stream_filtered, true);
	log_limit = LOG_OFF;
}

int hook_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)
{
	if (option == PR_SET_SECCOMP)
		stream_find_all();
	int result = libc.prctl(option, a, b, c, d);
	if (option == PR_SET_SECCOMP && result == 0)
		now_filtered();
	return result;
}

ALSO_TIME64(prctl, __prctl_time64);

/* Does the map take an address that no rule names? A ring's connect() would go past it, so under such a map
 * there is none, and programs do without. */
static bool nothing_is_left_to_ip(void)
{
	const struct address documentation = address_ipv4(0xcb007101, 1); /* RFC 5737 */
	return shim_active() &&
	       verdict_of(shim.map, SIDE_CONNECT, SOCKET_STREAM, &documentation).kind != VERDICT_IP;
}

long hook_syscall(long number, long a, long b, long c, long d, long e, long f)
{
	switch (number) {
#ifdef SYS_socket
	case SYS_socket:
		return hook_socket((int)a, (int)b, (int)c);
	case SYS_connect:
		return hook_connect((int)a, (void *)b, (socklen_t)c);
	case SYS_bind:
		return hook_bind((int)a, (void *)b, (socklen_t)c);
	case SYS_listen:
		return hook_listen((int)a, (int)b);
	case SYS_accept4:
		return hook_accept4((int)a, (void *)b, (void *)c, (int)d);
	case SYS_getsockname:
		return hook_getsockname((int)a, (void *)b, (void *)c);
	case SYS_getpeername:
		return hook_getpeername((int)a, (void *)b, (void *)c);
	case SYS_setsockopt:
		return hook_setsockopt((int)a, (int)b, (int)c, (void *)d, (socklen_t)e);
	case SYS_getsockopt:
		return hook_getsockopt((int)a, (int)b, (int)c, (void *)d, (void *)e);
	case SYS_shutdown:
		return hook_shutdown((int)a, (int)b);
	case SYS_sendto:
		return hook_sendto((int)a, (void *)b, (size_t)c, (int)d, (void *)e, (socklen_t)f);
	case SYS_sendmsg:
		return hook_sendmsg((int)a, (void *)b, (int)c);
	case SYS_read:
		return hook_read((int)a, (void *)b, (size_t)c);
	case SYS_readv:
		return hook_readv((int)a, (void *)b, (int)c);
	case SYS_write:
		return hook_write((int)a, (void *)b, (size_t)c);
	case SYS_writev:
		return hook_writev((int)a, (void *)b, (int)c);
	case SYS_sendmmsg:
		return hook_sendmmsg((int)a, (void *)b, (unsigned)c, (int)d);
	case SYS_recvfrom:
		return hook_recvfrom((int)a, (void *)b, (size_t)c, (int)d, (void *)e, (void *)f);
	case SYS_recvmsg:
		return hook_recvmsg((int)a, (void *)b, (int)c);
#if !defined SYS_recvmmsg_time64 || SYS_recvmmsg_time64 == SYS_recvmmsg
	case SYS_recvmmsg:
		return hook_recvmmsg((int)a, (void *)b, (unsigned)c, (int)d, (void *)e);
#endif
#endif
#ifdef SYS_accept
	case SYS_accept:
		return hook_accept((int)a, (void *)b, (void *)c);
#endif
	case SYS_ioctl:
		return hook_ioctl((int)a, (unsigned long)b, (void *)c);
	case SYS_fcntl:
#ifdef SYS_fcntl64
	case SYS_fcntl64:
#endif
		return hook_fcntl((int)a, (int)b, (void *)c);
	case SYS_epoll_ctl:
		return hook_epoll_ctl((int)a, (int)b, (int)c, (void *)d);
	case SYS_close:
		return hook_close((int)a);
	case SYS_dup:
		return hook_dup((int)a);
#ifdef SYS_dup2
	case SYS_dup2:
		return hook_dup2((int)a, (int)b);
#endif
	case SYS_dup3:
		return hook_dup3((int)a, (int)b, (int)c);
	case SYS_close_range:
		if (!registrations_leave_closed(
			    (unsigned)a, (unsigned)b, (int)c)) /* musl has no function for it */
			return -1;
		return libc.syscall(number, a, b, c, d, e, f);
#ifdef __GLIBC__
	case SYS_execveat:
		return hook_execveat((int)a, (void *)b, (void *)c, (void *)d, (int)e);
#endif
	case SYS_prctl:
		return hook_prctl(
			(int)a, (unsigned long)b, (unsigned long)c, (unsigned long)d, (unsigned long)e);
	case SYS_seccomp: {
		bool filters = a != SECCOMP_GET_ACTION_AVAIL && a != SECCOMP_GET_NOTIF_SIZES;
		if (filters)
			stream_find_all();
		long result = libc.syscall(number, a, b, c, d, e, f);
		if (filters && result >= 0)
			now_filtered();
		return result;
	}
#ifdef SYS_io_uring_setup
	case SYS_io_uring_setup:
		if (nothing_is_left_to_ip())
			return fail(ENOSYS);
		atomic_store(&registrations_unseen, true);
		return libc.syscall(number, a, b, c, d, e, f);
#endif
	case SYS_execve:
		return hook_execve((void *)a, (void *)b, (void *)c);
	default:
		return libc.syscall(number, a, b, c, d, e, f);
	}
}
