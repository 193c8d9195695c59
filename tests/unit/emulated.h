/* SPDX-License-Identifier: MIT */
/* For tests of the library's own parts: emulated CIDs in a folder of the test's own. Test programs link the
 * library's objects, so their own connect() is the hook. */
#ifndef IP2VSOCK_EMULATED_H
#define IP2VSOCK_EMULATED_H

#include "core/shim.h"
#include "system/libc.h"
#include "system/log.h"
#include "transport/transport.h"

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];

static inline int make_directory(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/ip2vsock-unit-XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

/* From a constructor before the library's own (101), which reads the environment. */
static inline void emulate(const char *map)
{
	char transport[sizeof folder + sizeof "unix:"];
	if (make_directory(NULL) < 0)
		_exit(99);
	snprintf(transport, sizeof transport, "unix:%s", folder);
	setenv("IP2VSOCK_TRANSPORT", transport, 1);
	setenv("IP2VSOCK_MAP", map, 1);
}

static inline int remove_directory(void **state)
{
	(void)state;
	DIR *list = opendir(folder);
	if (!list)
		return -1;
	for (const struct dirent *entry; (entry = readdir(list));)
		unlinkat(dirfd(list), entry->d_name, 0);
	closedir(list);
	return rmdir(folder);
}

/* What is logged meanwhile. */
static inline const char *log_of(enum log_level level, void (*act)(void))
{
	static char said[4096];
	char path[] = "/tmp/ip2vsock-unit-XXXXXX";
	int file = mkstemp(path);
	assert_true(file >= 0);
	log_start(&(struct settings){.log = level, .log_path = path});
	act();
	log_start(&(struct settings){.log = LOG_OFF});
	ssize_t size = pread(file, said, sizeof said - 1, 0);
	assert_true(size >= 0);
	said[size] = '\0';
	unlink(path);
	close(file);
	return said;
}

/* What uninitialised variables of the next call will hold. */
static __attribute__((noinline, unused)) void fill_the_stack(int byte)
{
	volatile char room[16384];
	for (size_t i = 0; i < sizeof room; i++)
		room[i] = (char)byte;
}

static inline int count_fds(void)
{
	int count = 0;
	DIR *list = opendir("/proc/self/fd");
	assert_non_null(list);
	while (readdir(list))
		count++;
	closedir(list);
	return count;
}

#endif
