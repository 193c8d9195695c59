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

/* Runs run(copy of size bytes of `context`) in a task. It may call what is async-signal-safe, nothing of
 * pthreads. false with errno: the kernel gives no task, or no memory. */
bool task_start(void (*run)(void *context), const void *context, size_t size);

/* In a child of fork(): calls `visit` with the context of each task that it doesn't have. */
void task_forget(void (*visit)(void *context));

#endif
