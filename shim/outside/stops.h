/* SPDX-License-Identifier: MIT */
/* Threads of a traced program that are in a system call which is shown to the supervisor (ptrace(2)), and the
 * calls that such a thread makes for it. A thread is stopped at the entry of its call. If the call isn't
 * answered at once, the thread waits in a substitute, ppoll(2) of nothing: a ptrace stop would keep signals
 * away from it. A signal that comes meanwhile ends the call, and the kernel restarts it or not, as it does
 * with every call; a restarted one is a new call. One thread; not for signal handlers. */
#ifndef IP2VSOCK_STOPS_H
#define IP2VSOCK_STOPS_H

#include "registers.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

enum stand {
	STOPPED_AT_CALL,
	STOPPED_AFTER_CALL, /* one that it has made for us */
	WAITING,
	RECEIVING, /* in a call that the supervisor isn't shown */
};

struct stopped {
	struct stopped *next;	/* in the table */
	struct stopped *behind; /* in the queue, or among those that are stopped */
	pid_t thread;
	uint64_t call; /* another number for each call; 0: its thread goes another way by now */
	enum stand stand;
	bool foreign;	  /* of another architecture */
	bool masked;	  /* it doesn't take signals, */
	uint64_t mask;	  /* but those that it otherwise blocks */
	int signal;	  /* SIGSTOP came in spite of that */
	bool group_stops; /* the process is to be stopped */
	int number;	  /* of the call, SYS_… */
	struct registers at_call;
	int socket;  /* an fd of its own, for our use; -1: none */
	int far_end; /* ours, of that socket */
	bool raised; /* its process may have a few fds more than this: */
	struct rlimit limit;
};

/* From here on `process`, which is a child of ours that has one thread, is traced with all that it starts. If
 * we end, all of them are killed. false: errno. */
bool stops_start(pid_t process);

/* Handles what traced threads have done, until one has ended, has executed a program (bits of
 * PTRACE_EVENT_EXEC), or its process has been stopped by a signal. Returns it and its status as waitpid(2)
 * does; 0: nothing more has happened; -1: there are no processes any more. */
pid_t stops_wait(int *status);
/* More has happened: stops_wait() is to be called again. */
bool stops_more(void);

/* Must threads stop after each call that receives, too? On AF_VSOCK the end of a stream is ENOTCONN before
 * Linux 5.2, and 4.19.54 (vsock_stream_recvmsg(), without SOCK_DONE), and MSG_PEEK is ENOMEM. The first
 * becomes 0, also after a reset; the second EAGAIN, or EOPNOTSUPP in a call that waits. */
bool stops_after_receiving(void);

/* The address of a page in this process's memory that is ours; 0: there is none yet. NULL: out of memory. */
uint64_t *stops_page(pid_t process);

bool stops_waiting(void);	  /* there is a call that nobody has taken */
struct stopped *stops_next(void); /* the call that came first; NULL: none is waiting */
struct stopped *stops_find(pid_t thread);
struct stopped *stops_left(void); /* one that is still stopped, although its call has been taken; or NULL */

/* A thread that waits is stopped again. false: a signal was faster, or it has ended. */
bool stops_bring(struct stopped *one);

/* Makes the stopped thread make a system call. What the kernel returns; -ESRCH also if the thread has ended.
 */
int64_t stops_make(struct stopped *one, int number, const uint64_t arguments[6]);

/* Ways on: with this result, by the kernel, or in the substitute. After the first two, `one` is no more.
 * false: the thread has ended. */
bool stops_answer(struct stopped *one, int64_t value);
bool stops_pass(struct stopped *one);
void stops_hold(struct stopped *one);

#endif
