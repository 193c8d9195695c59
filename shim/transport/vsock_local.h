/* SPDX-License-Identifier: MIT */
/* The way of a machine's AF_VSOCK to itself.
 *
 * Since Linux 5.6 the module vsock_loopback loops CID 1, which can then be bound to. Before, the virtio
 * transport of a guest loops its own CID, and takes CID 1 for the host's like any other: such a connection
 * would leave the machine, as it would on newer kernels without that module. (net/vmw_vsock:
 * virtio_transport.c of 4.14, af_vsock.c of 5.6 to 6.18; seen on 4.14 and 6.1.) All are async-signal-safe;
 * errno is untouched. */
#ifndef IP2VSOCK_VSOCK_LOCAL_H
#define IP2VSOCK_VSOCK_LOCAL_H

#include <stdbool.h>
#include <stdint.h>

/* The CID by which this machine reaches itself: CID_LOCAL, its own, or CID_ANY: there is no way, or none that
 * is known since /dev/vsock is absent. */
uint32_t vsock_local_cid(void);

/* Is there no way? Then a listener has a door for this machine's programs (transport_door.h), and they go
 * there. false also where it can't be asked: what is tried then says why. */
bool vsock_needs_door(void);

/* Is a peer with that CID this machine? Its own CID means that only where the kernel loops it: elsewhere
 * nobody has it but who runs this machine and pretends. */
bool vsock_is_local(uint32_t cid);

#endif
