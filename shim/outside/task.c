/* SPDX-License-Identifier: MIT */
#include "task.h"

#include "kernel.h"
#include "mechanism.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Numbers of threads are used again. The pidfd of one that has ended says ESRCH for ever; where pidfds are of
 * whole processes (before Linux 6.9), the directory of its threads shows whether this one still belongs to
 * it. */
struct known {
	pid_t thread;
	unsigned serial;
	int pidfd;
	int threads; /* /proc/PROCESS/task; -1: the pidfd is the thread's own, or the process's first */
};

enum { KNOWN = 256 };
static struct known known[KNOWN];

static void forget(struct known *one)
{
	if (!one->thread)
		return;
	if (one->pidfd >= 0)
		close(one->pidfd);
	if (one->threads >= 0)
		close(one->threads);
	one->thread = 0;
}

static int open_pidfd(pid_t process, unsigned flags)
{
	return (int)syscall(SYS_pidfd_open, process, flags);
}

/* A line "NAME:\tNUMBER" of a file in /proc; -1: there is none. */
static long long line_of(const char *text, const char *name, int base)
{
	const char *line = strstr(text, name);
	return line ? strtoll(line + strlen(name), NULL, base) : -1;
}

/* The text of an open file, from its beginning. */
static ssize_t read_whole(int file, char *text, size_t size)
{
	ssize_t got = file < 0 ? -1 : pread(file, text, size - 1, 0);
	text[got > 0 ? got : 0] = '\0';
	return got;
}

static ssize_t read_text(const char *path, char *text, size_t size)
{
	int file = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = read_whole(file, text, size);
	int error = errno;
	if (file >= 0)
		close(file);
	errno = error;
	return got;
}

pid_t task_process(pid_t thread)
{
	char path[48], status[1024];
	snprintf(path, sizeof path, "/proc/%d/status", thread);
	return read_text(path, status, sizeof status) > 0 ? (pid_t)line_of(status, "\nTgid:\t", 10) : -1;
}

/* Before Linux 6.9: a thread that isn't its process's first. */
static bool open_process(struct known *one, pid_t thread)
{
	char path[48];
	pid_t process = task_process(thread);
	if (process <= 0) {
		errno = ESRCH;
		return false;
	}
	one->pidfd = open_pidfd(process, 0);
	snprintf(path, sizeof path, "/proc/%d/task", process);
	one->threads = one->pidfd < 0 ? -1 : open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (one->pidfd >= 0 && one->threads < 0)
		close(one->pidfd);
	return one->threads >= 0;
}

/* A traced thread needs no pidfd: its end is seen (task_ended()). */
static bool open_pidfds(struct known *one, pid_t thread)
{
	static bool no_threads;
	one->threads = one->pidfd = -1;
	if (mechanism->duplicate)
		return true;
	one->pidfd = no_threads ? -1 : open_pidfd(thread, PIDFD_THREAD);
	if (one->pidfd < 0 && !no_threads && errno == EINVAL)
		no_threads = true;
	if (one->pidfd < 0 && no_threads)
		one->pidfd = open_pidfd(thread, 0);
	return one->pidfd >= 0 || (no_threads && open_process(one, thread));
}

static bool open_thread(struct known *one, pid_t thread)
{
	static unsigned opened;
	if (!open_pidfds(one, thread))
		return false;
	one->thread = thread;
	one->serial = ++opened;
	return true;
}

static bool is_of_it(const struct known *one)
{
	char name[16];
	struct stat status;
	if (one->threads < 0)
		return true;
	snprintf(name, sizeof name, "%d", one->thread);
	return fstatat(one->threads, name, &status, 0) == 0;
}

static struct known *know(pid_t thread)
{
	struct known *one = &known[(unsigned)thread % KNOWN];
	if (one->thread == thread && is_of_it(one))
		return one;
	forget(one);
	return open_thread(one, thread) ? one : NULL;
}

void task_ended(pid_t thread)
{
	struct known *one = &known[(unsigned)thread % KNOWN];
	if (one->thread == thread)
		forget(one);
}

/* ESRCH may be that of a thread that had the number before. */
static int duplicate(pid_t thread, int number)
{
	for (int i = 0; i < 2; i++) {
		struct known *one = know(thread);
		if (!one)
			return -1;
		int fd = (int)syscall(SYS_pidfd_getfd, one->pidfd, number, 0);
		if (fd >= 0 || errno != ESRCH)
			return fd;
		forget(one);
	}
	errno = ESRCH;
	return -1;
}

int task_duplicate(pid_t thread, int number)
{
	if (!mechanism->duplicate)
		return duplicate(thread, number);
	know(thread);
	return mechanism->duplicate(thread, number);
}

unsigned task_serial(pid_t thread)
{
	const struct known *one = &known[(unsigned)thread % KNOWN];
	return one->thread == thread ? one->serial : 0;
}

int task_end(pid_t thread)
{
	struct known *one = know(thread);
	return one ? fcntl(one->pidfd, F_DUPFD_CLOEXEC, 3) : -1;
}

/* Linux before 5.14 doesn't show the inode in fdinfo. */
static uint64_t inode_of(pid_t thread, int number)
{
	char path[48];
	struct stat status;
	snprintf(path, sizeof path, "/proc/%d/fd/%d", thread, number);
	return stat(path, &status) == 0 ? status.st_ino : 0;
}

/* /proc/THREAD/fdinfo/NUMBER says what is on the number when it is read, not when it was opened, and nothing
 * once the thread has ended. So it is kept open for the next call: a program uses the same numbers again. */
static struct look {
	pid_t thread;
	int number, file; /* 0: none */
} looks[64];
enum { LOOKS = sizeof looks / sizeof *looks };

static ssize_t read_fdinfo(pid_t thread, int number, char *text, size_t size)
{
	struct look *look = &looks[((unsigned)thread + (unsigned)number) % LOOKS];
	char path[48];
	ssize_t got;
	bool same = look->file > 0 && look->thread == thread && look->number == number;
	if (same && (got = read_whole(look->file, text, size)) > 0)
		return got;
	if (look->file > 0)
		close(look->file);
	snprintf(path, sizeof path, "/proc/%d/fdinfo/%d", thread, number);
	*look = (struct look){thread, number, open(path, O_RDONLY | O_CLOEXEC)};
	return read_whole(look->file, text, size);
}

int task_look(pid_t thread, int number, struct task_fd *fd)
{
	char text[256];
	if (read_fdinfo(thread, number, text, sizeof text) <= 0)
		return errno;
	long long flags = line_of(text, "flags:\t", 8), inode = line_of(text, "\nino:\t", 10);
	fd->flags = (int)flags;
	fd->inode = inode >= 0 ? (uint64_t)inode : inode_of(thread, number);
	return flags < 0 ? EIO : 0;
}

/* ---- its network namespace ---- */

/* A namespace has an inode, and while it exists no other has that. 0 and errno: it can't be seen. */
static uint64_t namespace_of(const char *process, const char *kind)
{
	char path[48];
	struct stat status;
	snprintf(path, sizeof path, "/proc/%s/ns/%s", process, kind);
	return stat(path, &status) == 0 ? status.st_ino : 0;
}

struct visit {
	int network, user; /* the namespaces */
	int family, type;
	int fd, error; /* the socket, or an errno */
};

/* In a child that has our memory and our fds, while we wait. Without CAP_SYS_ADMIN here it must have that of
 * the user namespace there. */
static int open_there(void *context)
{
	struct visit *visit = context;
	if (setns(visit->network, CLONE_NEWNET) == 0 ||
		(setns(visit->user, CLONE_NEWUSER) == 0 && setns(visit->network, CLONE_NEWNET) == 0))
		visit->fd = socket(visit->family, visit->type, 0);
	visit->error = errno;
	return 0;
}

static int open_namespace(pid_t thread, const char *kind)
{
	char path[48];
	snprintf(path, sizeof path, "/proc/%d/ns/%s", thread, kind);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static int socket_elsewhere(pid_t thread, int family, int type)
{
	static char stack[16384] __attribute__((aligned(16)));
	struct visit visit = {
		open_namespace(thread, "net"), open_namespace(thread, "user"), family, type, -1, 0};
	pid_t child = clone(
		open_there, stack + sizeof stack, CLONE_VM | CLONE_VFORK | CLONE_FILES | SIGCHLD, &visit);
	int error = child < 0 ? errno : visit.error;
	if (child > 0)
		waitpid(child, NULL, 0);
	close(visit.network);
	close(visit.user);
	errno = error;
	return visit.fd;
}

int task_socket(pid_t thread, int family, int type)
{
	static uint64_t own;
	char process[16];
	snprintf(process, sizeof process, "%d", thread);
	uint64_t network = namespace_of(process, "net");
	own = own ? own : namespace_of("self", "net");
	if (!network)
		return -1;
	type |= SOCK_CLOEXEC;
	return network == own ? socket(family, type, 0) : socket_elsewhere(thread, family, type);
}

/* ---- what else is to be seen of it ---- */

uid_t task_user(pid_t thread)
{
	char path[48], text[2048], *effective;
	snprintf(path, sizeof path, "/proc/%d/status", thread);
	const char *line = read_text(path, text, sizeof text) > 0 ? strstr(text, "\nUid:\t") : NULL;
	if (!line)
		return (uid_t)-1;
	strtoul(line + strlen("\nUid:\t"), &effective, 10);
	return (uid_t)strtoul(effective, NULL, 10);
}

bool task_has_threads(pid_t thread)
{
	char path[48];
	struct stat tasks; /* a directory has a link more for each in it, beside its own two */
	snprintf(path, sizeof path, "/proc/%d/task", thread);
	return stat(path, &tasks) < 0 || tasks.st_nlink > 3;
}

/* A set of bits in the thread's status; 0: it can't be seen. */
static uint64_t set_of(pid_t thread, const char *name)
{
	char path[48], text[2048];
	snprintf(path, sizeof path, "/proc/%d/status", thread);
	ssize_t got = read_text(path, text, sizeof text);
	return got > 0 ? (uint64_t)line_of(text, name, 16) : 0;
}

bool task_is_killed(pid_t thread)
{
	return set_of(thread, "\nSigPnd:\t") >> (SIGKILL - 1) & 1;
}

bool task_catches_signals(pid_t thread)
{
	return set_of(thread, "\nSigCgt:\t") != 0;
}

bool task_has_capability(pid_t thread, int capability)
{
	char process[16];
	snprintf(process, sizeof process, "%d", thread);
	uint64_t user = namespace_of(process, "user");
	return user && user == namespace_of("self", "user") &&
	       set_of(thread, "\nCapEff:\t") >> capability & 1;
}

int task_find(pid_t thread, uint64_t inode, int not_this)
{
	char path[48], wanted[32], target[32];
	int found = -1;
	snprintf(path, sizeof path, "/proc/%d/fd", thread);
	int length = snprintf(wanted, sizeof wanted, "socket:[%llu]", (unsigned long long)inode);
	DIR *directory = opendir(path);
	for (struct dirent *entry; directory && found < 0 && (entry = readdir(directory));) {
		ssize_t got = readlinkat(dirfd(directory), entry->d_name, target, sizeof target);
		int number = atoi(entry->d_name);
		if (got == length && !memcmp(target, wanted, (size_t)length) && number != not_this)
			found = number;
	}
	if (directory)
		closedir(directory);
	return found;
}
