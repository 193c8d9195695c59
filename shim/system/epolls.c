/* SPDX-License-Identifier: MIT */
#include "epolls.h"

#include "core/text.h"
#include "directory.h"
#include "libc.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { PATH = 64 };

/* number: -1, the directory itself */
static const char *path_of(char path[PATH], const char *process, const char *directory, int number)
{
	struct text text = text_in(path, PATH);
	text_add(&text, "/proc/");
	text_add(&text, process);
	text_add(&text, directory);
	if (number >= 0)
		text_add_number(&text, (uint64_t)number);
	return path;
}

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : 16;
}

/* strtoull() would look for a locale, which a task (task.h) doesn't have. */
static uint64_t number_at(const char *text, int base)
{
	uint64_t value = 0;
	while (*text == ' ' || *text == '\t')
		text++;
	for (; digit(*text) < base; text++)
		value = value * (uint64_t)base + (uint64_t)digit(*text);
	return value;
}

/* A line "tfd: 5 events: 19 data: 5 pos:0 ino:3c sdev:8", which ends in NUL. */
static bool read_line(const char *line, struct registered *one)
{
	const char *fd = strstr(line, "tfd:"), *events = strstr(line, "events:"),
		   *data = strstr(line, "data:"), *inode = strstr(line, "ino:");
	if (!fd || !events || !data)
		return false;
	one->fd = (int)number_at(fd + 4, 10);
	one->event.events = (uint32_t)number_at(events + 7, 16);
	one->event.data.u64 = number_at(data + 5, 16);
	one->inode = inode ? number_at(inode + 4, 16) : 0;
	return true;
}

bool epolls_read(const char *process, int epfd, void (*each)(void *context, const struct registered *one),
	void *context)
{
	char path[PATH], text[1024]; /* a thread may have a small stack */
	int info = open(path_of(path, process, "/fdinfo/", epfd), O_RDONLY | O_CLOEXEC);
	if (info < 0)
		return errno == ENOENT; /* it was closed meanwhile */
	struct registered one = {.epfd = epfd};
	size_t have = 0;
	ssize_t got;
	while ((got = libc.read(info, text + have, sizeof text - 1 - have)) > 0) {
		have += (size_t)got;
		text[have] = '\0';
		char *line = text, *end;
		for (; (end = strchr(line, '\n')); line = end + 1) {
			*end = '\0';
			if (read_line(line, &one))
				each(context, &one);
		}
		have = strlen(line);
		memmove(text, line, have);
	}
	libc.close(info);
	return got == 0;
}

/* "." and ".." are no links. */
static bool is_instance(int directory, const char *number)
{
	static const char instance[] = "anon_inode:[eventpoll]";
	char target[32];
	ssize_t length = readlinkat(directory, number, target, sizeof target);
	return length == sizeof instance - 1 && memcmp(target, instance, (size_t)length) == 0;
}

struct finding {
	void (*each)(void *context, int epfd);
	void *context;
};

static bool pass_instance(void *context, int directory, const char *number)
{
	const struct finding *finding = context;
	if (is_instance(directory, number))
		finding->each(finding->context, (int)number_at(number, 10));
	return true;
}

bool epolls_find(const char *process, void (*each)(void *context, int epfd), void *context)
{
	char path[PATH];
	struct finding finding = {each, context};
	return directory_each(path_of(path, process, "/fd", -1), pass_instance, &finding);
}

struct listing {
	const char *process;
	void (*each)(void *context, const struct registered *one);
	void *context;
	bool whole;
};

static void read_one(void *context, int epfd)
{
	struct listing *listing = context;
	listing->whole &= epolls_read(listing->process, epfd, listing->each, listing->context);
}

bool epolls_list(
	const char *process, void (*each)(void *context, const struct registered *one), void *context)
{
	struct listing listing = {process, each, context, true};
	return epolls_find(process, read_one, &listing) && listing.whole;
}
