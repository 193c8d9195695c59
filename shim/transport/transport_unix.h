/* SPDX-License-Identifier: MIT */
/* Unix sockets as a carrier: emulated CIDs (DIR/CID.PORT), and the paths of `unix:` targets. */
#ifndef IP2VSOCK_TRANSPORT_UNIX_H
#define IP2VSOCK_TRANSPORT_UNIX_H

#include "transport.h"

void transport_unix_start(const struct settings *settings);
/* The place of a `unix:` target's path (107 bytes at the most, which map.h promises). */
void transport_unix_path(const char *path, struct place *place);
/* Is this the name of an emulated endpoint, a client's or a server's? */
bool transport_unix_is_ours(const struct sockaddr *address, socklen_t length);
/* Low ports are for CAP_NET_BIND_SERVICE, as on AF_VSOCK and TCP; where TCP lets everybody have them
 * (containers), so does this. */
bool transport_unix_port_is_low(uint32_t port);
/* Makes fd what a TCP socket is whose connection attempt has just failed: readable, writable, hung up, in
 * error. Returns a new socket with `flags`, or -1. */
int transport_unix_refused(int flags);

/* What other Unix sockets have in common with these (transport.h). */
int transport_unix_open(int flags, uint32_t buffer);
void transport_unix_size(int fd, uint32_t buffer);
int transport_unix_connect(int fd, const struct place *place, uint32_t timeout_ms);
int transport_unix_connect_error(int error);
bool transport_unix_may_bind(uint32_t port); /* this process */

#endif
