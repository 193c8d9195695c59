/* SPDX-License-Identifier: MIT */
#include "registrations.h"

#include "kernel.h"
#include "task.h"

#include "system/libc.h"
#include "system/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- the epoll instances of a program ---- */

/* Finding them takes a system call for each fd of the program, so those of a thread are remembered until any
 * supervised program gets another instance. */
enum { INSTANCES = 8, THREADS = 256 };
struct instances {
	pid_t thread;
	unsigned serial;   /* which thread of that number (task.h) */
	unsigned instance; /* `instances_made` at that time */
	int count;	   /* more than INSTANCES: too many to remember */
	int epfds[INSTANCES];
};
static struct instances remembered[THREADS];
static struct instances latest;
static unsigned instances_made;

void moves_instance(void)
{
	instances_made++;
}

static void add_instance(void *context, int epfd)
{
	struct instances *instances = context;
	if (instances->count < INSTANCES)
		instances->epfds[instances->count] = epfd;
	instances->count++;
}

static bool look_for_instances(struct instances *instances)
{
	char process[16];
	snprintf(process, sizeof process, "%d", instances->thread);
	instances->count = 0;
	return epolls_find(process, add_instance, instances);
}

static long compare(pid_t one, pid_t other, int type, unsigned long first, unsigned long second)
{
	return syscall(SYS_kcmp, one, other, type, first, second);
}

static bool up_to_date(const struct instances *instances)
{
	return instances->thread && instances->instance == instances_made &&
	       instances->serial == task_serial(instances->thread);
}

/* Those of the thread, as far as they fit; NULL: they can't be found. Threads that share their fds share
 * their instances. */
static struct instances *instances_of(pid_t thread)
{
	struct instances *instances = &remembered[(unsigned)thread % THREADS];
	if (instances->thread == thread && up_to_date(instances))
		return instances;
	bool shared = up_to_date(&latest) && compare(thread, latest.thread, COMPARE_FILES, 0, 0) == 0;
	if (shared)
		*instances = latest;
	instances->thread = thread;
	instances->serial = task_serial(thread);
	instances->instance = instances_made;
	if (!shared && !look_for_instances(instances)) {
		instances->thread = 0;
		return NULL;
	}
	latest = *instances;
	return instances;
}

/* ---- the registrations of one socket ---- */

static void add(void *context, const struct registered *one)
{
	struct moves *moves = context;
	bool same = one->fd == moves->number && (!one->inode || one->inode == moves->inode);
	if (same && moves->count < MOVES)
		moves->list[moves->count++] = *one;
}

/* Is anything registered with this instance under the number? The kernel looks that up without listing all
 * of them (Linux 4.13). -1 and errno: EBADF or EINVAL, it is no instance any more; or the kernel doesn't say.
 */
static int has_number(pid_t thread, int epfd, int number)
{
	struct compare_slot slot = {.efd = (uint32_t)epfd, .tfd = (uint32_t)number};
	if (compare(getpid(), thread, COMPARE_EPOLL_TARGET, STDERR_FILENO, (unsigned long)&slot) >= 0)
		return 1;
	return errno == ENOENT ? 0 : -1;
}

/* false: the instance is gone. */
static bool find_in(struct moves *moves, const char *process, int epfd)
{
	int has = has_number(moves->thread, epfd, moves->number);
	if (has < 0 && (errno == EBADF || errno == EINVAL))
		return false;
	return !has || epolls_read(process, epfd, add, moves);
}

static bool find_in_all(struct moves *moves, const char *process)
{
	struct instances *instances = instances_of(moves->thread);
	if (!instances || instances->count > INSTANCES)
		return epolls_list(process, add, moves);
	for (int i = 0; i < instances->count; i++)
		if (!find_in(moves, process, instances->epfds[i])) {
			instances->thread = latest.thread = moves->count = 0;
			return epolls_list(process, add, moves);
		}
	return true;
}

void moves_find(struct moves *moves, pid_t thread, int number, uint64_t inode)
{
	char process[16];
	*moves = (struct moves){.thread = thread, .number = number, .inode = inode, .old = -1};
	snprintf(process, sizeof process, "%d", thread);
	if (!find_in_all(moves, process))
		log_error("thread ", process, ": its epoll instances can't be read: events may be lost");
	if (moves->count)
		moves->old = task_duplicate(thread, number);
}

/* ---- moving them ---- */

/* Out of the way of a file that is to be on that number. */
static int beside(int fd, int number)
{
	return fd == number ? fcntl(fd, F_DUPFD, 0) : fd;
}

/* In the child. */
static bool move_one(int epfd, int old, int fresh, int number, struct epoll_event event)
{
	epfd = beside(epfd, number);
	if (dup2(old, number) != number)
		return false;
	if (epoll_ctl(epfd, EPOLL_CTL_DEL, number, NULL) < 0)
		return errno == ENOENT; /* moved already: the program has the same instance on two numbers */
	return dup2(fresh, number) == number && epoll_ctl(epfd, EPOLL_CTL_ADD, number, &event) == 0;
}

static int move_all(const struct moves *moves, const int *epfds, int fresh)
{
	int number = moves->number, failed = 0, old = beside(moves->old, number);
	fresh = beside(fresh, number);
	for (int i = 0; i < moves->count; i++)
		failed += !move_one(epfds[i], old, fresh, number, moves->list[i].event);
	return failed;
}

/* The child has fds of its own. */
static bool move_in_child(const struct moves *moves, const int *epfds, int fresh)
{
	int status = -1;
	pid_t child = fork();
	if (child == 0)
		_exit(move_all(moves, epfds, fresh));
	return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) &&
	       WEXITSTATUS(status) == 0;
}

void moves_make(struct moves *moves, int fresh)
{
	int epfds[MOVES];
	bool all = moves->old >= 0;
	for (int i = 0; i < moves->count; i++)
		epfds[i] = task_duplicate(moves->thread, moves->list[i].epfd);
	if (moves->count && fresh >= 0 && !(all && move_in_child(moves, epfds, fresh)))
		log_error("a supervised program's epoll registration can't be moved: events may be lost");
	for (int i = 0; i < moves->count; i++)
		if (epfds[i] >= 0)
			libc.close(epfds[i]);
	if (moves->old >= 0)
		libc.close(moves->old);
}
