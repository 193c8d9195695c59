/* SPDX-License-Identifier: MIT */
#include "sources.h"

#include "core/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void *need(void *memory)
{
	if (memory)
		return memory;
	fputs("ip2vsock: out of memory\n", stderr);
	exit(EXIT_REFUSED);
}

static void *map_memory(void *context, size_t size)
{
	(void)context;
	return calloc(1, size);
}

/* All of a file or pipe. */
static int read_file(void *context, const char *path, const char **text, size_t *length)
{
	(void)context;
	size_t size = 0, room = 4096;
	char *content = NULL;
	ssize_t got;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return errno;
	do {
		content = need(realloc(content, room *= 2));
		while ((got = read(fd, content + size, room - size - 1)) > 0)
			size += (size_t)got;
	} while (got == 0 && size == room - 1 && size <= MAP_TEXT_LIMIT);
	int error = got < 0 ? errno : size > MAP_TEXT_LIMIT ? EFBIG : 0;
	close(fd);
	content[size] = '\0';
	*text = content;
	*length = size;
	return error;
}

static bool check(struct sources *sources, const char *name, const char *text, const struct map_source *from,
	uint32_t *rules)
{
	struct map_error error;
	const struct map *map = map_build(name, text, strlen(text), sources->ranges, from, &error);
	if (!map)
		map_error_format(&error, sources->message, sizeof(sources->message));
	else
		*rules = map_count(map);
	return map != NULL;
}

/* The name stands between quotes on a line of the map. */
static bool can_be_quoted(const char *name)
{
	for (; *name; name++)
		if (*name == '"' || (unsigned char)*name < ' ' || *name == 0x7f)
			return false;
	return true;
}

static void append(struct sources *sources, const char *text)
{
	size_t length = strlen(text);
	sources->map = need(realloc(sources->map, sources->length + length + 1));
	memcpy(sources->map + sources->length, text, length + 1);
	sources->length += length;
}

static void add(struct sources *sources, const char *name, const char *text)
{
	append(sources, sources->length ? "\n#source \"" : "#source \"");
	append(sources, name);
	append(sources, "\"\n");
	append(sources, text);
}

bool sources_add_rule(struct sources *sources, const char *rule)
{
	uint32_t rules;
	if (!check(sources, "-m", rule, &(struct map_source){map_memory, read_file, NULL}, &rules))
		return false;
	if (!rules) {
		snprintf(sources->message, sizeof(sources->message),
			"ip2vsock: -m '%.200s' holds no rule; is a variable empty?\n", rule);
		return false;
	}
	add(sources, "-m", rule);
	return true;
}

/* What the file named by -f held, for the parser, which reads it as if the map named it. */
struct content {
	const char *text;
	size_t length;
};

static int give_content(void *context, const char *path, const char **text, size_t *length)
{
	const struct content *content = context;
	(void)path;
	*text = content->text;
	*length = content->length;
	return 0;
}

static bool is_file(const char *path)
{
	struct stat status;
	return !stat(path, &status) && S_ISREG(status.st_mode);
}

bool sources_add_file(struct sources *sources, const char *path)
{
	struct content content = {NULL, 0};
	uint32_t rules;
	int error = read_file(NULL, path, &content.text, &content.length);
	if (error) {
		snprintf(sources->message, sizeof(sources->message),
			"ip2vsock: -f %.1000s can't be read: %s\n", path, strerror(error));
		free((char *)content.text);
		return false;
	}
	char *whole = realpath(path, NULL), *include = NULL; /* NULL: a pipe, or a file that was deleted */
	bool by_name = whole && is_file(whole);
	if (asprintf(&include, "@\"%s\"", whole ? whole : path) < 0)
		need(NULL);
	bool good = check(
		sources, "-f", include, &(struct map_source){map_memory, give_content, &content}, &rules);
	if (good)
		add(sources, by_name || !can_be_quoted(path) ? "-f" : path, by_name ? include : content.text);
	free(whole);
	free(include);
	free((char *)content.text);
	return good;
}

void sources_add_environment(struct sources *sources, const char *map)
{
	if (sources->length && strcmp(map, sources->map) == 0)
		return; /* a command in a command, with the same rules: the same map */
	if (sources->length)
		add(sources, "IP2VSOCK_MAP", map);
	else
		append(sources, map);
}

const char *sources_map(struct sources *sources)
{
	size_t size = sizeof("IP2VSOCK_MAP=") + sources->length,
	       limit = 32 * (size_t)sysconf(_SC_PAGESIZE); /* MAX_ARG_STRLEN */
	if (size <= limit)
		return sources->length ? sources->map : "";
	snprintf(sources->message, sizeof(sources->message),
		"ip2vsock: the rules take %zu bytes, but the kernel limits an environment variable to %zu: "
		"put "
		"them in a file and give it with -f FILE\n",
		size, limit);
	return NULL;
}
