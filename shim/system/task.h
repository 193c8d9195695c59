/* SPDX-License-Identifier: MIT */
/* A task of the kernel's in this process that runs one short function beside the program's threads. libc
 * knows nothing of it, so neither do pthread_atfork(), /proc's readers aside, nor the program: it has all
 * signals blocked, a stack and an errno of its own, and ends with the process and at exec. A child of fork()
 * doesn't have it. */
#ifndef IP2VSOCK_SYSTEM_TASK_H
#define IP2VSOCK_SYSTEM_TASK_H

#include <stdbool.h>
#include <stddef.h>

enum { TASK_ROOM = 1024 }; /* bytes for what `run` is given */

struct task_work {
	void (*run)(void *context);
	void (*end)(void *context); /* after it; short. A fork() comes before it or after it, never within */
	void (*linger)(void *context); /* what may take its time once the work is done */
};

/* Does `work`, which is static, with a copy of size bytes of `context`, in a task. It may call what is
 * async-signal-safe and needs no locale, nothing of pthreads. false with errno: the kernel gives no task, or
 * no memory. */
bool task_start(const struct task_work *work, const void *context, size_t size);

/* Before fork(), which forks.h knows to be under way. */
void task_before_fork(void);
/* In a child of fork(): calls `visit` with the context of each task that it doesn't have, and that hadn't
 * come to its end; and of one that lingers. */
void task_forget(void (*visit)(void *context));

#endif
