/* SPDX-License-Identifier: MIT */
/* Bare vsock: what a program sees that uses AF_VSOCK where it used TCP and changes nothing else. Preloaded
 * into the cases, it makes their stream sockets AF_VSOCK and exchanges the addresses of loopback for CID 1,
 * no more. Its records are a column of the parity table; nothing compares them. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* The family that the program believes in, as each fd was made; 0: not ours. */
static unsigned char families[1024];

static int ours(int fd)
{
	int domain = 0;
	socklen_t length = sizeof(domain);
	return fd >= 0 && fd < 1024 && REAL(getsockopt)(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 &&
	       domain == AF_VSOCK;
}

static socklen_t to_vsock(struct sockaddr_vm *to, const struct sockaddr *from)
{
	const struct sockaddr_in *in = (const void *)from;
	*to = (struct sockaddr_vm){.svm_family = AF_VSOCK,
		.svm_cid = VMADDR_CID_LOCAL,
		.svm_port = in->sin_port ? ntohs(in->sin_port) : VMADDR_PORT_ANY};
	return sizeof(*to);
}

static int is_ip(const struct sockaddr *address, socklen_t length)
{
	return address && length >= sizeof(struct sockaddr_in) &&
	       (address->sa_family == AF_INET || address->sa_family == AF_INET6);
}

static void from_vsock(
	int fd, struct sockaddr *address, socklen_t *length, socklen_t size, const struct sockaddr_vm *vm)
{
	struct sockaddr_in in = {.sin_family = AF_INET,
		.sin_port = htons(vm->svm_port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_in6 in6 = {
		.sin6_family = AF_INET6, .sin6_port = in.sin_port, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	const void *shown = families[fd] == AF_INET6 ? (void *)&in6 : (void *)&in;
	socklen_t whole = families[fd] == AF_INET6 ? sizeof(in6) : sizeof(in);
	memcpy(address, shown, whole < size ? whole : size);
	*length = whole;
}

int socket(int family, int type, int protocol)
{
	if ((family != AF_INET && family != AF_INET6) || (type & 0xf) != SOCK_STREAM)
		return REAL(socket)(family, type, protocol);
	int fd = REAL(socket)(AF_VSOCK, type, protocol);
	if (fd >= 0 && fd < 1024)
		families[fd] = family;
	return fd;
}

/* Port 0 becomes one of 16 bits: the kernel's own choice has 32 and no case could connect to what it would
 * read. */
int bind(int fd, const struct sockaddr *address, socklen_t length)
{
	static unsigned next;
	struct sockaddr_vm vm;
	if (!ours(fd) || !is_ip(address, length))
		return REAL(bind)(fd, address, length);
	length = to_vsock(&vm, address);
	if (vm.svm_port != VMADDR_PORT_ANY)
		return REAL(bind)(fd, (void *)&vm, length);
	for (int tries = 0; tries < 1000; tries++) {
		vm.svm_port = 32768 + (getpid() * 61 + next++) % 28000;
		int value = REAL(bind)(fd, (void *)&vm, length);
		if (value == 0 || errno != EADDRINUSE)
			return value;
	}
	return -1;
}

int connect(int fd, const struct sockaddr *address, socklen_t length)
{
	struct sockaddr_vm vm;
	if (!ours(fd) || !is_ip(address, length))
		return REAL(connect)(fd, address, length);
	length = to_vsock(&vm, address);
	return REAL(connect)(fd, (void *)&vm, length);
}

ssize_t sendto(
	int fd, const void *data, size_t size, int flags, const struct sockaddr *address, socklen_t length)
{
	struct sockaddr_vm vm;
	if (!ours(fd) || !is_ip(address, length))
		return REAL(sendto)(fd, data, size, flags, address, length);
	length = to_vsock(&vm, address);
	return REAL(sendto)(fd, data, size, flags, (void *)&vm, length);
}

static int name(
	int (*real)(int, struct sockaddr *, socklen_t *), int fd, struct sockaddr *address, socklen_t *length)
{
	struct sockaddr_vm vm;
	socklen_t size = sizeof(vm), room = length ? *length : 0;
	if (!ours(fd) || !address || !length)
		return real(fd, address, length);
	int value = real(fd, (void *)&vm, &size);
	if (value == 0)
		from_vsock(fd, address, length, room, &vm);
	return value;
}

int getsockname(int fd, struct sockaddr *restrict address, socklen_t *restrict length)
{
	return name(REAL(getsockname), fd, address, length);
}

int getpeername(int fd, struct sockaddr *restrict address, socklen_t *restrict length)
{
	return name(REAL(getpeername), fd, address, length);
}

int accept4(int fd, struct sockaddr *restrict address, socklen_t *restrict length, int flags)
{
	struct sockaddr_vm vm;
	socklen_t size = sizeof(vm), room = length ? *length : 0;
	if (!ours(fd) || !address || !length)
		return REAL(accept4)(fd, address, length, flags);
	int got = REAL(accept4)(fd, (void *)&vm, &size, flags);
	if (got >= 0 && got < 1024) {
		families[got] = families[fd];
		from_vsock(fd, address, length, room, &vm);
	}
	return got;
}

int accept(int fd, struct sockaddr *restrict address, socklen_t *restrict length)
{
	return accept4(fd, address, length, 0);
}
