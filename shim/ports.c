/* SPDX-License-Identifier: MIT */
#include "ports.h"

#include "shim.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <time.h>

enum { BLOCK = 16 }; /* a turn's ports */
/* No program starts and ends in less, so the next one begins a block later, at least. */
enum { APART_NS = 20000 };
enum { FIRST_PORT = 32768, PORTS = 61000 - FIRST_PORT }; /* net.ipv4.ip_local_port_range */

/* Shared with the processes that this one forks. */
static struct counts {
	_Atomic uint32_t alone;	   /* goes on by itself */
	_Atomic uint32_t in_turns; /* a multiple of BLOCK: the turn is over */
} own, *counts = &own;

static uint32_t turn_of_clock(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint32_t)(((uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec) / APART_NS);
}

void ports_start(void)
{
	void *shared = mmap(NULL, sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared != MAP_FAILED)
		counts = shared;
	atomic_store(&counts->alone, turn_of_clock() * BLOCK);
}

static uint32_t count(bool (*turn)(uint32_t *))
{
	if (!turn)
		return atomic_fetch_add(&counts->alone, 1);
	uint32_t before = atomic_load(&counts->in_turns), mine, block;
	do {
		mine = before;
		if (before % BLOCK == 0)
			mine = (turn(&block) ? block : turn_of_clock()) * BLOCK;
	} while (!atomic_compare_exchange_weak(&counts->in_turns, &before, mine + 1));
	return mine;
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

uint16_t ports_next(enum port_kind kind, bool (*turn)(uint32_t *turn))
{
	uint32_t port;
	int tries = 0;
	do {
		port = FIRST_PORT + count(turn) % (PORTS / 2) * 2 + (kind == PORT_OF_IPV6);
	} while (named_by_listen_rule(port) && ++tries < PORTS / 2);
	return (uint16_t)port;
}

bool ports_of_ipv4(uint32_t port)
{
	return port >= FIRST_PORT && port < FIRST_PORT + PORTS && port % 2 == 0;
}
