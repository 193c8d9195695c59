/* SPDX-License-Identifier: MIT */
/* A system call of a supervised program, whose thread is suspended until the call is answered: what it asks,
 * the thread's memory and fds, and the ways to answer.
 *
 * A signal may end a call at any time. Its thread then makes it again, which is a new call, or continues with
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
	uint64_t id; /* 0: there is none, or its thread no longer waits */
	pid_t thread;
	int system_call; /* SYS_… */
	bool foreign;	 /* of another architecture: the numbers mean something else */
	uint64_t arguments[6];
};

/* From here on calls come from this listener (seccomp_unotify(2)). false: errno is EINVAL on a kernel that
 * has no SECCOMP_IOCTL_NOTIF_ADDFD (before 5.9). */
bool call_start(int listener);
/* Calls are those of traced threads from here on (stops.h). false: errno. */
bool call_start_tracing(void);
/* A thread hears each answer, unless it is killed before. */
bool call_is_sure(void);
/* At the end of each turn: threads whose calls aren't answered yet take signals again. */
void call_settle(void);

/* Takes the next call. false: its thread went away before it could be taken. */
bool call_receive(struct call *call);
bool call_is_there(const struct call *call);

/* The call fails with `error`; if that is 0, it returns `value`. false: nobody waits for the answer. */
bool call_answer(struct call *call, int64_t value, int error);
/* Lets the kernel carry the call out. Only for what the map doesn't take: the kernel reads the program's
 * memory again. */
bool call_pass(struct call *call);

/* Puts a duplicate of ours on the program's fd `number`. 0 or an errno; ENOENT: nobody waits. */
int call_put(const struct call *call, int number, int fd, bool close_on_exec);
/* Answers with a new fd of the program's, a duplicate of ours. 0, or an errno, and then the call isn't
 * answered; ENOENT: nobody waits. Before Linux 5.14, a signal may come between giving the fd and answering;
 * call_take_back() then finds the fd. */
int call_give(struct call *call, int fd, bool close_on_exec);
/* The fd that an earlier call of this thread got without learning its number; -1: none. */
int call_take_back(const struct call *call);

/* Read and write the program's memory. 0, EFAULT as the kernel would return it, or another errno if the
 * memory can't be reached. */
int call_read(const struct call *call, uint64_t address, void *to, size_t size);
int call_write(const struct call *call, uint64_t address, const void *from, size_t size);

#endif
