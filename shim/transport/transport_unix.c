/* SPDX-License-Identifier: MIT */
/* Servers are bound to DIR/CID.PORT. Clients are bound to an abstract name that says who they are,
 * "\0ip2vsock/CID.PORT/…", so that both ends see true addresses; abstract names end with their socket, so
 * nothing is left behind. A server's file stays when it ends (whoever binds next replaces it), as unlinking
 * one could unlink a successor's. */
#include "transport_unix.h"

#include "core/text.h"
#include "system/errno.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

static const char CLIENT[] = "ip2vsock/"; /* behind the NUL that makes the name abstract */

enum { TIMEOUT_MS = 2000 }; /* of a `unix:` target, as AF_VSOCK's */

static const char *directory;
static uint32_t own = CID_LOCAL;

static int unix_bind_client(int fd, uint32_t port, const struct endpoint *peer);

void transport_unix_start(const struct settings *settings)
{
	directory = settings->emulated;
	own = settings->cid;
}

static void add_endpoint(struct text *text, uint32_t cid, uint32_t port)
{
	text_add_number(text, cid);
	text_add(text, ".");
	text_add_number(text, port);
}

static const char *get_number(const char *at, const char *end, uint32_t *number)
{
	uint64_t value = 0;
	const char *start = at;
	while (at < end && *at >= '0' && *at <= '9' && value <= UINT32_MAX)
		value = value * 10 + (uint64_t)(*at++ - '0');
	*number = (uint32_t)value;
	return at > start && value <= UINT32_MAX ? at : NULL;
}

static bool get_endpoint(const char *at, const char *end, struct endpoint *endpoint)
{
	at = get_number(at, end, &endpoint->cid);
	return at && at < end && *at == '.' && get_number(at + 1, end, &endpoint->port);
}

void transport_unix_size(int fd, uint32_t buffer)
{
	KEEP_ERRNO;
	int size = (int)(buffer / 2); /* the kernel doubles it */
	libc.setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

int transport_unix_open(int flags, uint32_t buffer)
{
	int fd = libc.socket(AF_UNIX, SOCK_STREAM | flags, 0);
	if (fd >= 0)
		transport_unix_size(fd, buffer);
	return fd;
}

void transport_unix_path(const char *path, struct place *place)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length = strlen(path);
	memcpy(address.sun_path, path, length);
	memcpy(&place->sockaddr, &address, sizeof address);
	place->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1);
}

static void unix_place(const struct endpoint *endpoint, struct place *place)
{
	char path[sizeof((struct sockaddr_un *)0)->sun_path];
	struct text text = text_in(path, sizeof path);
	/* To itself an end is local, whatever its number. */
	uint32_t cid = endpoint->cid == CID_LOCAL || endpoint->cid == CID_ANY ? own : endpoint->cid;
	text_add(&text, directory);
	text_add(&text, "/");
	add_endpoint(&text, cid, endpoint->port);
	transport_unix_path(path, place);
}

bool transport_unix_is_ours(const struct sockaddr *address, socklen_t length)
{
	if (!directory || address->sa_family != AF_UNIX ||
		length <= offsetof(struct sockaddr_un, sun_path) + 1)
		return false;
	const char *path = ((const struct sockaddr_un *)address)->sun_path;
	size_t size = length - offsetof(struct sockaddr_un, sun_path), prefix = strlen(directory);
	if (path[0] == '\0')
		return size > sizeof CLIENT && memcmp(path + 1, CLIENT, sizeof CLIENT - 1) == 0;
	return size > prefix && memcmp(path, directory, prefix) == 0 && path[prefix] == '/';
}

static void unix_endpoint(const struct sockaddr *address, socklen_t length, struct endpoint *endpoint)
{
	const char *path = ((const struct sockaddr_un *)address)->sun_path;
	const char *end = (const char *)address + length;
	const char *at = NULL;
	*endpoint = (struct endpoint){CID_LOCAL, PORT_ANY};
	if (length <= offsetof(struct sockaddr_un, sun_path))
		return; /* a client of another kind, which has no name */
	if (path[0] == '\0' && transport_unix_is_ours(address, length))
		at = path + sizeof CLIENT;
	else if (transport_unix_is_ours(address, length) && path + strlen(directory) + 1 < end)
		at = path + strlen(directory) + 1 + (path[strlen(directory) + 1] == '.');
	struct endpoint named;
	if (at && get_endpoint(at, end, &named))
		*endpoint = named;
}

/* By that path, or beside a stale file there (bind_over()): ".NAME.PID". */
static bool unix_is_at(const struct sockaddr *name, socklen_t length, const struct place *place)
{
	const char *is = ((const struct sockaddr_un *)name)->sun_path;
	const char *wanted = ((const struct sockaddr_un *)&place->sockaddr)->sun_path;
	if (length <= offsetof(struct sockaddr_un, sun_path) || !*is)
		return false;
	if (strcmp(is, wanted) == 0)
		return true;
	const char *base = strrchr(wanted, '/') + 1;
	size_t parent = (size_t)(base - wanted), size = strlen(base);
	return strncmp(is, wanted, parent) == 0 && is[parent] == '.' &&
	       strncmp(is + parent + 1, base, size) == 0 && is[parent + 1 + size] == '.';
}

/* A socket file whose socket is gone refuses; one in use, of another type than SOCK_DGRAM, is EPROTOTYPE
 * (Linux 5.10 to 6.18); asking so wakes no accept(). */
static bool stale(const struct place *place)
{
	struct stat file; /* what isn't a socket refuses too */
	if (lstat(((const struct sockaddr_un *)&place->sockaddr)->sun_path, &file) < 0 ||
		!S_ISSOCK(file.st_mode))
		return false;
	int probe = libc.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (probe < 0)
		return false;
	bool dead = libc.connect(probe, (const struct sockaddr *)&place->sockaddr, place->length) < 0 &&
		    errno == ECONNREFUSED;
	libc.close(probe);
	return dead;
}

/* Ports belong to no user; who may connect is the directory's permissions' to say. Where that fails, others
 * can't. Whoever may write there may have put something else in the socket's place by now, so chmod() by name
 * could hit any file. */
static void open_to_all(const struct place *place)
{
	KEEP_ERRNO;
	char link[32];
	struct text text = text_in(link, sizeof link);
	struct stat file;
	int fd = open(
		((const struct sockaddr_un *)&place->sockaddr)->sun_path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0 && fstat(fd, &file) == 0 && S_ISSOCK(file.st_mode)) {
		text_add(&text, "/proc/self/fd/");
		text_add_number(&text, (uint64_t)fd);
		chmod(link, 0666);
	}
	if (fd >= 0)
		libc.close(fd);
}

/* Binds beside a stale file, as ".NAME.PID", and moves that over it: there is no moment without a file. The
 * kernel goes on naming the socket as it was bound, so the name must hold the endpoint, too. */
static int bind_over(int fd, const struct place *place)
{
	const struct sockaddr_un *wanted = (const struct sockaddr_un *)&place->sockaddr;
	char unique[sizeof wanted->sun_path];
	struct text text = text_in(unique, sizeof unique);
	const char *name = strrchr(wanted->sun_path, '/') + 1;
	text_add_bytes(&text, wanted->sun_path, (size_t)(name - wanted->sun_path));
	text_add(&text, ".");
	text_add(&text, name);
	text_add(&text, ".");
	text_add_number(&text, (uint64_t)getpid());
	if (text.cut) { /* no room for that */
		if (unlink(wanted->sun_path) < 0)
			return -1;
		if (libc.bind(fd, (const struct sockaddr *)wanted, place->length) < 0)
			return -1;
		open_to_all(place);
		return 0;
	}
	struct place beside;
	transport_unix_path(unique, &beside);
	unlink(unique);
	if (libc.bind(fd, (struct sockaddr *)&beside.sockaddr, beside.length) < 0)
		return -1;
	open_to_all(&beside);
	if (rename(unique, wanted->sun_path) == 0)
		return 0;
	KEEP_ERRNO;
	unlink(unique);
	return -1;
}

/* Two that find the same stale file mustn't both replace it: the first would serve nobody. So they take
 * turns, by a lock on the directory, which ends with whoever held it. -1: the directory can't be opened, or
 * somebody keeps it locked. */
static int take_lock(const struct place *place)
{
	enum { TURNS_MS = 1000 };
	struct place parent = *place;
	char *path = ((struct sockaddr_un *)&parent.sockaddr)->sun_path;
	strrchr(path, '/')[1] = '\0';
	int directory_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (directory_fd < 0)
		return -1;
	for (int i = 0; flock(directory_fd, LOCK_EX | LOCK_NB) < 0; i++) {
		if (i == TURNS_MS || errno != EWOULDBLOCK) {
			libc.close(directory_fd);
			return fail(EADDRINUSE);
		}
		libc.poll(NULL, 0, 1);
	}
	return directory_fd;
}

static int replace_stale(int fd, const struct place *place)
{
	int lock = take_lock(place), result = -1;
	if (lock < 0 && errno != EACCES)
		return -1;
	if (stale(place))
		result = bind_over(fd, place);
	else
		errno = EADDRINUSE;
	if (errno == EPERM) /* the directory is sticky, and the file another user's */
		errno = EACCES;
	KEEP_ERRNO;
	if (lock >= 0) {
		flock(lock, LOCK_UN); /* a child of fork() may hold it too */
		libc.close(lock);
	}
	return result;
}

static bool has_the_capability(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{0}};
	libc.syscall(SYS_capget, (long)&header, (long)data, 0, 0, 0, 0);
	return data[0].effective & 1u << CAP_NET_BIND_SERVICE;
}

bool transport_unix_port_is_low(uint32_t port)
{
	char text[12] = "1024";
	int setting = port < 1024
			      ? open("/proc/sys/net/ipv4/ip_unprivileged_port_start", O_RDONLY | O_CLOEXEC)
			      : -1;
	if (setting >= 0) {
		ssize_t got = libc.read(setting, text, sizeof text - 1);
		text[got > 0 ? got : 0] = '\0';
		libc.close(setting);
	}
	return port < (uint32_t)atoi(text);
}

bool transport_unix_may_bind(uint32_t port)
{
	return port >= 1024 || has_the_capability() || !transport_unix_port_is_low(port);
}

static int unix_bind(int fd, const struct place *place)
{
	struct endpoint endpoint;
	unix_endpoint((const struct sockaddr *)&place->sockaddr, place->length, &endpoint);
	if (!transport_unix_may_bind(endpoint.port))
		return fail(EACCES);
	if (libc.bind(fd, (const struct sockaddr *)&place->sockaddr, place->length) == 0) {
		open_to_all(place);
		return 0;
	}
	if (errno == ENOENT || errno == ENOTDIR || errno == EROFS)
		errno = EADDRNOTAVAIL; /* no such directory */
	if (errno != EADDRINUSE)
		return -1;
	if (!stale(place))
		return fail(EADDRINUSE);
	return replace_stale(fd, place);
}

/* Some 30000 clients at once have taken all ports of 16 bits. */
static int bind_client_above(int fd, const struct endpoint *peer)
{
	enum { TRIES = 64, PORTS_OF_A_PROCESS = 1 << 15 };
	static _Atomic uint32_t counter;
	for (int i = 0; i < TRIES; i++) {
		uint32_t count = atomic_fetch_add(&counter, 1) % PORTS_OF_A_PROCESS;
		uint32_t port = (uint32_t)getpid() * PORTS_OF_A_PROCESS + count;
		port = port % (PORT_ANY - UINT16_MAX - 1) + UINT16_MAX + 1;
		if (unix_bind_client(fd, port, peer) == 0)
			return 0;
	}
	return -1;
}

static int unix_bind_client(int fd, uint32_t port, const struct endpoint *peer)
{
	if (port == PORT_ANY)
		return bind_client_above(fd, peer);
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	bool local = peer->cid == CID_LOCAL || peer->cid == own;
	struct text name = text_in(address.sun_path + 1, sizeof address.sun_path - 1);
	text_add(&name, CLIENT);
	add_endpoint(&name, local ? CID_LOCAL : own, port);
	/* Names belong to the whole network namespace, CIDs to a directory: the directory's name keeps two of
	 * them apart. */
	uint32_t hash = 2166136261u;
	for (const char *c = directory ? directory : ""; *c; c++)
		hash = (hash ^ (uint8_t)*c) * 16777619u;
	text_add(&name, "/");
	add_endpoint(&name, hash, own);
	return libc.bind(fd, (struct sockaddr *)&address,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + name.length));
}

int transport_unix_connect_error(int error)
{
	switch (error) {
	case ENOENT: /* nobody was ever bound there */
	case ENOTSOCK:
	case EPROTOTYPE:
		return ECONNREFUSED;
	case EAGAIN: /* the backlog is full, and there's no way to wait for it */
		return ETIMEDOUT;
	case ENOTDIR:
	case ELOOP:
		return EHOSTUNREACH;
	default:
		return error;
	}
}

/* An attempt ends at once, or waits for a place in the backlog, which SO_SNDTIMEO limits: the program's, or
 * the rule's. */
int transport_unix_connect(int fd, const struct place *place, uint32_t timeout_ms)
{
	struct timeval of_program, limit = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};
	socklen_t length = sizeof of_program;
	bool limited = timeout_ms && libc.getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &of_program, &length) == 0;
	if (limited)
		libc.setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
	int result = libc.connect(fd, (const struct sockaddr *)&place->sockaddr, place->length);
	if (result < 0)
		errno = transport_unix_connect_error(errno);
	KEEP_ERRNO;
	if (limited)
		libc.setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &of_program, sizeof of_program);
	return result;
}

/* The servers of emulated CIDs have the largest backlog, so a limit that isn't asked for needn't cost two
 * calls there. */
static int unix_connect(int fd, const struct place *place, uint32_t timeout_ms)
{
	if (!timeout_ms && !transport_unix_is_ours((const struct sockaddr *)&place->sockaddr, place->length))
		timeout_ms = TIMEOUT_MS;
	return transport_unix_connect(fd, place, timeout_ms);
}

static uint32_t unix_own_cid(uint32_t peer_cid)
{
	return peer_cid == CID_LOCAL || peer_cid == own ? CID_LOCAL : own;
}

int transport_unix_refused(int flags)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | flags, 0, pair) < 0)
		return -1;
	/* An end that closes with unread data resets the other: IN OUT ERR HUP RDHUP, as TCP after a refusal.
	 */
	ssize_t sent = libc.sendto(pair[0], "", 1, MSG_NOSIGNAL, NULL, 0);
	(void)sent;
	libc.close(pair[1]);
	return pair[0];
}

const struct transport transport_unix = {
	.name = "unix",
	.family = AF_UNIX,
	.address_size = sizeof(struct sockaddr_un),
	.hangs_up_early = true,
	.passes_fds = true,
	.shutdown_wakes_accept = true,
	.open = transport_unix_open,
	.size = transport_unix_size,
	.place = unix_place,
	.bind = unix_bind,
	.bind_client = unix_bind_client,
	.connect = unix_connect,
	.connect_error = transport_unix_connect_error,
	.endpoint = unix_endpoint,
	.is_at = unix_is_at,
	.own_cid = unix_own_cid,
};
