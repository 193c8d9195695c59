/* SPDX-License-Identifier: MIT */
#include "sockets.h"

#include "core/text.h"
#include "directory.h"
#include "kernel.h"
#include "libc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct search {
	const struct sought *sought;
	char path[64];	     /* "/proc/PROCESS/fd/" */
	size_t length;	     /* of it */
	int process, pidfd;  /* -1: not yet needed */
	int found, *refused; /* -1: not yet */
};

/* Whose it is and of which kind is said without a copy: sockfs calls a socket by its protocol. No other file
 * is looked at: its file system may be one that doesn't answer. */
static bool may_be_it(const char *path, const struct sought *sought)
{
	const char *kind = sought->family == AF_UNIX ? "UNIX" : "AF_VSOCK";
	static const char socket[] = "socket:";
	char name[32] = "";
	struct stat status;
	return readlink(path, name, sizeof name) > 0 && memcmp(name, socket, sizeof socket - 1) == 0 &&
	       stat(path, &status) == 0 && S_ISSOCK(status.st_mode) && status.st_uid == sought->user &&
	       libc.syscall(SYS_getxattr, (long)path, (long)"system.sockprotoname", (long)name,
		       sizeof name - 1, 0, 0) > 0 &&
	       text_begins(name, kind);
}

static int copy_of(struct search *search, int number)
{
	if (search->pidfd < 0)
		search->pidfd = (int)libc.syscall(SYS_pidfd_open, search->process, 0, 0, 0, 0, 0);
	int copy = search->pidfd < 0 ? -1
				     : (int)libc.syscall(SYS_pidfd_getfd, search->pidfd, number, 0, 0, 0, 0);
	if (copy < 0 && errno != ESRCH && errno != EBADF) /* those are gone */
		*search->refused = errno;
	return copy;
}

static bool look_at_number(void *context, int directory, const char *number)
{
	struct search *search = context;
	(void)directory;
	struct text path = {search->path, sizeof search->path, search->length, false};
	text_add(&path, number);
	if (!may_be_it(search->path, search->sought))
		return true;
	int copy = copy_of(search, atoi(number));
	if (copy < 0)
		return true;
	if (search->sought->is_it(copy, search->sought->context))
		search->found = copy;
	else
		libc.close(copy);
	return search->found < 0;
}

static bool look_at_process(void *context, int directory, const char *name)
{
	struct search *search = context;
	(void)directory;
	if (*name < '1' || *name > '9')
		return true;
	struct text path = text_in(search->path, sizeof search->path);
	text_add(&path, "/proc/");
	text_add(&path, name);
	text_add(&path, "/fd/");
	search->length = path.length;
	search->process = atoi(name);
	search->pidfd = -1;
	if (!directory_each(search->path, look_at_number, search) && (errno == EMFILE || errno == ENFILE))
		*search->refused = errno; /* else it isn't shown, or has ended */
	if (search->pidfd >= 0)
		libc.close(search->pidfd);
	return search->found < 0;
}

int sockets_find(const struct sought *sought, int *refused)
{
	struct search search = {.sought = sought, .found = -1, .refused = refused};
	*refused = 0;
	if (!directory_each("/proc", look_at_process, &search))
		*refused = errno;
	return search.found;
}
