/* SPDX-License-Identifier: MIT */
/* Who greets for a connect() that doesn't wait. The program's number shows a stand-in, which is neither
 * readable nor writable; a task (system/task.h) greets on the fresh socket and puts that in its place, or
 * hangs the stand-in up. So whatever the program waits with, it wakes when the connection is its own, and not
 * a byte of the greeting reaches it.
 *
 * The task exists for this one greeting. It ends at once where the program has closed the fd, soon where that
 * shows another socket (connect(AF_UNSPEC), shutdown()), and with the process. A child of fork() doesn't have
 * it: there the attempt has failed. */
#ifndef IP2VSOCK_GREETER_H
#define IP2VSOCK_GREETER_H

#include "state/fd.h"
#include "transport/dial.h"

struct greeter {
	struct sock *sock; /* held, and let go when the greeting is over */
	int fd;		   /* the program's */
	int fresh;	   /* connected, and greeted on */
	int gate;	   /* of the stand-in on fd */
	struct destination to;
	struct greeting greeting;
	int64_t deadline;
	int error;	/* what the greeting has come to */
	ino_t stand_in; /* its inode: the program's number may show another socket by the end;
			   greeter_start()'s */
	bool over;	/* it has been handed over, or given up */
};

/* Takes over all that it names. Where the kernel gives no task the greeting is waited for: false. */
bool greeter_start(const struct greeter *greeter);

/* In a child of fork(). */
void greeter_in_child(void);

#endif
