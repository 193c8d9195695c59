/* SPDX-License-Identifier: MIT */
/* accept(), getpeername() and getsockname() on a kernel that reports any peer: the table of libc's functions
 * is replaced, so there is no system call. What holds:
 *
 *  - only a peer that allow= names gets in, and what was accepted and isn't let in is closed;
 *  - only the local CID is shown as loopback, and the port is the peer's;
 *  - addresses are returned as the kernel returns them: with the whole length, and nothing written beyond the
 * room;
 *  - getpeername() says what accept() said, in this program and in one that inherits the socket.
 *
 * The input: flags, the room for an address, the mark that an inherited socket has, and the peers' addresses,
 * each with its length before it. */
// sources: shim/core/*.c shim/system/*.c shim/transport/*.c shim/state/*.c
// sources: shim/socket/*.c shim/resolver/resolve.c
// length: 160
// executions: 300000
#include "core/shim.h"
#include "socket/stream.h"
#include "system/libc.h"
#include "transport/transport_unix.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

int LLVMFuzzerInitialize(int *count, char ***arguments);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

enum { LISTENER = 10, ACCEPTED = 20, ALLOWED = 3, PORT = 8080 };

/* ---- the kernel ---- */

static struct kernel {
	const uint8_t *at, *end; /* peers that are still to come */
	struct sockaddr_storage peer;
	socklen_t peer_length;
	int family; /* the carrier's */
	int open, closed;
	uint32_t mark[2]; /* what SO_MAX_PACING_RATE and SO_INCOMING_CPU hold */
	bool marked;
} kernel;

static int give_address(const void *from, socklen_t size, struct sockaddr *address, socklen_t *length)
{
	memcpy(address, from, *length < size ? *length : size);
	*length = size;
	return 0;
}

static int fake_accept4(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
	(void)flags;
	assert(fd == LISTENER);
	if (kernel.end - kernel.at < 1) {
		errno = EAGAIN;
		return -1;
	}
	size_t size = *kernel.at++ % (sizeof(struct sockaddr_un) + 1),
	       there = (size_t)(kernel.end - kernel.at);
	sa_family_t family = (sa_family_t)kernel.family;
	if (kernel.family == AF_VSOCK || size < sizeof family)
		size = kernel.family == AF_VSOCK ? sizeof(struct sockaddr_vm) : sizeof family;
	memset(&kernel.peer, 0, sizeof kernel.peer);
	memcpy(&kernel.peer, kernel.at, there < size ? there : size);
	memcpy(&kernel.peer, &family, sizeof family);
	kernel.at += there < size ? there : size;
	kernel.peer_length = (socklen_t)size;
	if (address)
		give_address(&kernel.peer, kernel.peer_length, address, length);
	return ACCEPTED + kernel.open++;
}

static int fake_close(int fd)
{
	if (fd < LISTENER) /* /dev/vsock, which was asked for this machine's CID */
		return close(fd);
	assert(fd == ACCEPTED + kernel.open - 1);
	kernel.closed++;
	return 0;
}

static int fake_getpeername(int fd, struct sockaddr *address, socklen_t *length)
{
	assert(fd >= ACCEPTED);
	return give_address(&kernel.peer, kernel.peer_length, address, length);
}

static int fake_getsockname(int fd, struct sockaddr *address, socklen_t *length)
{
	(void)fd;
	if (kernel.family == AF_VSOCK) {
		struct sockaddr_vm own = {.svm_family = AF_VSOCK, .svm_cid = 16, .svm_port = PORT};
		return give_address(&own, sizeof own, address, length);
	}
	struct sockaddr_un own = {.sun_family = AF_UNIX, .sun_path = "/emulated/16.8080"};
	return give_address(&own, sizeof own, address, length);
}

static int fake_getsockopt(int fd, int level, int name, void *value, socklen_t *length)
{
	int number = 0;
	(void)fd;
	if (level == SOL_SOCKET && name == SO_MAX_PACING_RATE)
		number = kernel.marked ? (int)kernel.mark[0] : -1;
	else if (level == SOL_SOCKET && name == SO_INCOMING_CPU)
		number = kernel.marked ? (int)kernel.mark[1] : -1;
	else if (level == SOL_SOCKET && name == SO_DOMAIN)
		number = kernel.family;
	else if (level == SOL_SOCKET && name == SO_TYPE)
		number = SOCK_STREAM;
	give_address(&number, sizeof number, value, length);
	return 0;
}

static int fake_setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
	(void)fd;
	if (level == SOL_SOCKET && (name == SO_MAX_PACING_RATE || name == SO_INCOMING_CPU) &&
		length == sizeof *kernel.mark)
		memcpy(&kernel.mark[name == SO_INCOMING_CPU], value, length);
	return 0;
}

static int fake_fcntl(int fd, int command, void *argument)
{
	(void)fd;
	(void)argument;
	return command == F_GETFL ? O_RDWR : 0;
}

static int fake_poll(struct pollfd *fds, nfds_t count, int timeout)
{
	(void)fds;
	(void)count;
	(void)timeout;
	return 0;
}

/* poll(), for the listener: does a peer wait? */
static long fake_syscall(long number, long a, long b, long c, long d, long e, long f)
{
	(void)number;
	(void)a, (void)b, (void)c, (void)d, (void)e, (void)f;
	return kernel.at < kernel.end;
}

static int fake_ioctl(int fd, unsigned long request, void *argument)
{
	(void)fd;
	(void)argument;
	assert(request == IOCTL_VM_SOCKETS_GET_LOCAL_CID);
	*(unsigned *)argument = 16;
	return 0;
}

/* ---- the program ---- */

static void *memory(void *context, size_t size)
{
	(void)context;
	return calloc(1, size);
}

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
	static const char rules[] = "listen *:8080=any:8080 allow=3,listen 127.0.0.1:8081=any:8080,"
				    "listen localhost:*=any:*,far:1-5=3:1-5";
	static const struct map_source source = {memory, NULL, NULL};
	struct map_error error;
	(void)count;
	(void)arguments;
	shim.ranges = ranges_default;
	shim.emulated = "/emulated";
	shim.cid = 16;
	shim.follow = true;
	shim.map = map_build("rules", rules, sizeof rules - 1, &ranges_default, &source, &error);
	assert(shim.map);
	libc = (struct libc){.accept4 = fake_accept4,
		.close = fake_close,
		.getpeername = fake_getpeername,
		.getsockname = fake_getsockname,
		.getsockopt = fake_getsockopt,
		.setsockopt = fake_setsockopt,
		.fcntl = fake_fcntl,
		.poll = fake_poll,
		.syscall = fake_syscall,
		.ioctl = fake_ioctl};
	transport_unix_start(&shim);
	return 0;
}

/* The endpoint of the last peer, read in another way than the library's. */
static struct endpoint peer_endpoint(void)
{
	struct endpoint endpoint = {CID_LOCAL, PORT_ANY};
	if (kernel.family == AF_VSOCK) {
		const struct sockaddr_vm *vm = (const struct sockaddr_vm *)&kernel.peer;
		return (struct endpoint){vm->svm_cid, vm->svm_port};
	}
	char path[sizeof(struct sockaddr_un) + 1] = "", *at = path;
	size_t size = kernel.peer_length - sizeof(sa_family_t);
	memcpy(path, ((const struct sockaddr_un *)&kernel.peer)->sun_path, size);
	if (memcmp(path, "\0ip2vsock/", 10) == 0 && size > 10)
		at += 10;
	else if (strncmp(path, "/emulated/", 10) == 0)
		at += path[10] == '.' ? 11 : 10;
	else
		return endpoint;
	uint64_t numbers[2];
	for (int i = 0; i < 2; i++) {
		size_t digits = strspn(at, "0123456789");
		while (digits > 1 && *at == '0') {
			at++;
			digits--;
		}
		numbers[i] = digits && digits <= 10 ? strtoull(at, NULL, 10) : UINT64_MAX;
		if (numbers[i] > UINT32_MAX || (i == 0 && at[digits] != '.'))
			return endpoint;
		at += digits + 1;
	}
	return (struct endpoint){(uint32_t)numbers[0], (uint32_t)numbers[1]};
}

static void listen_as(unsigned flags)
{
	static const uint8_t names[4][16] = {
		{[10] = 0xff, 0xff}, {0}, {[10] = 0xff, 0xff, 127, 0, 0, 1}, {[15] = 1}};
	unsigned name = flags & 3;
	int family = flags & 8 || name == 1 || name == 3 ? AF_INET6 : AF_INET;
	struct sock *sock = fd_open(LISTENER, family);
	assert(sock);
	sock->transport = kernel.family == AF_VSOCK ? &transport_vsock : &transport_unix;
	sock->rule = map_rule(shim.map, flags & 16 ? 0 : 1);
	sock->local = (struct endpoint){CID_ANY, PORT};
	memcpy(sock->claim.name.ip, names[name], sizeof names[name]);
	sock->claim.name.port = PORT;
	sock->claim.bound = true;
	sock->shares = flags & 32;
	if (flags & 64 && family == AF_INET6)
		options_remember(&sock->options, IPPROTO_IPV6, IPV6_V6ONLY, &(int){1}, sizeof(int));
	atomic_store(&sock->state, STATE_LISTENING);
}

/* What both calls give: a sockaddr of a TCP socket, cut to the room. */
static struct address check_returned(const uint8_t *returned, socklen_t room, socklen_t length, size_t size)
{
	struct address address = {.port = 0};
	assert(length == sizeof(struct sockaddr_in) || length == sizeof(struct sockaddr_in6));
	for (size_t i = room < length ? room : length; i < size; i++)
		assert(returned[i] == 0xaa || kernel.family == AF_VSOCK); /* see accept_peer() */
	for (size_t i = room; i < size; i++)
		assert(returned[i] == 0xaa);
	if (room >= length)
		assert(address_from_sockaddr(&address, (const struct sockaddr *)returned, length));
	return address;
}

static void check_peer(int fd, struct sock *sock, const struct endpoint *peer, bool marked)
{
	struct sockaddr_storage storage;
	struct address address;
	socklen_t length = sizeof storage;
	assert(stream_peer(fd, sock, (struct sockaddr *)&storage, &length) == 0);
	assert(address_from_sockaddr(&address, (struct sockaddr *)&storage, length));
	assert(storage.ss_family == sock->family);
	if (!marked)
		assert(address_is_loopback(&address) == (peer->cid == CID_LOCAL));
	if (!marked && peer->port <= UINT16_MAX)
		assert(address.port == peer->port);
	length = sizeof storage;
	assert(stream_name(fd, sock, (struct sockaddr *)&storage, &length) == 0);
	assert(storage.ss_family == sock->family);
}

static void inherit(int fd, const struct endpoint *peer)
{
	fd_forget(fd);
	struct sock *sock = stream_of(fd);
	assert(sock && sock->transport->family == kernel.family);
	check_peer(fd, sock, peer, !sock->accepted && kernel.marked);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	enum { HEAD = 10, ROOM = 64 };
	uint8_t returned[ROOM];
	if (length < HEAD)
		return 0;
	unsigned flags = data[0];
	bool nowhere = data[1] & 0x80;
	const socklen_t room = data[1] % ROOM;
	kernel = (struct kernel){.at = data + HEAD, .end = data + length};
	kernel.family = flags & 4 ? AF_VSOCK : AF_UNIX;
	kernel.marked = flags & 128;
	listen_as(flags);
	struct sock *listener = fd_sock(LISTENER);
	const struct rule *rule = listener->rule;

	memset(returned, 0xaa, sizeof returned);
	socklen_t size = room;
	errno = 0;
	int fd = stream_accept(
		LISTENER, listener, nowhere ? NULL : (struct sockaddr *)returned, nowhere ? NULL : &size, 0);
	assert(kernel.open - kernel.closed == (fd >= 0));
	if (fd < 0) {
		assert(errno == EAGAIN && kernel.at == kernel.end);
	} else {
		struct endpoint peer = peer_endpoint();
		struct sock *sock = fd_sock(fd);
		assert(sock && sock->accepted && sock->peer.cid == peer.cid && sock->peer.port == peer.port);
		assert(!rule->allow_count || peer.cid == ALLOWED);
		if (!nowhere) {
			struct address address = check_returned(returned, room, size, sizeof returned);
			assert(memcmp(address.ip, sock->asked.ip, sizeof address.ip) == 0 || room < size);
		}
		check_peer(fd, sock, &peer, false);
		memcpy(kernel.mark, data + 2, sizeof kernel.mark);
		inherit(fd, &peer);
		fd_forget(fd);
	}
	fd_forget(LISTENER);
	return 0;
}
