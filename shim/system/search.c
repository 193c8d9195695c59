/* SPDX-License-Identifier: MIT */
#include "search.h"

#include "core/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool join(char path[PATH_MAX], const char *directory, size_t length, const char *name)
{
	struct text text = text_in(path, PATH_MAX);
	text_add_bytes(&text, directory, length);
	text_add(&text, length ? "/" : "");
	text_add(&text, name);
	return !text.cut;
}

/* 0: to be executed; else an errno, of which EACCES is the one that is remembered. */
static int judge(const char *path)
{
	struct stat status;
	if (faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) != 0)
		return errno == EACCES && stat(path, &status) == 0 && S_ISREG(status.st_mode) ? EACCES
											      : ENOENT;
	return stat(path, &status) == 0 && S_ISREG(status.st_mode) ? 0 : ENOENT;
}

int search_program(const char *name, const char *directories, char path[PATH_MAX])
{
	char standard[64];
	int error = ENOENT;
	if (!*name)
		return ENOENT;
	if (strchr(name, '/'))
		return join(path, "", 0, name) ? 0 : ENAMETOOLONG;
	if (!directories)
		directories = confstr(_CS_PATH, standard, sizeof standard) ? standard : "";
	for (const char *at = directories;; at++) {
		size_t length = strcspn(at, ":");
		int one = join(path, at, length, name) ? judge(path) : ENAMETOOLONG;
		if (one == 0)
			return 0;
		if (one != ENOENT)
			error = one;
		at += length;
		if (!*at)
			return error;
	}
}
