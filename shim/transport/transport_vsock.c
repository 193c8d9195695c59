/* SPDX-License-Identifier: MIT */
/* AF_VSOCK as the kernel has it. */
#include "transport.h"

#include "system/errno.h"
#include "system/log.h"
#include "vsock_local.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

static int vsock_open(int flags, uint32_t buffer)
{
	int fd = libc.socket(AF_VSOCK, SOCK_STREAM | flags, 0); /* not IPPROTO_TCP: EPROTONOSUPPORT */
	if (fd < 0) {
		if (errno == EPERM || errno == EAFNOSUPPORT || errno == EACCES)
			log_error("socket(AF_VSOCK): ", log_errno(errno), ": 'ip2vsock --doctor' says why");
		if (errno == EAFNOSUPPORT)
			errno = ENETUNREACH;
		return -1;
	}
	/* The maximum first: a size above it is cut to it. Errors leave the kernel's default, which works. */
	uint64_t size = buffer;
	KEEP_ERRNO;
	libc.setsockopt(fd, AF_VSOCK, SO_VM_SOCKETS_BUFFER_MAX_SIZE, &size, sizeof size);
	libc.setsockopt(fd, AF_VSOCK, SO_VM_SOCKETS_BUFFER_SIZE, &size, sizeof size);
	return fd;
}

static void vsock_size(int fd, uint32_t buffer)
{
	(void)fd; /* as the listener's: __vsock_create(), Linux 3.9 to 6.18 */
	(void)buffer;
}

static void vsock_place(const struct endpoint *endpoint, struct place *place)
{
	struct sockaddr_vm address = {
		.svm_family = AF_VSOCK, .svm_cid = endpoint->cid, .svm_port = endpoint->port};
	memcpy(&place->sockaddr, &address, sizeof address);
	place->length = sizeof address;
}

static int vsock_bind(int fd, const struct place *place)
{
	return libc.bind(fd, (const struct sockaddr *)&place->sockaddr, place->length);
}

static int vsock_bind_client(int fd, uint32_t port, const struct endpoint *peer)
{
	struct place place;
	(void)peer;
	if (port == PORT_ANY)
		return 0; /* connect() will choose one */
	vsock_place(&(struct endpoint){CID_ANY, port}, &place);
	return vsock_bind(fd, &place);
}

/* The kernel's own choice of a port, which it counts for all of the machine: __vsock_bind_connectible(),
 * Linux 3.9 to 7.2. */
static bool vsock_counter(uint32_t *value)
{
	struct place place;
	struct sockaddr_vm address;
	socklen_t length = sizeof address;
	KEEP_ERRNO;
	int fd = libc.socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool known = false;
	if (fd >= 0) {
		vsock_place(&(struct endpoint){CID_ANY, PORT_ANY}, &place);
		known = vsock_bind(fd, &place) == 0 &&
			libc.getsockname(fd, (struct sockaddr *)&address, &length) == 0;
		libc.close(fd);
	}
	if (known)
		*value = address.svm_port;
	return known;
}

static int vsock_connect_error(int error)
{
	switch (error) {
	case ECONNRESET: /* nobody listens, or the backlog is full */
	case EPROTO:	 /* to itself */
		return ECONNREFUSED;
	case ENODEV: /* no transport reaches that CID */
		return EHOSTUNREACH;
	default:
		return error;
	}
}

/* A connection to CID 1 goes where this machine is, or nowhere: where nothing loops it, it would reach
 * whoever runs this machine. */
static bool find_local(struct sockaddr_vm *address)
{
	static _Atomic bool logged;
	if (address->svm_cid != CID_LOCAL)
		return true;
	address->svm_cid = vsock_local_cid();
	if (address->svm_cid != CID_ANY)
		return true;
	if (!atomic_exchange(&logged, true))
		log_error("CID 1 (local) isn't this machine, and a connection would leave it: refused");
	return false;
}

static int vsock_connect(int fd, const struct place *place, uint32_t timeout_ms)
{
	struct sockaddr_vm address;
	memcpy(&address, &place->sockaddr, sizeof address);
	if (!find_local(&address))
		return fail(EHOSTUNREACH);
	if (timeout_ms) {
		struct timeval limit = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};
		libc.setsockopt(fd, AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT, &limit, sizeof limit);
	}
	int result = libc.connect(fd, (const struct sockaddr *)&address, sizeof address);
	if (result < 0)
		errno = vsock_connect_error(errno);
	return result;
}

static void vsock_endpoint(const struct sockaddr *address, socklen_t length, struct endpoint *endpoint)
{
	struct sockaddr_vm vm = {.svm_cid = CID_ANY, .svm_port = PORT_ANY};
	memcpy(&vm, address, length < sizeof vm ? length : sizeof vm);
	*endpoint = (struct endpoint){vm.svm_cid, vm.svm_port};
}

static bool vsock_is_at(const struct sockaddr *name, socklen_t length, const struct place *place)
{
	struct endpoint is, wanted;
	vsock_endpoint(name, length, &is);
	vsock_endpoint((const struct sockaddr *)&place->sockaddr, place->length, &wanted);
	return is.cid == wanted.cid && is.port == wanted.port;
}

static uint32_t vsock_own_cid(uint32_t peer_cid)
{
	if (peer_cid == CID_LOCAL)
		return CID_LOCAL;
	unsigned cid = CID_ANY;
	KEEP_ERRNO;
	int device = open("/dev/vsock", O_RDONLY | O_CLOEXEC); /* often absent in a container */
	if (device >= 0) {
		libc.ioctl(device, IOCTL_VM_SOCKETS_GET_LOCAL_CID, &cid);
		libc.close(device);
	}
	return cid;
}

/* vsock_accept() sleeps until the next tick of the kernel's clock, 4 or 10 ms, even where nothing is to be
 * waited for: Linux 5.10.46 and 6.1.176 do, 6.12.113 and 7.2 don't. */
static bool vsock_has_client(int fd)
{
	struct pollfd listener = {.fd = fd, .events = POLLIN};
	KEEP_ERRNO;
#ifdef SYS_poll
	return libc.syscall(SYS_poll, (long)&listener, 1, 0, 0, 0, 0) != 0;
#else
	struct timespec now = {.tv_sec = 0};
	return libc.syscall(SYS_ppoll, (long)&listener, 1, (long)&now, 0, 0, 0) != 0;
#endif
}

const struct transport transport_vsock = {
	.name = "vsock",
	.family = AF_VSOCK,
	.address_size = sizeof(struct sockaddr_vm),
	.open = vsock_open,
	.size = vsock_size,
	.place = vsock_place,
	.bind = vsock_bind,
	.bind_client = vsock_bind_client,
	.counter = vsock_counter,
	.connect = vsock_connect,
	.connect_error = vsock_connect_error,
	.has_client = vsock_has_client,
	.endpoint = vsock_endpoint,
	.is_at = vsock_is_at,
	.is_local = vsock_is_local,
	.own_cid = vsock_own_cid,
};
