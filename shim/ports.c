/* SPDX-License-Identifier: MIT */
#include "ports.h"

#include "shim.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <time.h>

enum { APART = 61 }; /* ports from where one process begins to where one begins a millisecond later */
enum { FIRST_PORT = 32768, PORTS = 61000 - FIRST_PORT }; /* net.ipv4.ip_local_port_range */

/* Shared with the processes that this one forks. */
static _Atomic uint32_t *counter;
static _Atomic uint32_t own_counter;

void ports_start(void)
{
	struct timespec now;
	void *shared = mmap(NULL, sizeof *counter, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	counter = shared == MAP_FAILED ? &own_counter : shared;
	clock_gettime(CLOCK_MONOTONIC, &now);
	uint64_t milliseconds = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
	atomic_store(counter, (uint32_t)(milliseconds * APART));
}

/* Listen rules name few ports or ranges, or all: those can't be kept free. */
static bool named_by_listen_rule(uint32_t port)
{
	uint32_t count = shim_listen_rules;
	for (uint32_t i = 0; count && i < map_count(shim.map); i++) {
		const struct rule *rule = map_rule(shim.map, i);
		if (rule->side != SIDE_LISTEN)
			continue;
		count--;
		if (rule->target.kind != TARGET_CID || rule->port_last - rule->port_first >= PORTS / 2)
			continue;
		uint32_t first = rule_port(rule, rule->port_first), last = rule_port(rule, rule->port_last);
		if (port >= first && port <= last)
			return true;
	}
	return false;
}

uint16_t ports_next(enum port_kind kind)
{
	uint32_t port;
	int tries = 0;
	do {
		uint32_t turn = atomic_fetch_add(counter, 1) % (PORTS / 2);
		port = FIRST_PORT + turn * 2 + (kind == PORT_OF_IPV6);
	} while (named_by_listen_rule(port) && ++tries < PORTS / 2);
	return (uint16_t)port;
}

bool ports_of_ipv4(uint32_t port)
{
	return port >= FIRST_PORT && port < FIRST_PORT + PORTS && port % 2 == 0;
}
