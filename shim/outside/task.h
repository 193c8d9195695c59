/* SPDX-License-Identifier: MIT */
/* A thread of a supervised program, by its number: what of it isn't its memory (call.h). Known threads are
 * cached, and so are the files that tell of their fds, so that most calls cost one system call. One thread;
 * not for signal handlers. */
#ifndef IP2VSOCK_TASK_H
#define IP2VSOCK_TASK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* A duplicate of the thread's fd, ours to close (it is close-on-exec). -1 and errno: EBADF, it has no such
 * fd; EPERM, ESRCH …, it can't be reached. */
int task_duplicate(pid_t thread, int number);

/* Numbers of threads are used again. This is another value for each thread whose fds have been duplicated; 0:
 * they haven't been, or not for a while. */
unsigned task_serial(pid_t thread);

/* A traced thread has ended, or has executed another program. */
void task_ended(pid_t thread);

struct task_fd {
	int flags;	/* O_NONBLOCK and O_CLOEXEC of them */
	uint64_t inode; /* of what stands there */
};
/* What stands on the number at this moment. 0 or an errno: ENOENT, nothing. */
int task_look(pid_t thread, int number, struct task_fd *fd);

/* A new socket in the thread's network namespace. Ours to close, and close-on-exec; -1 and errno. */
int task_socket(pid_t thread, int family, int type);

/* A pidfd that is readable once the thread has ended (its process, before Linux 6.9). Ours to close; -1 and
 * errno. */
int task_end(pid_t thread);

pid_t task_process(pid_t thread); /* -1: it can't be seen */

/* The effective user of the thread; -1: it can't be seen. */
uid_t task_user(pid_t thread);

bool task_has_capability(pid_t thread, int capability); /* effective, in our user namespace */

bool task_has_threads(pid_t thread); /* its process has more than this one */

bool task_is_killed(pid_t thread); /* but hasn't ended yet */

bool task_catches_signals(pid_t thread); /* a handler may interrupt its calls */

/* The number of the process's fd that is this socket, other than `not`; -1: there is none, or it can't be
 * seen. */
int task_find(pid_t thread, uint64_t inode, int not_this);

#endif
