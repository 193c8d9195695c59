/* SPDX-License-Identifier: MIT */
/* A socket that replaces another in a supervised program must be registered with epoll again, if the program
 * had registered it before connect(), bind() or listen(). epoll knows a registration by its file and by its
 * number in the process that made it, so only a process that has the sockets on that number can move one: a
 * child of the supervisor, with fds of its own. One thread; not for signal handlers. */
#ifndef IP2VSOCK_OUTSIDE_REGISTRATIONS_H
#define IP2VSOCK_OUTSIDE_REGISTRATIONS_H

#include "system/epolls.h"

#include <sys/types.h>

enum { MOVES = 16 }; /* epoll instances with the same socket */

struct moves {
	pid_t thread;
	int number;	/* the program's fd */
	uint64_t inode; /* of the socket that is replaced */
	int count;
	int old; /* that socket; -1: nothing is registered */
	struct registered list[MOVES];
};

/* A supervised program is about to get a new epoll instance. */
void moves_instance(void);

/* Before the socket is replaced: looks for its registrations. */
void moves_find(struct moves *moves, pid_t thread, int number, uint64_t inode);

/* After that: moves them to the fresh socket, with the same events and data, or, if it is -1, lets them be.
 */
void moves_make(struct moves *moves, int fresh);

#endif
