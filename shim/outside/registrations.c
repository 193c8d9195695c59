/* SPDX-License-Identifier: MIT */
#include "registrations.h"

#include "task.h"

#include "system/libc.h"
#include "system/log.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static void add(void *context, const struct registered *one)
{
	struct moves *moves = context;
	bool same = one->fd == moves->number && (!one->inode || one->inode == moves->inode);
	if (same && moves->count < MOVES)
		moves->list[moves->count++] = *one;
}

void moves_find(struct moves *moves, pid_t thread, int number, uint64_t inode)
{
	char process[16];
	*moves = (struct moves){.thread = thread, .number = number, .inode = inode, .old = -1};
	if (task_is_go(thread))
		return;
	snprintf(process, sizeof process, "%d", thread);
	if (!epolls_list(process, add, moves))
		log_error("thread ", process, ": its epoll instances can't be read: events may be lost");
	if (moves->count)
		moves->old = task_duplicate(thread, number);
}

/* Out of the way of a file that is to be on that number. */
static int beside(int fd, int number)
{
	return fd == number ? fcntl(fd, F_DUPFD, 0) : fd;
}

/* In the child. */
static bool move_one(int epfd, int old, int fresh, int number, struct epoll_event event)
{
	epfd = beside(epfd, number);
	return dup2(old, number) == number && epoll_ctl(epfd, EPOLL_CTL_DEL, number, NULL) == 0 &&
	       dup2(fresh, number) == number && epoll_ctl(epfd, EPOLL_CTL_ADD, number, &event) == 0;
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
