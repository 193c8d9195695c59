/* SPDX-License-Identifier: MIT */
#include "directory.h"

#include "libc.h"

#include <fcntl.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

struct directory_entry { /* getdents64(2): readdir() needs malloc */
	uint64_t inode;
	int64_t offset;
	unsigned short length;
	unsigned char type;
	char name[];
};

bool directory_each(
	const char *path, bool (*each)(void *context, int directory, const char *name), void *context)
{
	_Alignas(struct directory_entry) char buffer[1024]; /* a thread may have a small stack */
	int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (directory < 0)
		return false;
	bool more = true;
	long got = 0;
	while (more &&
		(got = libc.syscall(SYS_getdents64, directory, (long)buffer, sizeof buffer, 0, 0, 0)) > 0)
		for (long at = 0; more && at < got;) {
			const struct directory_entry *entry = (const struct directory_entry *)(buffer + at);
			more = each(context, directory, entry->name);
			at += entry->length;
		}
	libc.close(directory);
	return got >= 0;
}
