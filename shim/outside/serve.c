/* SPDX-License-Identifier: MIT */
/* One call after the other: none of them waits for anything here. */
#include "serve.h"
#include "registrations.h"

#include "core/text.h"
#include "system/supervised.h"

#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A program of another architecture, or int 0x80: its calls are others than those that the filter knows. */
static void end_foreign(struct call *call)
{
	char number[16];
	struct text text = text_in(number, sizeof number);
	text_add_number(&text, (uint64_t)call->thread);
	log_error("process ", number,
		" made a system call of another architecture, which can't be supervised: it is killed, since "
		"its connections "
		"would go over IP");
	kill(call->thread, SIGKILL);
	call_answer(call, 0, ENOSYS);
}

/* How a nested ip2vsock, or the library, asks whether it is supervised, and by which map (supervised.h). */
static bool is_question(const struct call *call)
{
	return call->system_call == SYS_getsockopt && (int)call->arguments[0] == -1 &&
	       (int)call->arguments[1] == SUPERVISED_QUESTION;
}

static void answer_question(struct call *call)
{
	uint64_t map = supervised_identity(&shim);
	int error = call_write(call, call->arguments[3], &map, sizeof map);
	call_answer(call, 0, error);
}

/* The supervisor makes the program's epoll instances, and so knows of each before it can be used. */
static void serve_epoll_create(struct call *call)
{
	int number = call_take_back(call);
	if (number >= 0) {
		call_answer(call, number, 0);
		return;
	}
#ifdef SYS_epoll_create /* not arm64 */
	bool sized = call->system_call == SYS_epoll_create;
#else
	bool sized = false;
#endif
	int argument = (int)call->arguments[0];
	int fd = sized ? epoll_create(argument) : epoll_create1(argument);
	int error = fd < 0 ? errno : 0;
	moves_instance();
	if (!error)
		error = call_give(call, fd, !sized && argument & EPOLL_CLOEXEC);
	if (error)
		call_answer(call, 0, error);
	if (fd >= 0)
		close(fd);
}

static bool makes_epoll(const struct call *call)
{
#ifdef SYS_epoll_create
	if (call->system_call == SYS_epoll_create)
		return true;
#endif
	return call->system_call == SYS_epoll_create1;
}

static void (*server_of(int system_call))(struct subject *subject)
{
	switch (system_call) {
#ifdef SYS_accept /* not i386 */
	case SYS_accept:
#endif
	case SYS_accept4:
		return serve_accept;
	case SYS_bind:
		return serve_bind;
	case SYS_connect:
		return serve_connect;
	case SYS_getpeername:
		return serve_getpeername;
	case SYS_getsockname:
		return serve_getsockname;
	case SYS_getsockopt:
		return serve_getsockopt;
	case SYS_ioctl:
		return serve_ioctl;
	case SYS_listen:
		return serve_listen;
	case SYS_recvfrom:
		return serve_recvfrom;
	case SYS_sendto:
		return serve_sendto;
	case SYS_setsockopt:
		return serve_setsockopt;
	case SYS_shutdown:
		return serve_shutdown;
	default:
		return NULL;
	}
}

static void serve_one(struct call *call)
{
	void (*server)(struct subject * subject) = server_of(call->system_call);
	struct subject subject;
	held_superseded(call->thread);
	if (!server) { /* the filter sends no such call */
		call_answer(call, 0, EACCES);
		return;
	}
	if (subject_open(&subject, call)) {
		if (server != serve_connect)
			attempt_settle(&subject);
		server(&subject);
	}
	subject_close(&subject);
}

bool serve_next(void)
{
	struct call call;
	if (!call_receive(&call))
		return errno == ENOENT || errno == EINTR || errno == EAGAIN;
	if (call.foreign)
		end_foreign(&call);
	else if (call.thread == 0) /* of a pid namespace that isn't below ours */
		call_answer(&call, 0, EACCES);
	else if (is_question(&call))
		answer_question(&call);
	else if (makes_epoll(&call))
		serve_epoll_create(&call);
	else
		serve_one(&call);
	return true;
}
