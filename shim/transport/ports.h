/* SPDX-License-Identifier: MIT */
/* The ports that we choose: for clients, so that both ends see the same 16-bit port (the kernel's own choice
 * has 32), and for bind() to port 0. 32768 to 60999, none that a listen rule names.
 *
 * They are counted, not drawn at random: when a server closes its end later than the client did, AF_VSOCK
 * (6.1 to 7.2, measured) sends one more RST, and whoever has the client's port by then reads EOF before what
 * was sent. So a port must not come back soon. The count is shared over fork(). A program's first client port
 * comes from a machine-wide counter if the transport has one, otherwise from the clock. Async-signal-safe;
 * errno is untouched. */
#ifndef IP2VSOCK_PORTS_H
#define IP2VSOCK_PORTS_H

#include "core/endpoint.h"

#include <stdbool.h>
#include <stdint.h>

void ports_start(void); /* once, at start */
/* Before a client's port is chosen: the first call decides where the program's ports begin. `counter`: its
 * transport's (transport.h). */
void ports_begin(bool (*counter)(uint32_t *value));

/* A client's port says whether it asked for an IPv4 or an IPv6 address, so that a server for both can show it
 * as TCP does. Of the ports that are chosen here, the even ones are IPv4's and the odd ones IPv6's. Any other
 * port is IPv4's: a program's own choice of a low port, and that of a client which knows nothing of this.
 * Where the program chose a port that would say the wrong thing, a mark says the right one (PORT_MARK_IPV4 in
 * core/endpoint.h). Ports below 1024 aren't marked: the kernel gives them to CAP_NET_BIND_SERVICE only, and
 * nobody may appear to have one. */
enum port_kind { PORT_OF_IPV4, PORT_OF_IPV6 };
static inline enum port_kind ports_kind(const struct address *asked)
{
	return address_is_ipv4(asked) ? PORT_OF_IPV4 : PORT_OF_IPV6;
}
/* How many of them are tried before the kernel chooses. */
enum { PORT_TRIES = 16 };
uint16_t ports_next(enum port_kind kind);
uint32_t ports_marked(uint16_t port, enum port_kind kind); /* the carrier's port for a program's choice */
bool ports_of_ipv4(uint32_t port);			   /* else it says IPv6 */

#endif
