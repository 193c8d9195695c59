/* SPDX-License-Identifier: MIT */
#include "greeter.h"

#include "stream_internal.h"
#include "system/task.h"

_Static_assert(sizeof(struct greeter) <= TASK_ROOM, "a task has room for it");

/* The program may have made it block meanwhile, or set options. */
static void make_alike(const struct greeter *greeter)
{
	int flags = libc.fcntl(greeter->fd, F_GETFL, NULL);
	if (flags >= 0)
		libc.fcntl(greeter->fresh, F_SETFL, (void *)(long)flags);
	options_apply(&greeter->sock->options, greeter->fresh, greeter->sock->rule->buffer);
}

static void finish(const struct greeter *greeter, int error)
{
	struct sock *sock = greeter->sock;
	bool ours = fd_greeting_lock(sock);
	if (!error && fd_pin(greeter->fd, sock)) {
		make_alike(greeter);
		if (swap_in(greeter->fd, sock, greeter->fresh) < 0)
			error = errno;
		fd_unpin(sock);
	} else {
		libc.close(greeter->fresh);
	}
	if (error)
		sock->report.error = error;
	if (ours)
		fd_greeting_end(sock);
	libc.close(greeter->gate);
}

static void greet(void *context)
{
	struct greeter *greeter = context;
	int result = dial_greet(
		greeter->fresh, &greeter->to, &greeter->greeting, greeter->deadline, greeter->gate);
	int error = result < 0 ? errno : 0;
	stream_log("connect", &greeter->sock->asked, greeter->sock->rule, &greeter->to.endpoint,
		error ? log_errno(error) : "greeted");
	finish(greeter, error);
	fd_release(greeter->sock);
}

bool greeter_start(const struct greeter *greeter)
{
	fd_greeting_begin(greeter->sock);
	if (task_start(greet, greeter, sizeof *greeter))
		return true;
	struct greeter here = *greeter;
	greet(&here);
	return false;
}

static void forget(void *context)
{
	const struct greeter *greeter = context;
	close_quietly(greeter->fresh);
	close_quietly(greeter->gate);
	greeter->sock->report.error = ECONNABORTED;
	fd_greeting_end(greeter->sock);
	fd_release(greeter->sock);
}

void greeter_in_child(void)
{
	task_forget(forget);
}
