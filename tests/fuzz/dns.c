/* SPDX-License-Identifier: MIT */
/* DNS queries, as a name server gets them from anybody. What holds of every one:
 *
 *  - its answer has at most 512 bytes, is whole (each name and record of it ends inside), and is an answer to
 * this query: its id, its question byte by byte; the same again if it is asked again;
 *  - there is none to an answer, and none to less than a header;
 *  - the same bytes as a name make a query that isn't malformed, or none.
 */
// sources: shim/core/dns.c shim/core/endpoint.c shim/core/map*.c shim/core/names.c shim/core/text.c
#include "core/dns.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEADER = 12, FORMERR = 1 };

static void *memory(void *context, size_t size)
{
	static _Alignas(16) char room[1 << 16];
	static size_t used;
	(void)context;
	void *block = room + used;
	used += (size + 15) / 16 * 16;
	assert(used <= sizeof room);
	return block;
}

static const struct map *the_map(void)
{
	static const char rules[] =
		"api.example.com:443=3:1,*.example.com:443=3:1,*.host.test:1=unix:/run/{host},"
		"listen own.test:1=any:1,refused.test:80=refuse,*:53=names";
	static const struct map *map;
	struct map_error error;
	if (!map)
		map = map_build("fuzz", rules, strlen(rules), &ranges_default,
			&(struct map_source){.memory = memory}, &error);
	assert(map);
	return map;
}

static unsigned get16(const uint8_t *at)
{
	return (unsigned)at[0] << 8 | at[1];
}

/* Where what follows the name begins. */
static size_t after_name(const uint8_t *answer, size_t size, size_t at)
{
	while (at < size && answer[at] && answer[at] < 64)
		at += 1 + answer[at];
	assert(at < size);
	return at + (answer[at] ? 2 : 1);
}

static void check(const uint8_t *query, const uint8_t *answer, size_t size)
{
	size_t at = HEADER;
	assert(size >= HEADER && size <= DNS_ANSWER);
	assert(memcmp(answer, query, 2) == 0 && answer[2] & 0x80 && !(answer[2] & 2));
	assert(get16(answer + 4) <= 1 && get16(answer + 8) == 0);
	if (get16(answer + 4)) {
		at = after_name(answer, size, at) + 4;
		assert(memcmp(answer + HEADER, query + HEADER, at - HEADER) == 0);
	}
	for (unsigned i = get16(answer + 6) + get16(answer + 10); i; i--) {
		at = after_name(answer, size, at) + 10;
		assert(at <= size);
		at += get16(answer + at - 2);
	}
	assert(at == size);
}

static size_t ask(const uint8_t *query, size_t size, uint8_t answer[DNS_ANSWER])
{
	uint8_t *exactly = malloc(size ? size : 1);
	assert(exactly);
	if (size)
		memcpy(exactly, query, size);
	errno = 42;
	size_t length = dns_answer(the_map(), "machine", exactly, size, answer);
	assert(errno == 42);
	if (size < HEADER || query[2] & 0x80)
		assert(length == 0);
	else
		check(exactly, answer, length);
	free(exactly);
	return length;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t answer[DNS_ANSWER], again[DNS_ANSWER], query[DNS_QUESTION];
	size_t length = ask(data, size, answer);
	assert(ask(data, size, again) == length && memcmp(answer, again, length) == 0);

	char *name = malloc(size + 1);
	assert(name);
	if (size)
		memcpy(name, data, size);
	name[size] = '\0';
	length = dns_question(name, 1, 1, query);
	free(name);
	if (length) {
		assert(ask(query, length, answer) > HEADER);
		assert((answer[3] & 15) != FORMERR);
	}
	return 0;
}
