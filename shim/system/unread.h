/* SPDX-License-Identifier: MIT */
/* FIONREAD, also on kernels that don't have it for AF_VSOCK. Async-signal-safe. */
#ifndef IP2VSOCK_UNREAD_H
#define IP2VSOCK_UNREAD_H

/* How many bytes can be read from a connection, at most 64 MiB of them. It is exact: a program that gets 0 at
 * an edge never reads again. -1 with errno: nothing is there, or the kernel can't show it (MSG_PEEK before
 * Linux 5.5).
 */
int unread_bytes(int fd);

#endif
