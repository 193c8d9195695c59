/* SPDX-License-Identifier: MIT */
#include "watched.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BUCKETS = 4096, FIRST_SWEEP = 4096 };

static struct watched *buckets[BUCKETS];
static uint32_t count, sweep_at = FIRST_SWEEP;

static struct watched **bucket(uint64_t inode)
{
	return &buckets[inode % BUCKETS];
}

uint32_t watched_count(void)
{
	return count;
}

struct watched *watched_find(uint64_t inode)
{
	struct watched *one = *bucket(inode);
	while (one && one->inode != inode)
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

static void mark_process(int proc, const char *process)
{
	char path[32];
	strcpy(stpcpy(path, process), "/fd");
	int fd = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	if (fd >= 0 && !directory)
		close(fd);
	for (struct dirent *entry; directory && (entry = readdir(directory));) {
		uint64_t inode = inode_of(dirfd(directory), entry->d_name);
		struct watched *one = inode ? watched_find(inode) : NULL;
		if (one) {
			one->mark = true;
			one->holder = (pid_t)atoi(process);
		}
	}
	if (directory)
		closedir(directory);
}

/* Any process may hold one of these sockets. Processes whose fds we can't see aren't ours, or can't use their
 * sockets. */
static bool mark_all(void)
{
	DIR *proc = opendir("/proc");
	if (!proc)
		return false;
	for (struct dirent *entry; (entry = readdir(proc));)
		if (isdigit((unsigned char)entry->d_name[0]) && strlen(entry->d_name) < 12)
			mark_process(dirfd(proc), entry->d_name);
	closedir(proc);
	return true;
}

static void sweep(void)
{
	int saved = errno;
	bool marked = mark_all();
	for (int i = 0; marked && i < BUCKETS; i++)
		for (struct watched **link = &buckets[i]; *link;) {
			struct watched *one = *link;
			if (one->mark || one->attempt) {
				one->mark = false;
				link = &one->next;
				continue;
			}
			*link = one->next;
			let_go(one);
		}
	sweep_at = count < FIRST_SWEEP / 2 ? FIRST_SWEEP : 2 * count;
	errno = saved;
}

struct watched *watched_first(
	bool (*matches)(const struct watched *watched, const void *context), const void *context)
{
	if (!first(matches, context))
		return NULL;
	sweep();
	return first(matches, context);
}

struct watched *watched_open(uint64_t inode, int family)
{
	if (count >= sweep_at)
		sweep();
	struct watched *one = calloc(1, sizeof *one);
	if (!one)
		return NULL;
	count++;
	one->family = (uint8_t)family;
	enter(one, inode);
	return one;
}
