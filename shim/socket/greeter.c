/* SPDX-License-Identifier: MIT */
#include "greeter.h"

#include "stream_internal.h"
#include "system/task.h"
#include "transport/transport_unix.h"

_Static_assert(sizeof(struct greeter) <= TASK_ROOM, "a task has room for it");

/* The program may have made it block meanwhile, or set options. */
static void make_alike(const struct greeter *greeter)
{
	int flags = libc.fcntl(greeter->fd, F_GETFL, NULL);
	if (flags >= 0)
		libc.fcntl(greeter->fresh, F_SETFL, (void *)(long)flags);
	options_apply(&greeter->sock->options, greeter->fresh, greeter->sock->rule->buffer);
}

/* What the greeting has come to is put on the number: the connection, or a socket that shows its failure. The
 * stand-in whose gate is closed shows that too, but for a moment ERR without OUT (unix_release_sock(),
 * Linux 6.1).
 */
static int put_in_place(const struct greeter *greeter)
{
	struct sock *sock = greeter->sock;
	if (greeter->fresh < 0)
		return 0; /* no fd is left */
	if (!fd_pin(greeter->fd, sock)) {
		libc.close(greeter->fresh);
		return 0; /* the program has closed it */
	}
	make_alike(greeter);
	int error = swap_in(greeter->fd, sock, greeter->fresh) < 0 ? errno : 0;
	fd_unpin(sock);
	return error;
}

static void finish(void *context)
{
	struct greeter *greeter = context;
	struct sock *sock = greeter->sock;
	fd_greeting_lock(sock);
	if (greeter->error) {
		libc.close(greeter->fresh);
		greeter->fresh = transport_unix_refused(SOCK_CLOEXEC);
		sock->report.error = greeter->error;
	}
	int error = put_in_place(greeter);
	if (error && !greeter->error)
		sock->report.error = error;
	fd_greeting_end(sock);
	libc.close(greeter->gate);
	fd_release(sock);
}

static void greet(void *context)
{
	struct greeter *greeter = context;
	int result = dial_greet(
		greeter->fresh, &greeter->to, &greeter->greeting, greeter->deadline, greeter->gate);
	greeter->error = result < 0 ? errno : 0;
	stream_log("connect", &greeter->sock->asked, greeter->sock->rule, &greeter->to.endpoint,
		greeter->error ? log_errno(greeter->error) : "greeted");
}

bool greeter_start(const struct greeter *greeter)
{
	static const struct task_work work = {.run = greet, .end = finish};
	fd_greeting_begin(greeter->sock);
	if (task_start(&work, greeter, sizeof *greeter))
		return true;
	struct greeter here = *greeter;
	greet(&here);
	finish(&here);
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
