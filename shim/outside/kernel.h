/* SPDX-License-Identifier: MIT */
/* Definitions of the kernel that the headers of an older system lack. */
#ifndef IP2VSOCK_OUTSIDE_KERNEL_H
#define IP2VSOCK_OUTSIDE_KERNEL_H

#include "system/kernel.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#if defined __x86_64__ && !defined __ILP32__
#define NATIVE_ARCH AUDIT_ARCH_X86_64
#define FOREIGN_NUMBERS 0x40000000
#elif defined __aarch64__ && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define NATIVE_ARCH AUDIT_ARCH_AARCH64
#else
#define NATIVE_ARCH 0 /* none: supervise() reports it */
#endif

/* The same on all architectures: include/uapi/asm-generic/unistd.h. */
#ifndef SYS_io_uring_setup
#define SYS_io_uring_setup 425
#endif
#ifndef SYS_seccomp
#error "SYS_seccomp is missing: this needs kernel headers of Linux 3.17 or newer"
#endif

#ifndef SECCOMP_ADDFD_FLAG_SEND /* Linux 5.14 */
#define SECCOMP_ADDFD_FLAG_SEND (1UL << 1)
#endif
#ifndef SECCOMP_FILTER_FLAG_SPEC_ALLOW
#define SECCOMP_FILTER_FLAG_SPEC_ALLOW (1UL << 2)
#endif
#ifndef PIDFD_THREAD /* Linux 6.9 */
#define PIDFD_THREAD O_EXCL
#endif
#ifndef MSG_FASTOPEN
#define MSG_FASTOPEN 0x20000000
#endif
#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59
#endif
#ifndef SO_PEERPIDFD /* Linux 6.5 */
#define SO_PEERPIDFD 77
#endif
#ifndef SO_ZEROCOPY
#define SO_ZEROCOPY 60
#endif

/* kcmp(2), with names of our own beside the enumerators of <linux/kcmp.h>, which came with Linux 3.5
 * and 4.13. */
enum { COMPARE_FILES = 2, COMPARE_EPOLL_TARGET = 7 };
struct compare_slot { /* struct kcmp_epoll_slot */
	uint32_t efd, tfd, toff;
};

/* FIONREAD, SIOCOUTQ and SIOCATMARK. */
enum { IOCTL_UNREAD = 0x541B, IOCTL_UNSENT = 0x5411, IOCTL_AT_MARK = 0x8905 };

#endif
