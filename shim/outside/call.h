/* SPDX-License-Identifier: MIT */
/* A system call of a supervised program, which stands still until it is answered: what it asks, its thread's
 * memory and fds, and the ways to answer.
 *
 * A signal may end a call at any time; its thread then makes it again, which is a new call, or goes on with
 * EINTR. So each answer may find that nobody waits for it any more, and every handler must be able to run
 * twice. Not for signal handlers; one thread. */
#ifndef IP2VSOCK_CALL_H
#define IP2VSOCK_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

struct call {
	uint64_t id; /* 0: none, or its thread waits no longer */
	pid_t thread;
	int number;   /* SYS_… */
	bool foreign; /* of another architecture: the numbers mean something else */
	uint64_t arguments[6];
};

/* From here on the calls are those of this listener (seccomp_unotify(2)). false: errno is EINVAL on a kernel
 * that has no SECCOMP_IOCTL_NOTIF_ADDFD (before 5.9). */
bool call_start(int listener);
/* Takes the next one. false: it has gone before it could be taken. */
bool call_receive(struct call *call);
bool call_is_there(const struct call *call);

/* false: nobody waits for the answer. `error` 0: it returns `value`. */
bool call_answer(struct call *call, int64_t value, int error);
/* Lets the kernel carry the call out. Only for what isn't the map's: the kernel reads the program's memory
 * again. */
bool call_pass(struct call *call);

/* What the program is given takes the place of its fd `number`. 0, or an errno; ENOENT: nobody waits. */
int call_put(const struct call *call, int number, int fd, bool close_on_exec);
/* Answers with a new fd of the program's, a duplicate of ours. 0, or an errno, and the call isn't answered
 * then; ENOENT: nobody waits. Before Linux 5.14 a signal may come between the two steps: the fd is then known
 * to call_take_back(). */
int call_give(struct call *call, int fd, bool close_on_exec);
/* The fd that a call of this thread got and never heard of; -1: none. */
int call_take_back(const struct call *call);

/* The program's memory. 0, EFAULT as the kernel would say, or another errno: it can't be reached. */
int call_read(const struct call *call, uint64_t address, void *to, size_t size);
int call_write(const struct call *call, uint64_t address, const void *from, size_t size);

#endif
