/* SPDX-License-Identifier: MIT */
/* The name server that is made from a map: a DNS query in, its answer out. Pure, as the map is: no system
 * call, no allocation, errno untouched; safe in any thread and signal handler. */
#ifndef IP2VSOCK_DNS_H
#define IP2VSOCK_DNS_H

#include "map.h"

/* Room for any answer. Every client accepts this size, so no answer is ever truncated. */
enum { DNS_ANSWER = 512 };

/* Writes the answer to a query of `size` bytes, of any content. Returns its length; 0: there is no answer,
 * because the query is an answer itself or has no complete header. A name that the map takes has the
 * addresses that names.h gives it; localhost and `own` (the machine's name, "" if it has none) have those of
 * loopback; no other names exist. */
size_t dns_answer(const struct map *map, const char *own, const uint8_t *query, size_t size,
	uint8_t answer[DNS_ANSWER]);

/* Makes the query that res_mkquery(3) would make for a name as people write it. Returns its length; 0: it
 * isn't a name. */
enum { DNS_QUESTION = 12 + 255 + 4 };
size_t dns_question(const char *name, uint16_t class, uint16_t type, uint8_t query[DNS_QUESTION]);

#endif
