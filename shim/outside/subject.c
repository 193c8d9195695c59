/* SPDX-License-Identifier: MIT */
/* What all calls have in common: the socket on the program's fd number, the program's memory, and the one
 * function that replaces a socket. A call is read once, and everything acts on the copy. The supervisor
 * duplicates the program's fd and looks the socket up by its inode, because the program may have passed it on
 * or duplicated it without our seeing it. */
#include "registrations.h"
#include "serve.h"
#include "task.h"

#include "core/text.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* An answer whose thread went away before it got it; the thread makes the same call again. There are few of
 * these. */
struct answered {
	pid_t thread;
	int system_call;
	uint64_t inode;
	uint64_t arguments[6];
	int64_t value;
	int error;
};
static struct answered unheard[64];
enum { UNHEARD = sizeof unheard / sizeof *unheard };

static struct answered *next_unheard(void)
{
	static unsigned next;
	return &unheard[next++ % UNHEARD];
}

static void remember(struct answered *one, const struct call *call, uint64_t inode, int64_t value, int error)
{
	*one = (struct answered){call->thread, call->system_call, inode, {0}, value, error};
	memcpy(one->arguments, call->arguments, sizeof one->arguments);
}

static bool is_same_call(const struct answered *one, const struct subject *subject)
{
	const struct call *call = subject->call;
	return one->thread == call->thread && one->system_call == call->system_call &&
	       one->inode == subject->inode &&
	       !memcmp(one->arguments, call->arguments, sizeof one->arguments);
}

/* A thread that a signal has already woken doesn't hear the answer, although the kernel has accepted it
 * (seen with Linux 6.1). It then makes the same call again, and would get the
 * error of a second connect() or bind(). */
static struct answered succeeded[256];

static struct answered *succeeded_of(const struct call *call)
{
	return &succeeded[(unsigned)call->thread % (sizeof succeeded / sizeof *succeeded)];
}

static bool fails_twice(const struct call *call)
{
	return call->system_call == SYS_connect || call->system_call == SYS_bind;
}

void answer(struct subject *subject, int64_t value, int error)
{
	struct call call = *subject->call;
	uint64_t inode = subject->watched ? subject->watched->inode : subject->inode;
	bool accepted = call_answer(subject->call, value, error);
	if (!accepted && call.id)
		remember(next_unheard(), &call, inode, value, error);
	else if (!error && fails_twice(&call) && !call_is_sure())
		remember(succeeded_of(&call), &call, inode, value, 0);
}

/* The address is compared too, since the program may have written another one to the same place. */
static bool asks_the_same(const struct subject *subject)
{
	const struct call *call = subject->call;
	const struct watched *watched = subject->watched;
	struct sockaddr_storage given = {.ss_family = AF_UNSPEC};
	struct address asked;
	size_t length = call->arguments[2] < sizeof given ? call->arguments[2] : sizeof given;
	if (!watched || call_read(call, call->arguments[1], &given, length) != 0 ||
		!address_from_sockaddr(&asked, (struct sockaddr *)&given, (socklen_t)length))
		return false;
	if (call->system_call == SYS_bind)
		return !memcmp(asked.ip, watched->name.ip, sizeof asked.ip) &&
		       (asked.port ? asked.port == watched->name.port : watched->any_port);
	address_wildcard_to_loopback(&asked);
	return !memcmp(&asked, &watched->asked, sizeof asked);
}

/* Is this the thread's next call, and again the one that has succeeded? */
static bool succeed_again(struct subject *subject)
{
	struct answered *one = succeeded_of(subject->call);
	if (one->thread != subject->call->thread)
		return false;
	bool again =
		is_same_call(one, subject) && asks_the_same(subject) && task_catches_signals(one->thread);
	one->thread = 0;
	if (again)
		answer(subject, 0, 0);
	return again;
}

static bool answer_again(struct subject *subject)
{
	struct call *call = subject->call;
	for (int i = 0; i < UNHEARD; i++) {
		struct answered *one = &unheard[i];
		if (one->thread != call->thread)
			continue;
		bool same = is_same_call(one, subject);
		one->thread = 0;
		if (same) {
			answer(subject, one->value, one->error);
			return true;
		}
	}
	return false;
}

void fail_closed(struct subject *subject, const char *what, int error)
{
	char number[16];
	struct text text = text_in(number, sizeof number);
	/* Its process has ended, so there is nothing to read, and nobody to answer: its other threads are
	 * killed. */
	if (!call_is_there(subject->call) || task_is_killed(subject->call->thread))
		return;
	text_add_number(&text, (uint64_t)subject->call->thread);
	log_error("thread ", number, ": its ", what, " can't be read: ", log_errno(error),
		error == EPERM ? ": it isn't dumpable, or has other rights than its supervisor" : "",
		": its call fails with EACCES, and nothing of it goes over IP");
	fail(subject, EACCES);
}

/* ---- the socket ---- */

static void answer_for_file(struct subject *subject)
{
	struct call *call = subject->call;
	struct sockaddr_storage address;
	socklen_t length;
	if (call->system_call == SYS_ioctl)
		call_pass(call);		     /* it is a terminal or a pipe */
	else if (call->system_call != SYS_connect || /* which looks at the address first */
		 subject_read_address(subject, call->arguments[1], call->arguments[2], &address, &length))
		fail(subject, ENOTSOCK);
}

bool subject_open(struct subject *subject, struct call *call)
{
	struct stat status;
	*subject = (struct subject){.call = call, .number = (int)call->arguments[0], .fd = -1};
	subject->fd = task_duplicate(call->thread, subject->number);
	if (subject->fd < 0) {
		if (errno == EBADF)
			fail(subject, EBADF);
		else
			fail_closed(subject, "fd", errno);
		return false;
	}
	if (fstat(subject->fd, &status) < 0 || !S_ISSOCK(status.st_mode)) {
		answer_for_file(subject);
		return false;
	}
	subject->inode = status.st_ino;
	subject->watched = watched_find(subject->inode, subject->number);
	return !answer_again(subject) && !succeed_again(subject);
}

void subject_close(struct subject *subject)
{
	if (subject->fd >= 0)
		close(subject->fd);
}

void subject_reopen(struct subject *subject)
{
	subject_close(subject);
	subject->fd = task_duplicate(subject->call->thread, subject->number);
}

/* A raw socket has its protocol in the place of a port (inet_create(), Linux 6.1): few others have to be
 * asked.
 */
static bool is_raw(int fd, int protocol, const struct sockaddr_storage *name)
{
	in_port_t port = name->ss_family == AF_INET ? ((const struct sockaddr_in *)name)->sin_port
						    : ((const struct sockaddr_in6 *)name)->sin6_port;
	return ntohs(port) == protocol && int_option(fd, SO_TYPE) == SOCK_RAW;
}

struct watched *subject_know(struct subject *subject, int *error)
{
	struct sockaddr_storage name;
	socklen_t length = sizeof name;
	*error = 0;
	if (subject->watched)
		return subject->watched;
	int protocol = int_option(subject->fd, SO_PROTOCOL);
	bool stream = is_tcp_protocol(protocol);
	if ((!stream && protocol != IPPROTO_UDP) ||
		libc.getsockname(subject->fd, (struct sockaddr *)&name, &length) < 0 ||
		(name.ss_family != AF_INET && name.ss_family != AF_INET6) ||
		is_raw(subject->fd, protocol, &name))
		return NULL;
	struct watched *watched = watched_open(subject->inode, name.ss_family);
	subject->watched = watched;
	if (!watched) {
		*error = ENOBUFS;
		return NULL;
	}
	watched->options.datagram = !stream;
	struct address bound;
	/* It came from elsewhere: bound, or connected. */
	if (address_from_sockaddr(&bound, (struct sockaddr *)&name, length) && bound.port) {
		watched->used = watched->bound = true;
		watched->name = bound;
	}
	return watched;
}

int subject_flags(struct subject *subject)
{
	struct task_fd fd;
	int error = task_look(subject->call->thread, subject->number, &fd);
	if (!error && fd.inode == (subject->watched ? subject->watched->inode : subject->inode))
		return fd.flags;
	if (!error || error == ENOENT)
		fail(subject, EBADF);
	else
		fail_closed(subject, "fd", error);
	return -1;
}

int subject_replace(struct subject *subject, int fresh, bool close_on_exec)
{
	struct stat status;
	if (fstat(fresh, &status) < 0)
		return errno;
	struct moves moves;
	moves_find(&moves, subject->call->thread, subject->number, subject->inode);
	int error = call_put(subject->call, subject->number, fresh, close_on_exec);
	moves_make(&moves, error ? -1 : fresh);
	if (error)
		return error;
	subject->inode = status.st_ino;
	if (subject->watched)
		watched_move(subject->watched, status.st_ino);
	return 0;
}

void subject_learn_options(struct subject *subject)
{
	if (int_option(subject->fd, SO_KEEPALIVE) == 1)
		options_remember(
			&subject->watched->options, SOL_SOCKET, SO_KEEPALIVE, &(int){1}, sizeof(int));
}

int subject_to_ip(struct subject *subject)
{
	struct watched *watched = subject->watched;
	int flags = subject_flags(subject);
	if (flags < 0)
		return EBADF;
	int type = (watched->options.datagram ? SOCK_DGRAM : SOCK_STREAM) |
		   (flags & O_NONBLOCK ? SOCK_NONBLOCK : 0);
	int fresh = task_socket(subject->call->thread, watched->family, type);
	if (fresh < 0) {
		int error = errno;
		log_error("no socket of IP's can be opened in a supervised program's network namespace: ",
			log_errno(error), ": its call fails, and nothing of it goes over IP elsewhere");
		return error;
	}
	subject_learn_options(subject);
	if (watched->stage == STAGE_CONNECTING) /* the outcome is still to be reported */
		watched->refused = subject_take_error(subject);
	options_replay(&watched->options, watched->family, fresh);
	bool keeps_port = watched->bound && !(watched->any_port && watched->stage != STAGE_BOUND);
	if (keeps_port) {
		struct sockaddr_storage name;
		socklen_t length = address_to_sockaddr(&watched->name, watched->family, &name);
		libc.bind(fresh, (struct sockaddr *)&name,
			length); /* if IP has that address; we record it in any case */
	}
	bool attempted = watched->stage != STAGE_BOUND && watched->stage != STAGE_LISTENING;
	struct address source =
		attempted && watched->had_address ? own_address(subject->fd, watched) : watched->name;
	int error = subject_replace(subject, fresh, flags & O_CLOEXEC);
	close(fresh);
	if (error)
		return error;
	memcpy(watched->name.ip, source.ip, sizeof source.ip);
	if (watched->bound && !keeps_port) { /* it is shown until there is another port */
		watched->tried = watched->name.port;
		watched->name.port = 0;
		watched->bound = false;
	}
	watched->report_once = watched->abort_once = watched->shut = false;
	watched->stage = STAGE_IP;
	return 0;
}

/* Others' clients are still those that the rule allows. */
static struct watched *leave_to_others(uint64_t inode, const struct watched *was)
{
	struct watched *others = watched_open(inode, was->family);
	if (!others)
		return NULL;
	options_copy(&others->options, &was->options);
	others->stage = was->stage;
	others->number = was->number;
	others->rule = was->rule;
	others->transport = was->transport;
	others->local = was->local;
	others->name = was->name;
	others->bound = true;
	others->any_port = was->any_port;
	others->had_address = was->had_address;
	others->shared = was->shared;
	return others;
}

int subject_part(struct subject *subject, struct watched **others)
{
	const struct watched was = *subject->watched;
	uint64_t inode = subject->inode;
	int error = subject_to_ip(subject);
	if (error)
		return error;
	subject->watched->shared = false;
	*others = leave_to_others(inode, &was);
	return 0;
}

/* ---- its state ---- */

enum stage subject_settle(struct subject *subject)
{
	struct watched *watched = subject->watched;
	struct sockaddr_storage peer;
	socklen_t length = sizeof peer;
	if (watched->stage == STAGE_CONNECTING && !watched->refused &&
		libc.getpeername(subject->fd, (struct sockaddr *)&peer, &length) == 0) {
		watched->report_once = true;
		watched->stage = STAGE_CONNECTED;
	}
	return (enum stage)watched->stage;
}

int subject_take_error(struct subject *subject)
{
	struct watched *watched = subject->watched;
	int error = int_option(subject->fd, SO_ERROR);
	if (watched->refused)
		error = watched->refused;
	else if (error > 0 && watched->stage == STAGE_CONNECTING && watched->transport)
		error = watched->transport->connect_error(error);
	watched->refused = 0;
	if (error && watched->stage == STAGE_CONNECTING)
		watched->stage = STAGE_FAILED;
	return error;
}

/* ---- its memory ---- */

static void unreadable(struct subject *subject, int error)
{
	if (error == EFAULT)
		fail(subject, EFAULT);
	else
		fail_closed(subject, "memory", error);
}

bool subject_read(struct subject *subject, uint64_t address, void *to, size_t size)
{
	int error = call_read(subject->call, address, to, size);
	if (error)
		unreadable(subject, error);
	return !error;
}

bool subject_write(struct subject *subject, uint64_t address, const void *from, size_t size)
{
	int error = call_write(subject->call, address, from, size);
	if (error)
		unreadable(subject, error);
	return !error;
}

bool subject_read_address(struct subject *subject, uint64_t address, uint64_t length,
	struct sockaddr_storage *whole, socklen_t *size)
{
	int given = (int)length;
	memset(whole, 0, sizeof *whole);
	if (given < 0 || given > (int)sizeof *whole) {
		fail(subject, EINVAL);
		return false;
	}
	*size = (socklen_t)given;
	return subject_read(subject, address, whole, *size);
}

int subject_return_value(
	struct subject *subject, const void *value, socklen_t size, uint64_t to, uint64_t length)
{
	int room;
	int error = call_read(subject->call, length, &room, sizeof room);
	if (error)
		return error;
	if (room < 0)
		return EINVAL;
	int whole = (int)size;
	error = call_write(subject->call, to, value, room < whole ? (size_t)room : size);
	return error ? error : call_write(subject->call, length, &whole, sizeof whole);
}

int subject_return_address(struct subject *subject, int family, const struct address *found, uint32_t scope,
	uint64_t address, uint64_t length)
{
	struct sockaddr_storage whole;
	socklen_t size = address_to_sockaddr(found, family, &whole);
	if (family == AF_INET6)
		((struct sockaddr_in6 *)&whole)->sin6_scope_id = scope;
	return subject_return_value(subject, &whole, size, address, length);
}
