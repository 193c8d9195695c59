/* SPDX-License-Identifier: MIT */
/* Pointers to where no program has memory: the kernel says EFAULT, where a hook that looks would crash. To
 * find out of any other page would take a system call. */
#ifndef IP2VSOCK_NOWHERE_H
#define IP2VSOCK_NOWHERE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* Below the least address that a program may map, or in the kernel's half. */
static inline bool is_nowhere(const void *pointer)
{
	const uintptr_t least = 65536, most = sizeof(void *) == 8 ? INTPTR_MAX : UINTPTR_MAX - 4096;
	return (uintptr_t)pointer < least || (uintptr_t)pointer > most;
}

/* Of a message that is somewhere. */
static inline bool has_parts_nowhere(const struct msghdr *message)
{
	return message->msg_iovlen && is_nowhere(message->msg_iov);
}

#endif
