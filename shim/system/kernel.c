/* SPDX-License-Identifier: MIT */
#include "kernel.h"

#include "core/errno.h"

#include <sys/utsname.h>

static unsigned number(const char **text)
{
	unsigned value = 0;
	for (; **text >= '0' && **text <= '9'; ++*text)
		value = value * 10 + (unsigned)(**text - '0');
	return value;
}

bool kernel_is_before(unsigned major, unsigned minor)
{
	struct utsname name;
	KEEP_ERRNO;
	const char *release = uname(&name) == 0 ? name.release : "";
	unsigned first = number(&release);
	unsigned second = *release == '.' ? (++release, number(&release)) : 0;
	return first && (first < major || (first == major && second < minor));
}
