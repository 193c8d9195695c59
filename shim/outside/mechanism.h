/* SPDX-License-Identifier: MIT */
/* Two mechanisms show the supervisor a program's system calls and carry its answers out: user notification
 * (notified.c) and ptrace (traced.c). What they do is described in call.h and task.h, which is what everybody
 * else uses. */
#ifndef IP2VSOCK_MECHANISM_H
#define IP2VSOCK_MECHANISM_H

#include "call.h"

struct mechanism {
	bool (*receive)(struct call *call);
	bool (*is_there)(const struct call *call);
	bool (*answer)(const struct call *call, int64_t value, int error);
	bool (*pass)(const struct call *call);
	int (*put)(const struct call *call, int number, int fd, bool close_on_exec);
	int (*give)(const struct call *call, int fd, bool close_on_exec);
	int (*take_back)(const struct call *call);
	void (*settle)(void);
	int (*duplicate)(pid_t thread, int number); /* NULL: by pidfd_getfd(2) */
};

extern const struct mechanism notified, traced;
extern const struct mechanism *mechanism;

#endif
