/* SPDX-License-Identifier: MIT */
/* Calls by seccomp user notification, Linux 5.9. */
#include "kernel.h"
#include "mechanism.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int listener;
static bool sends; /* SECCOMP_ADDFD_FLAG_SEND, Linux 5.14 */

/* The kernel's error for an answer to nobody, with these flags. */
static int probe(uint32_t flags)
{
	struct seccomp_notif_addfd nobody = {.id = UINT64_MAX, .flags = flags, .srcfd = (uint32_t)listener};
	return ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &nobody) < 0 ? errno : 0;
}

bool call_start(int fd)
{
	mechanism = &notified;
	listener = fd;
	sends = probe(SECCOMP_ADDFD_FLAG_SEND) == ENOENT;
	int known = probe(0);
	errno = known;
	return known == ENOENT;
}

static bool receive(struct call *call)
{
	struct seccomp_notif notification;
	memset(&notification, 0, sizeof notification); /* the kernel requires this, including the padding */
	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &notification) < 0)
		return false;
	*call = (struct call){.id = notification.id,
		.thread = (pid_t)notification.pid,
		.system_call = notification.data.nr};
	call->foreign = notification.data.arch != NATIVE_ARCH;
	memcpy(call->arguments, notification.data.args, sizeof call->arguments);
	return true;
}

static bool is_there(const struct call *call)
{
	return ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &call->id) == 0;
}

static bool respond(const struct call *call, int64_t value, int error, uint32_t flags)
{
	struct seccomp_notif_resp response = {.id = call->id, .val = value, .error = -error, .flags = flags};
	return ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response) == 0;
}

static bool answer(const struct call *call, int64_t value, int error)
{
	return respond(call, error ? 0 : value, error, 0);
}

static bool pass(const struct call *call)
{
	return respond(call, 0, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE);
}

static int add_fd(const struct call *call, int fd, uint32_t flags, int number, bool close_on_exec)
{
	struct seccomp_notif_addfd addfd = {.id = call->id,
		.flags = flags,
		.srcfd = (uint32_t)fd,
		.newfd = (uint32_t)number,
		.newfd_flags = close_on_exec ? O_CLOEXEC : 0};
	int result = ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &addfd);
	if (result < 0 && errno == ESRCH) /* a signal came before the thread had installed it */
		errno = ENOENT;
	return result;
}

static int put(const struct call *call, int number, int fd, bool close_on_exec)
{
	return add_fd(call, fd, SECCOMP_ADDFD_FLAG_SETFD, number, close_on_exec) < 0 ? errno : 0;
}

/* Threads that were given an fd and then went away for a signal. There are few, and each soon calls again. */
static struct {
	pid_t thread;
	int number;
} orphans[64];
enum { ORPHANS = sizeof orphans / sizeof *orphans };

static void remember(pid_t thread, int number)
{
	static unsigned next;
	unsigned at = next++ % ORPHANS;
	orphans[at].thread = thread;
	orphans[at].number = number;
}

static int take_back(const struct call *call)
{
	for (int i = 0; !sends && i < ORPHANS; i++)
		if (orphans[i].thread == call->thread) {
			orphans[i].thread = 0;
			return orphans[i].number;
		}
	return -1;
}

static int give(const struct call *call, int fd, bool close_on_exec)
{
	int number = add_fd(call, fd, sends ? SECCOMP_ADDFD_FLAG_SEND : 0, 0, close_on_exec);
	if (number < 0)
		return errno;
	if (!sends && !respond(call, number, 0, 0))
		remember(call->thread, number);
	return 0;
}

const struct mechanism notified = {
	.receive = receive,
	.is_there = is_there,
	.answer = answer,
	.pass = pass,
	.put = put,
	.give = give,
	.take_back = take_back,
};
