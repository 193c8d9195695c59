/* SPDX-License-Identifier: MIT */
#include "ports.h"

#include "core/endpoint.h"
#include "core/shim.h"
#include "system/clock.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>

/* No program starts and ends in less. */
enum { APART_NS = 20000 };
enum { FIRST_PORT = 32768, PORTS = 61000 - FIRST_PORT }; /* net.ipv4.ip_local_port_range */
/* From where one program begins to where the next one does, near the golden section of the ring: the last N,
 * up to 2000, are 4500 / N clients apart at least, and no place comes twice before all were had. */
enum { RING = PORTS / 2, STEP = 8897 };

/* Shared with the processes that this one forks. */
static struct counts {
	_Atomic uint32_t next;
	_Atomic bool begun; /* among the machine's programs */
} own, *counts = &own;

void ports_start(void)
{
	void *shared = mmap(NULL, sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared != MAP_FAILED)
		counts = shared;
	atomic_store(&counts->next, (uint32_t)(now_ns() / APART_NS % RING) * STEP);
}

void ports_begin(bool (*counter)(uint32_t *value))
{
	uint32_t value;
	if (!atomic_exchange(&counts->begun, true) && counter(&value))
		atomic_store(&counts->next, value % RING * STEP);
}

/* Listen rules name few ports or ranges, or all: those can't be kept free. */
static bool named_by_listen_rule(uint32_t port)
{
	uint16_t tcp;
	return shim.map && map_listener(shim.map, port, RING, &tcp);
}

uint16_t ports_next(enum port_kind kind)
{
	uint32_t port;
	int tries = 0;
	do {
		uint32_t place = atomic_fetch_add(&counts->next, 1) % RING;
		port = FIRST_PORT + place * 2 + (kind == PORT_OF_IPV6);
	} while (named_by_listen_rule(port) && ++tries < RING);
	return (uint16_t)port;
}

uint32_t ports_marked(uint16_t port, enum port_kind kind)
{
	if (port < PORT_MARK_LEAST || ports_of_ipv4(port) == (kind == PORT_OF_IPV4))
		return port;
	return (uint32_t)(kind == PORT_OF_IPV4 ? PORT_MARK_IPV4 : PORT_MARK_IPV6) << 16 | port;
}

bool ports_of_ipv4(uint32_t port)
{
	bool chosen_here = port >= FIRST_PORT && port < FIRST_PORT + PORTS;
	return !port_is_marked(port, PORT_MARK_IPV6) && !(chosen_here && port % 2);
}
