/* SPDX-License-Identifier: MIT */
/* The door of a listener: a second socket for this machine's own programs, where AF_VSOCK doesn't lead to the
 * machine itself (vsock_local.h). It is an abstract Unix socket that is named after the listener's port.
 * Nothing of it leaves the machine, nor the network namespace, to which such names belong. */
#ifndef IP2VSOCK_TRANSPORT_DOOR_H
#define IP2VSOCK_TRANSPORT_DOOR_H

#include "transport.h"

extern const struct transport transport_door;

/* Is this the name of a door, or of a client of one? */
bool transport_door_is_ours(const struct sockaddr *address, socklen_t length);

/* For a peer that has come by a door and says that it has this port: a low one is believed only of those who
 * could have it. errno is untouched. */
void transport_door_check(int fd, struct endpoint *peer);

#endif
