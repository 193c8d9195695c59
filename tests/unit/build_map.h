/* SPDX-License-Identifier: MIT */
/* Maps for tests: memory that is given back, and files that are only in memory. */
#ifndef IP2VSOCK_BUILD_MAP_H
#define IP2VSOCK_BUILD_MAP_H

#include "core/map.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct chunk {
	_Alignas(max_align_t) struct chunk *next;
};

static struct chunk *chunks;

static inline void *test_memory(void *context, size_t size)
{
	(void)context;
	struct chunk *chunk = calloc(1, sizeof *chunk + size);
	assert_non_null(chunk);
	chunk->next = chunks;
	chunks = chunk;
	return chunk + 1;
}

static inline int free_maps(void **state)
{
	(void)state;
	while (chunks) {
		struct chunk *next = chunks->next;
		free(chunks);
		chunks = next;
	}
	return 0;
}

struct test_file {
	const char *path, *text;
	size_t length; /* 0: up to the NUL */
};

static const struct test_file *test_files; /* ends with a NULL path */

static inline int test_read(void *context, const char *path, const char **text, size_t *length)
{
	(void)context;
	for (const struct test_file *file = test_files; file && file->path; file++) {
		if (strcmp(file->path, path) == 0) {
			*text = file->text;
			*length = file->length ? file->length : strlen(file->text);
			return 0;
		}
	}
	return ENOENT;
}

static const struct map_source test_source = {test_memory, test_read, NULL};

/* The text is copied to a block of exactly its size, so that a sanitizer sees reads behind it. */
static inline const struct map *try_map_of(
	const char *text, size_t length, const struct ranges *ranges, struct map_error *error)
{
	struct chunk *copy = malloc(sizeof *copy + length);
	assert_non_null(copy);
	copy->next = chunks;
	chunks = copy;
	if (length)
		memcpy(copy + 1, text, length);
	memset(error, 0xaa, sizeof *error);
	return map_build("IP2VSOCK_MAP", (const char *)(copy + 1), length, ranges, &test_source, error);
}

static inline const struct map *map_of(const char *text)
{
	struct map_error error;
	const struct map *map = try_map_of(text, strlen(text), &ranges_default, &error);
	if (!map) {
		char message[2048];
		map_error_format(&error, message, sizeof message);
		fail_msg("%s", message);
	}
	return map;
}

/* The number of the rule that decides, 0: none. */
static inline uint32_t decides(const struct map *map, enum side side, const char *host, uint16_t port)
{
	const struct rule *rule = map_find_host(map, side, host, strlen(host), port);
	return rule ? rule->number : 0;
}

#endif
