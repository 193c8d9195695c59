/* SPDX-License-Identifier: MIT */
/* Preloaded behind the library, this answers for a kernel whose AF_VSOCK leads to other machines alone: CID 1
 * can't be bound to, as where the module vsock_loopback is missing. Whatever goes to CID 1 or to this
 * machine's own CID would leave the machine, so it ends the program, and leaves a line in UNLOOPED_LEFT. */
#define _GNU_SOURCE
#include "../../next.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int cid_of(const struct sockaddr *address, socklen_t length)
{
	struct sockaddr_vm vm;
	if (!address || length < sizeof vm || address->sa_family != AF_VSOCK)
		return 0;
	memcpy(&vm, address, sizeof vm);
	return (int)vm.svm_cid;
}

int bind(int fd, const struct sockaddr *address, socklen_t length)
{
	if (cid_of(address, length) == VMADDR_CID_LOCAL) {
		errno = EADDRNOTAVAIL;
		return -1;
	}
	return NEXT(bind)(fd, address, length);
}

int connect(int fd, const struct sockaddr *address, socklen_t length)
{
	const char *path = getenv("UNLOOPED_LEFT");
	if (cid_of(address, length) == VMADDR_CID_LOCAL) {
		int left = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666) : -1;
		dprintf(left < 0 ? STDERR_FILENO : left, "a connection to CID 1 left the machine\n");
		abort();
	}
	return NEXT(connect)(fd, address, length);
}
