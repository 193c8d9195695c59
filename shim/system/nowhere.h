/* SPDX-License-Identifier: MIT */
/* Pointers to where programs have no memory. The kernel says EFAULT, where a hook that looks would crash, so
 * it says EFAULT itself, and doesn't look. Where it must not be left to the kernel, it isn't: root may map
 * even page 0, and vm.mmap_min_addr may be less than here. Of any other page only a system call would say
 * whether it is there. */
#ifndef IP2VSOCK_NOWHERE_H
#define IP2VSOCK_NOWHERE_H

#include <stdbool.h>
#include <stdint.h>

/* Below what programs may usually map (Linux's default on most machines), or in the kernel's half. */
static inline bool is_nowhere(const void *pointer)
{
#ifdef __aarch64__ /* the highest byte may be a tag */
	const uintptr_t value = (uintptr_t)pointer << 8 >> 8, most = INTPTR_MAX >> 8;
#else
	const uintptr_t value = (uintptr_t)pointer,
			most = sizeof(void *) == 8 ? INTPTR_MAX : UINTPTR_MAX - 4096;
#endif
	const uintptr_t least = 65536;
	return value < least || value > most;
}

#endif
