/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <unistd.h>

#if defined(__x86_64__) || defined(__aarch64__) || defined(__i386__) || (defined(__arm__) && __ARM_ARCH >= 7)
/* The end of vfork.S: an errno, and -1. */
__attribute__((visibility("hidden"))) pid_t vfork_failed(int negative)
{
	errno = -negative;
	return -1;
}
#else
pid_t hook_vfork(void) __asm__("vfork") __attribute__((visibility("default")));

pid_t hook_vfork(void)
{
	return fork();
}
#endif
