/* SPDX-License-Identifier: MIT */
/* Calls by ptrace(2), with SECCOMP_RET_TRACE: Linux 4.8. Memory is reached from outside, but fds aren't:
 * before Linux 5.6 nobody can take an fd of another process or give it one, so the stopped thread does that
 * itself. It opens a Unix socket, and a message on it brings the supervisor that socket and the fd in
 * question. What the supervisor sends with that socket, to itself, the thread receives. Nobody else has the
 * socket, and it is closed before the thread goes on. */
#include "mechanism.h"
#include "stops.h"
#include "task.h"

#include "system/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#ifndef GRND_NONBLOCK
#define GRND_NONBLOCK 1
#endif

/* ---- the box that threads send their fds to ---- */

struct box {
	int socket;
	struct sockaddr_un name;
	socklen_t length;
};
static struct box own_box = {.socket = -1};

/* Abstract, so that no file is needed; each network namespace has names of its own. */
static bool open_box(struct box *box, int fd)
{
	static unsigned boxes;
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	*box = (struct box){.socket = fd, .name.sun_family = AF_UNIX};
	int length = snprintf(box->name.sun_path + 1, sizeof box->name.sun_path - 1,
		"ip2vsock/%d.%lld.%ld.%u", getpid(), (long long)now.tv_sec, now.tv_nsec, boxes++);
	box->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
	if (fd >= 0 && bind(fd, (struct sockaddr *)&box->name, box->length) == 0)
		return true;
	if (fd >= 0)
		close(fd);
	box->socket = -1;
	return false;
}

/* What shows that a message is the one that we wait for. */
static uint64_t next_secret(void)
{
	static uint64_t secret;
	if (!secret && syscall(SYS_getrandom, &secret, sizeof secret, GRND_NONBLOCK) != sizeof secret)
		secret = (uint64_t)now_ms(); /* early in the life of a machine */
	return ++secret;
}

/* ---- a message, in our memory or in the thread's ---- */

enum { FDS = 2 };
struct letter {
	struct msghdr header;
	struct iovec part;
	uint64_t secret;
	struct sockaddr_un to;
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(FDS * sizeof(int))];
	} fds;
};

/* The pointers in it are for where it will be. */
static void address_letter(struct letter *letter, uint64_t at)
{
	char *base = (char *)(uintptr_t)at;
	letter->part = (struct iovec){base + offsetof(struct letter, secret), sizeof letter->secret};
	letter->header.msg_iov = (struct iovec *)(void *)(base + offsetof(struct letter, part));
	letter->header.msg_iovlen = 1;
	letter->header.msg_control = base + offsetof(struct letter, fds);
	letter->header.msg_name = letter->header.msg_namelen ? base + offsetof(struct letter, to) : NULL;
}

static void enclose(struct letter *letter, const int *fds, int count)
{
	size_t size = (size_t)count * sizeof *fds;
	letter->header.msg_controllen = CMSG_SPACE(size);
	letter->fds.header.cmsg_level = SOL_SOCKET;
	letter->fds.header.cmsg_type = SCM_RIGHTS;
	letter->fds.header.cmsg_len = CMSG_LEN(size);
	memcpy(CMSG_DATA(&letter->fds.header), fds, size);
}

/* The fds of a message that has come; their number. */
static int enclosed(const struct letter *letter, int fds[FDS])
{
	size_t length = letter->fds.header.cmsg_len;
	if (letter->header.msg_controllen < sizeof letter->fds.header || length < CMSG_LEN(sizeof *fds) ||
		length > CMSG_LEN(FDS * sizeof *fds) || letter->fds.header.cmsg_type != SCM_RIGHTS)
		return 0;
	int count = (int)((length - CMSG_LEN(0)) / sizeof *fds);
	memcpy(fds, CMSG_DATA(&letter->fds.header), (size_t)count * sizeof *fds);
	return count;
}

/* The next message with this secret, in our memory. The number of its fds; -1: there is none. */
static int receive_here(int from, uint64_t secret, int fds[FDS])
{
	struct letter letter;
	for (;;) {
		memset(&letter, 0, sizeof letter);
		address_letter(&letter, (uintptr_t)&letter);
		letter.header.msg_controllen = sizeof letter.fds;
		if (recvmsg(from, &letter.header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) < 0)
			return -1;
		int count = enclosed(&letter, fds);
		if (letter.secret == secret)
			return count;
		while (count > 0)
			close(fds[--count]);
	}
}

/* ---- what the thread does ---- */

#define MAKE(one, number, ...) stops_make(one, number, (const uint64_t[6]){__VA_ARGS__})

static int error_of(int64_t result)
{
	return result < 0 ? (int)-result : 0;
}

/* A process may have no number left, or one, while we need two of them for a moment. false: it can't be. */
static bool raise_limit(struct stopped *one)
{
	enum { MORE = 8 };
	if (one->raised || prlimit(one->thread, RLIMIT_NOFILE, NULL, &one->limit) < 0)
		return false;
	struct rlimit limit = {.rlim_cur = one->limit.rlim_cur + MORE, .rlim_max = one->limit.rlim_max};
	if (limit.rlim_max < limit.rlim_cur)
		limit.rlim_max = limit.rlim_cur;
	one->raised = prlimit(one->thread, RLIMIT_NOFILE, &limit, NULL) == 0;
	return one->raised;
}

static void restore_limit(struct stopped *one)
{
	if (one->raised)
		prlimit(one->thread, RLIMIT_NOFILE, &one->limit, NULL);
	one->raised = false;
}

static int64_t open_socket(struct stopped *one)
{
	int64_t fd = MAKE(one, SYS_socket, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC);
	return fd == -EMFILE && raise_limit(one) ? open_socket(one) : fd;
}

/* Maps a page in its process's memory, which stays for the next calls. fork() doesn't copy it. 0 or an errno.
 */
static int map_page(struct stopped *one, uint64_t *page)
{
	int64_t got = MAKE(one, SYS_mmap, 0, sizeof(struct letter), PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, (uint64_t)-1);
	if (got < 0 && got > -4096)
		return error_of(got);
	*page = (uint64_t)got;
	MAKE(one, SYS_madvise, *page, sizeof(struct letter), MADV_DONTFORK);
	return 0;
}

/* Puts a letter into its memory, at *page. The program may have unmapped what isn't its own. 0 or an errno.
 */
static int hand_over(struct stopped *one, struct letter *letter, uint64_t *page)
{
	struct call memory = {.thread = one->thread};
	pid_t process = task_process(one->thread);
	uint64_t *known = process > 0 ? stops_page(process) : NULL;
	int error = EFAULT;
	if (!known)
		return process > 0 ? ENOMEM : EACCES;
	for (int i = 0; i < 2 && error == EFAULT; i++) {
		if ((i || !*known) && (error = map_page(one, known)))
			return error;
		address_letter(letter, *known);
		*page = *known;
		error = call_write(&memory, *page, letter, sizeof *letter);
	}
	return error;
}

/* Before it goes on its way. */
static void clear(struct stopped *one)
{
	if (one->socket >= 0)
		MAKE(one, SYS_close, (uint64_t)one->socket);
	if (one->far_end >= 0)
		close(one->far_end);
	restore_limit(one);
	one->socket = one->far_end = -1;
}

enum { NO_FD = -1 };

/* Sends its socket, and this fd if there is one, to a box. 0 or an errno. */
static int send_there(struct stopped *one, int number, const struct box *box, uint64_t secret)
{
	struct letter letter = {.secret = secret, .to = box->name, .header.msg_namelen = box->length};
	uint64_t page;
	enclose(&letter, (const int[]){one->socket, number}, number == NO_FD ? 1 : FDS);
	int error = hand_over(one, &letter, &page);
	return error ? error
		     : error_of(MAKE(
			       one, SYS_sendmsg, (uint64_t)one->socket, page, MSG_DONTWAIT | MSG_NOSIGNAL));
}

/* The same, and receives them. `fds` are ours then. */
static int fetch_to(struct stopped *one, int number, const struct box *box, int fds[FDS])
{
	uint64_t secret = next_secret();
	int error = send_there(one, number, box, secret);
	if (error)
		return error;
	int count = receive_here(box->socket, secret, fds), wanted = number == NO_FD ? 1 : FDS;
	if (count == wanted)
		return 0;
	while (count > 0)
		close(fds[--count]);
	return EMFILE; /* we have no room for them */
}

/* Of a thread in another network namespace. */
static int fetch_from_elsewhere(struct stopped *one, int number, int fds[FDS])
{
	struct box there;
	if (!open_box(&there, task_socket(one->thread, AF_UNIX, SOCK_DGRAM)))
		return errno;
	int error = fetch_to(one, number, &there, fds);
	close(there.socket);
	return error;
}

static int fetch(struct stopped *one, int number, int fds[FDS])
{
	int64_t fd = one->socket < 0 ? open_socket(one) : one->socket;
	if (fd < 0)
		return error_of(fd);
	one->socket = (int)fd;
	if (number == one->socket)
		return EBADF; /* it has just got the lowest free number */
	int error = fetch_to(one, number, &own_box, fds);
	return error == ECONNREFUSED ? fetch_from_elsewhere(one, number, fds) : error;
}

/* From here on only it can send to itself. */
static bool connect_to_itself(int fd)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	socklen_t length = sizeof name;
	char byte;
	if (bind(fd, (struct sockaddr *)&name, sizeof name.sun_family) < 0 ||
		getsockname(fd, (struct sockaddr *)&name, &length) < 0 ||
		connect(fd, (struct sockaddr *)&name, length) < 0)
		return false;
	while (recv(fd, &byte, 1, MSG_DONTWAIT) >= 0)
		;
	return errno == EAGAIN;
}

/* The far end of its socket is kept: what is sent there, it receives. */
static int keep_far_end(struct stopped *one, int fd)
{
	if (one->far_end >= 0) {
		close(fd);
		return 0;
	}
	one->far_end = fd;
	return connect_to_itself(fd) ? 0 : errno;
}

static int reach(struct stopped *one)
{
	int fds[FDS] = {-1, -1}, error = one->far_end >= 0 ? 0 : fetch(one, NO_FD, fds);
	return error || one->far_end >= 0 ? error : keep_far_end(one, fds[0]);
}

static int duplicate_of(struct stopped *one, int number, int *fd)
{
	int fds[FDS] = {-1, -1}, error = number < 0 ? EBADF : fetch(one, number, fds);
	if (error)
		return error;
	*fd = fds[1];
	error = keep_far_end(one, fds[0]);
	if (error)
		close(*fd);
	return error;
}

static int send_far(const struct stopped *one, int fd)
{
	struct letter letter = {.secret = 0};
	address_letter(&letter, (uintptr_t)&letter);
	enclose(&letter, &fd, 1);
	return sendmsg(one->far_end, &letter.header, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? errno : 0;
}

/* The thread receives what was sent to it, close-on-exec. 0 or an errno. */
static int receive_there(struct stopped *one, int *number)
{
	struct call memory = {.thread = one->thread};
	struct letter letter = {.header.msg_controllen = CMSG_SPACE(sizeof(int))};
	uint64_t page;
	int fds[FDS], error = hand_over(one, &letter, &page);
	if (error)
		return error;
	int64_t got = MAKE(one, SYS_recvmsg, (uint64_t)one->socket, page, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (got < 0)
		return error_of(got);
	error = call_read(&memory, page, &letter, sizeof letter);
	if (error)
		return error;
	if (enclosed(&letter, fds) != 1)
		return EMFILE;
	*number = fds[0];
	return 0;
}

/* A duplicate of ours becomes an fd of the thread's, close-on-exec. 0 or an errno. */
static int insert(struct stopped *one, int fd, int *number)
{
	int error = reach(one);
	if (!error)
		error = send_far(one, fd);
	if (!error)
		error = receive_there(one, number);
	return error == EMFILE && raise_limit(one) ? insert(one, fd, number) : error;
}

/* From one number to another, or the same. 0 or an errno. */
static int move(struct stopped *one, int from, int to, bool close_on_exec)
{
	if (from == to)
		return close_on_exec ? 0 : error_of(MAKE(one, SYS_fcntl, (uint64_t)from, F_SETFD, 0));
	int error =
		error_of(MAKE(one, SYS_dup3, (uint64_t)from, (uint64_t)to, close_on_exec ? O_CLOEXEC : 0));
	MAKE(one, SYS_close, (uint64_t)from);
	return error;
}

/* ---- the mechanism ---- */

static struct stopped *of(const struct call *call)
{
	struct stopped *one = stops_find(call->thread);
	return one && one->call == call->id ? one : NULL;
}

static struct stopped *brought(const struct call *call)
{
	struct stopped *one = of(call);
	return one && stops_bring(one) ? one : NULL;
}

static bool receive(struct call *call)
{
	struct stopped *one = stops_next();
	if (!one) {
		errno = EAGAIN;
		return false;
	}
	*call = (struct call){
		.id = one->call, .thread = one->thread, .system_call = one->number, .foreign = one->foreign};
	for (int i = 0; i < 6; i++)
		call->arguments[i] = *registers_argument(&one->at_call, i);
	return true;
}

static bool is_there(const struct call *call)
{
	return of(call);
}

static bool answer(const struct call *call, int64_t value, int error)
{
	struct stopped *one = brought(call);
	if (!one)
		return false;
	clear(one);
	return stops_answer(one, error ? -error : value);
}

static bool pass(const struct call *call)
{
	struct stopped *one = brought(call);
	if (!one)
		return false;
	clear(one);
	return stops_pass(one);
}

/* A thread that has ended waits for nothing. */
static int noticed(struct stopped *one, int error)
{
	if (one && error == ESRCH)
		one->call = 0;
	return error;
}

static int error_for(const struct call *call, struct stopped *one, int error)
{
	noticed(one, error);
	return error && !of(call) ? ENOENT : error;
}

static int put(const struct call *call, int number, int fd, bool close_on_exec)
{
	struct stopped *one = brought(call);
	int got = -1, error = one ? insert(one, fd, &got) : ENOENT;
	if (!error)
		error = move(one, got, number, close_on_exec);
	return error_for(call, one, error);
}

/* It gets the lowest number that is free, as if the socket hadn't been there. */
static int give(const struct call *call, int fd, bool close_on_exec)
{
	struct stopped *one = brought(call);
	int got = -1, error = one ? insert(one, fd, &got) : ENOENT;
	if (!error) {
		bool lower = one->socket < got;
		int to = lower ? one->socket : got;
		error = move(one, got, to, close_on_exec);
		got = to;
		one->socket = lower ? -1 : one->socket;
	}
	if (!error && one->raised && (rlim_t)got >= one->limit.rlim_cur) {
		MAKE(one, SYS_close, (uint64_t)got);
		error = EMFILE;
	}
	if (!error) {
		clear(one);
		return stops_answer(one, got) ? 0 : ENOENT;
	}
	return error_for(call, one, error);
}

static int duplicate(pid_t thread, int number)
{
	struct stopped *one = stops_find(thread);
	int fd = -1, error = one && stops_bring(one) ? duplicate_of(one, number, &fd) : ESRCH;
	errno = noticed(one, error);
	return error ? -1 : fd;
}

static void settle(void)
{
	for (struct stopped *one; (one = stops_left());) {
		clear(one);
		stops_hold(one);
	}
}

const struct mechanism traced = {
	.receive = receive,
	.is_there = is_there,
	.answer = answer,
	.pass = pass,
	.put = put,
	.give = give,
	.settle = settle,
	.duplicate = duplicate,
};

bool call_start_tracing(void)
{
	mechanism = &traced;
	return open_box(&own_box, socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
}
