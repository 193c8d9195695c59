/* SPDX-License-Identifier: MIT */
#include "greeter.h"

#include "stream_internal.h"
#include "system/clock.h"
#include "system/task.h"
#include "transport/transport_unix.h"

#include <poll.h>
#include <sys/stat.h>

_Static_assert(sizeof(struct greeter) <= TASK_ROOM, "a task has room for it");

/* The program may have made it block meanwhile, or set options. */
static void make_alike(const struct greeter *greeter)
{
	int flags = libc.fcntl(greeter->fd, F_GETFL, NULL);
	if (flags >= 0)
		libc.fcntl(greeter->fresh, F_SETFL, (void *)(long)flags);
	options_apply(&greeter->sock->options, greeter->fresh, greeter->sock->rule->buffer);
}

/* The number on which the program sees the stand-in; -1: none. It was closed, or connect(AF_UNSPEC), bind()
 * or shutdown() has given the program another socket, on which another greeting may be under way. */
static int number_of(const struct greeter *greeter)
{
	struct stat now;
	int fd = fd_of(greeter->fd, greeter->sock);
	return fd >= 0 && fstat(fd, &now) == 0 && now.st_ino == greeter->stand_in ? fd : -1;
}

/* What the greeting has come to is put on the number: the connection, or a socket that shows its failure.
 * -1 with errno: the stand-in stays. */
static int put_in_place(struct greeter *greeter)
{
	struct sock *sock = greeter->sock;
	if (greeter->fresh < 0)
		return -1; /* no fd is left */
	if (!fd_pin(greeter->fd, sock)) {
		libc.close(greeter->fresh);
		return 0; /* the program has closed it */
	}
	make_alike(greeter);
	int result = swap_in(greeter->fd, sock, greeter->fresh);
	fd_unpin(sock);
	return result;
}

/* The stand-in whose gate is closed shows a failure too, but for a moment ERR without OUT
 * (unix_release_sock(), Linux 6.1). */
static void hand_over(struct greeter *greeter)
{
	struct sock *sock = greeter->sock;
	if (greeter->error) {
		libc.close(greeter->fresh);
		greeter->fresh = transport_unix_refused(SOCK_CLOEXEC);
		sock->report.error = greeter->error;
	}
	if (put_in_place(greeter) < 0) {
		if (!greeter->error)
			sock->report.error = errno;
		greeter->fd = -1; /* nothing to linger for: the gate is closed at once */
	}
	fd_greeting_end(sock);
}

static void finish(void *context)
{
	struct greeter *greeter = context;
	struct sock *sock = greeter->sock;
	bool locked = fd_greeting_lock(sock);
	greeter->fd = number_of(greeter);
	if (greeter->fd >= 0) {
		hand_over(greeter);
		libc.shutdown(
			greeter->gate, SHUT_RD); /* wakes who polls, also if a child has a copy of the gate */
	} else {
		libc.close(greeter->fresh);
		if (locked)
			fd_greeting_unlock(sock);
	}
	greeter->over = true;
	fd_release(sock);
}

/* A thread that has slept in poll() or select() since before looks the number up again when it wakes, but
 * goes on sleeping with the stand-in if what it waits for isn't there yet: it is woken once more when
 * something can be read. The gate is hung up once nobody has the stand-in any more. */
static void linger(void *context)
{
	enum { GLANCE_MS = 500 };
	const struct greeter *greeter = context;
	struct pollfd wait[] = {{.fd = greeter->gate}, {.fd = greeter->fd, .events = POLLIN | POLLRDHUP}};
	while (greeter->fd >= 0 && fd_sock(greeter->fd) == greeter->sock &&
		libc.poll(wait, 2, GLANCE_MS) == 0)
		;
	libc.close(greeter->gate);
}

/* In slices: the program may have given the attempt up, and threads that poll the stand-in still hold it. */
static void greet(void *context)
{
	enum { GLANCE_MS = 250 };
	struct greeter *greeter = context;
	int result;
	do {
		int64_t until = now_ms() + GLANCE_MS;
		bool last = until >= greeter->deadline;
		result = dial_greet(greeter->fresh, &greeter->to, &greeter->greeting,
			last ? greeter->deadline : until, greeter->gate);
		greeter->error = result < 0 ? errno : 0;
		if (last)
			break;
	} while (greeter->error == ETIMEDOUT && number_of(greeter) >= 0);
	if (greeter->error != ECANCELED)
		stream_log("connect", &greeter->sock->asked, greeter->sock->rule, &greeter->to.endpoint,
			greeter->error ? log_errno(greeter->error) : "greeted");
}

bool greeter_start(const struct greeter *greeter)
{
	static const struct task_work work = {.run = greet, .end = finish, .linger = linger};
	struct greeter here = *greeter;
	struct stat stand_in;
	here.fresh = fd_set_aside(here.fresh);
	here.gate = fd_set_aside(here.gate);
	here.stand_in = fstat(greeter->fd, &stand_in) == 0 ? stand_in.st_ino : 0;
	fd_greeting_begin(greeter->sock);
	if (task_start(&work, &here, sizeof here))
		return true;
	greet(&here);
	finish(&here);
	libc.close(here.gate);
	return false;
}

static void forget(void *context)
{
	const struct greeter *greeter = context;
	close_quietly(greeter->gate);
	if (greeter->over)
		return;
	close_quietly(greeter->fresh);
	greeter->sock->report.error = ECONNABORTED;
	fd_greeting_end(greeter->sock);
	fd_release(greeter->sock);
}

void greeter_in_child(void)
{
	task_forget(forget);
}
