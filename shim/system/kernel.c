/* SPDX-License-Identifier: MIT */
#include "kernel.h"

#include "core/errno.h"

#include <stdatomic.h>
#include <sys/utsname.h>

/* The number that `text` begins with, and the dot behind it. */
static uint64_t number(const char **text)
{
	uint64_t value = 0;
	for (; **text >= '0' && **text <= '9'; ++*text)
		value = value * 10 + (uint64_t)(**text - '0');
	*text += **text == '.';
	return value & 0xFFFF;
}

uint64_t kernel_version(void)
{
	struct utsname name;
	KEEP_ERRNO;
	const char *release = uname(&name) == 0 ? name.release : "";
	uint64_t major = number(&release), minor = number(&release), patch = number(&release);
	return KERNEL(major, minor, patch);
}

bool kernel_is_before(unsigned major, unsigned minor)
{
	uint64_t version = kernel_version();
	return version && version < KERNEL(major, minor, 0);
}

bool kernel_was_before(_Atomic int *known, unsigned major, unsigned minor)
{
	enum { NOT_ASKED, BEFORE, NOT_BEFORE };
	int answer = atomic_load_explicit(known, memory_order_relaxed);
	if (answer == NOT_ASKED)
		atomic_store(known, answer = kernel_is_before(major, minor) ? BEFORE : NOT_BEFORE);
	return answer == BEFORE;
}
