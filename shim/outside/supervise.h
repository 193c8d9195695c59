/* SPDX-License-Identifier: MIT */
/* The supervisor's process, and what it shares with the stand-in (outside.h). */
#ifndef IP2VSOCK_SUPERVISE_H
#define IP2VSOCK_SUPERVISE_H

#include "outside.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

enum { STATUS_REFUSED = 125, SIGNALS = 65 };

/* In memory that both processes share. */
struct stand_in {
	char message[OUTSIDE_MESSAGE]; /* why the supervisor couldn't start; "" if it could */
	_Atomic pid_t program;
	_Atomic bool begun;  /* the program has been let go */
	_Atomic bool traced; /* it ends with the supervisor */
	_Atomic int64_t
		seen[SIGNALS]; /* when the supervisor last got this signal, by CLOCK_MONOTONIC in ms */
};

enum report_kind { REPORT_STOP, REPORT_END };
struct report {
	enum report_kind kind;
	int status; /* as from waitpid(2) */
};

/* Forks the supervisor, and from it the program, which calls run(context) with the signal mask `mask`.
 * Reports come through the pipe. The caller has blocked signals. Returns the supervisor's process, or -1 and
 * errno. */
pid_t supervise(const struct settings *settings, struct stand_in *shared, int pipe, const sigset_t *mask,
	void (*run)(void *context), void *context);

bool supervise_proc_is_ours(void);
/* Closes all fds except stderr and these, so that nobody waits in vain for the end of a pipe. stdin and
 * stdout become /dev/null, and the directory becomes the root. */
void supervise_let_go(const int *kept, int count);

#endif
