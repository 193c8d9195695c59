/* SPDX-License-Identifier: MIT */
#include "watched.h"

#include "wait.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BUCKETS = 4096, ROOM = 2048 };

static struct watched *buckets[BUCKETS];
static uint32_t count, sweep_at = ROOM;

static struct watched **bucket(uint64_t inode)
{
	return &buckets[inode % BUCKETS];
}

struct watched *watched_find(uint64_t inode, int number)
{
	struct watched *found = NULL;
	for (struct watched *one = *bucket(inode); one; one = one->next)
		if (one->inode == inode) {
			found = one; /* the last is the oldest */
			if (one->number == number)
				break;
		}
	return found;
}

struct watched *watched_twin(const struct watched *watched, const struct watched *last)
{
	struct watched *one = last ? last->next : *bucket(watched->inode);
	while (one && (one->inode != watched->inode || one == watched))
		one = one->next;
	return one;
}

static void enter(struct watched *one, uint64_t inode)
{
	struct watched **first = bucket(inode);
	one->inode = inode;
	one->next = *first;
	*first = one;
}

static void take_out(struct watched *one)
{
	struct watched **link = bucket(one->inode);
	while (*link != one)
		link = &(*link)->next;
	*link = one->next;
}

void watched_move(struct watched *one, uint64_t inode)
{
	take_out(one);
	enter(one, inode);
}

static struct watched *first(
	bool (*matches)(const struct watched *watched, const void *context), const void *context)
{
	for (int i = 0; i < BUCKETS; i++)
		for (struct watched *one = buckets[i]; one; one = one->next)
			if (matches(one, context))
				return one;
	return NULL;
}

static void let_go(struct watched *one)
{
	if (one->unclaimed.present)
		close(one->unclaimed.fd);
	options_forget(&one->options);
	free(one);
	count--;
}

/* The inode of a link "socket:[INODE]"; 0: it isn't a socket. */
static uint64_t inode_of(int directory, const char *name)
{
	static const char prefix[] = "socket:[";
	char target[48];
	ssize_t length = readlinkat(directory, name, target, sizeof target - 1);
	target[length > 0 ? length : 0] = '\0';
	return strncmp(target, prefix, sizeof prefix - 1) ? 0
							  : strtoull(target + sizeof prefix - 1, NULL, 10);
}

/* ---- the walk through /proc ---- */

/* Any process may hold one of these sockets. Processes whose fds we can't see aren't ours, or can't use their
 * sockets. */
struct walk {
	DIR *processes; /* NULL: none is under way */
	DIR *fds;	/* of this process; NULL: the next one's turn */
	pid_t process;
};

static bool walk_begin(struct walk *walk)
{
	*walk = (struct walk){.processes = opendir("/proc")};
	for (int i = 0; walk->processes && i < BUCKETS; i++)
		for (struct watched *one = buckets[i]; one; one = one->next)
			one->missed++;
	return walk->processes;
}

static void enter_process(struct walk *walk, const char *process)
{
	char path[32];
	if (!isdigit((unsigned char)*process) || strlen(process) > 12)
		return;
	strcpy(stpcpy(path, process), "/fd");
	int fd = openat(dirfd(walk->processes), path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	walk->process = (pid_t)atoi(process);
	walk->fds = fd < 0 ? NULL : fdopendir(fd);
	if (fd >= 0 && !walk->fds)
		close(fd);
}

static void look_at(const struct walk *walk, const char *number)
{
	uint64_t inode = inode_of(dirfd(walk->fds), number);
	for (struct watched *one = inode ? *bucket(inode) : NULL; one; one = one->next)
		if (one->inode == inode) {
			one->missed = 0;
			one->holder = walk->process;
		}
}

/* Looks at one more fd, or goes to the next process. false: there is none. */
static bool walk_on(struct walk *walk)
{
	struct dirent *entry = readdir(walk->fds ? walk->fds : walk->processes);
	if (!walk->fds && !entry)
		return false;
	if (!walk->fds) {
		enter_process(walk, entry->d_name);
	} else if (entry) {
		look_at(walk, entry->d_name);
	} else {
		closedir(walk->fds);
		walk->fds = NULL;
	}
	return true;
}

static void walk_end(struct walk *walk)
{
	if (walk->fds)
		closedir(walk->fds);
	if (walk->processes)
		closedir(walk->processes);
	*walk = (struct walk){.processes = NULL};
}

/* Drops what so many walks have missed. */
static void drop(uint8_t walks)
{
	uint32_t open = 0;
	for (int i = 0; i < BUCKETS; i++)
		for (struct watched **link = &buckets[i]; *link;) {
			struct watched *one = *link;
			open += one->missed == 0;
			if (one->missed < walks || one->attempt) {
				link = &one->next;
				continue;
			}
			*link = one->next;
			let_go(one);
		}
	sweep_at = count + (open < ROOM ? ROOM : open);
}

/* A walk takes some 40 µs for each process of the machine, so calls are served in between. Meanwhile a socket
 * may be passed from a process that is still to come to one that has been looked at: only the second walk
 * drops it. */
static struct walk background;
enum { FDS_IN_A_STEP = 300, STEP_MS = 1, WALKS = 2 };

static void step(struct timer *timer)
{
	int saved = errno;
	bool more = true;
	for (int i = 0; more && i < FDS_IN_A_STEP; i++)
		more = walk_on(&background);
	if (more) {
		timer_begin(timer, STEP_MS, step);
	} else {
		walk_end(&background);
		drop(WALKS);
	}
	errno = saved;
}

static void sweep_in_background(void)
{
	static struct timer timer;
	int saved = errno;
	if (!background.processes && walk_begin(&background))
		timer_begin(&timer, STEP_MS, step);
	errno = saved;
}

static void sweep_now(void)
{
	struct walk walk;
	int saved = errno;
	if (walk_begin(&walk)) {
		while (walk_on(&walk))
			;
		walk_end(&walk);
		drop(1);
	}
	errno = saved;
}

struct watched *watched_first(
	bool (*matches)(const struct watched *watched, const void *context), const void *context)
{
	if (!first(matches, context))
		return NULL;
	sweep_now();
	return first(matches, context);
}

struct watched *watched_open(uint64_t inode, int family)
{
	if (count >= sweep_at)
		sweep_in_background();
	struct watched *one = calloc(1, sizeof *one);
	if (!one)
		return NULL;
	count++;
	one->family = (uint8_t)family;
	one->number = -1;
	enter(one, inode);
	return one;
}
