/* SPDX-License-Identifier: MIT */
/* The name server that a map makes: a DNS query in, its answer out. Pure, as the map is: no system call, no
 * allocation, errno untouched; safe in any thread and signal handler. */
#ifndef IP2VSOCK_DNS_H
#define IP2VSOCK_DNS_H

#include "map.h"

/* Room for any answer: less than every client takes, so none is ever cut. */
enum { DNS_ANSWER = 512 };

/* The answer to the `size` bytes of a query, of any content; returns its length, 0: it deserves none (an
 * answer itself, or no whole header). A name that the map takes has the addresses that names.h gives it,
 * localhost and `own` (the machine's name, "" if it has none) those of loopback; all others don't exist. */
size_t dns_answer(const struct map *map, const char *own, const uint8_t *query, size_t size,
	uint8_t answer[DNS_ANSWER]);

/* A query for a name as people write it, as res_mkquery(3) would make it. Returns its length, 0: this isn't
 * one. */
enum { DNS_QUESTION = 12 + 255 + 4 };
size_t dns_question(const char *name, uint16_t class, uint16_t type, uint8_t query[DNS_QUESTION]);

#endif
