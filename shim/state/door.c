/* SPDX-License-Identifier: MIT */
#include "door.h"

#include "registrations.h"
#include "system/clock.h"
#include "system/errno.h"
#include "system/log.h"
#include "transport/transport_door.h"

#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>

_Atomic bool door_any;

/* When it was taken, in the time of now_ms(); 0: nobody has it. Shared with the processes that this one
 * forks. */
static _Atomic int64_t own_turn, *_Atomic taken = &own_turn;

static void share_turns(void)
{
	void *shared = mmap(NULL, sizeof *taken, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	_Atomic int64_t *before = &own_turn;
	if (shared != MAP_FAILED && !atomic_compare_exchange_strong(&taken, &before, shared))
		munmap(shared, sizeof *taken);
}

int64_t door_turn_begin(void)
{
	enum { PATIENCE_MS = 100 }; /* whoever has had it longer was killed */
	for (;; sched_yield()) {
		int64_t now = now_ms(), since = 0;
		if (atomic_compare_exchange_strong(taken, &since, now) ||
			(now - since > PATIENCE_MS && atomic_compare_exchange_strong(taken, &since, now)))
			return now;
	}
}

void door_turn_end(int64_t turn)
{
	atomic_compare_exchange_strong(taken, &turn, 0);
}

static bool is_beside(const struct sock *other, const void *context)
{
	const struct sock *listener = context;
	return other != listener && door_of(other) >= 0 && other->local.cid == listener->local.cid &&
	       other->local.port == listener->local.port;
}

/* Two listeners that share a port share its door, each with a number of its own, which epoll can tell apart.
 */
static int share(const struct sock *listener)
{
	int number;
	struct sock *other = fd_find_held(is_beside, listener, &number);
	if (!other)
		return -1;
	int fd = libc.fcntl(door_of(other), F_DUPFD_CLOEXEC, NULL);
	fd_release(other);
	return fd;
}

static bool is_at(int fd, const struct place *place)
{
	struct sockaddr_storage name;
	socklen_t length = sizeof name;
	return !fd_tracked(fd) && libc.getsockname(fd, (struct sockaddr *)&name, &length) == 0 &&
	       length == place->length && memcmp(&name, &place->sockaddr, length) == 0;
}

static int find(const struct place *place)
{
	for (int fd = FD_ASIDE; fd < 2 * FD_ASIDE; fd++)
		if (is_at(fd, place)) {
			libc.fcntl(fd, F_SETFD, (void *)FD_CLOEXEC);
			return fd;
		}
	return -1;
}

static int make(const struct place *place)
{
	enum { BACKLOG = 1 << 16 }; /* as of listen() itself */
	int fd = transport_door.open(SOCK_CLOEXEC | SOCK_NONBLOCK, BUFFER_DEFAULT);
	if (fd < 0 || (transport_door.bind(fd, place) == 0 && libc.listen(fd, BACKLOG) == 0))
		return fd;
	close_quietly(fd);
	return -1;
}

static void take(struct sock *listener, int fd)
{
	fd_open_foreign(fd);
	struct sock *record = fd_hold_any(fd);
	if (!record) {
		libc.close(fd);
		return;
	}
	share_turns();
	atomic_store(&listener->door.sock, record);
	atomic_store(&listener->door.fd, fd);
	atomic_store(&door_any, true);
	registrations_follow(listener, fd);
}

void door_open(struct sock *listener, bool inherited)
{
	struct place place;
	KEEP_ERRNO;
	if (door_of(listener) >= 0)
		return;
	transport_door.place(&(struct endpoint){CID_LOCAL, listener->local.port}, &place);
	int fd = share(listener);
	if (fd < 0 && inherited)
		fd = find(&place);
	if (fd < 0)
		fd = make(&place);
	if (fd >= 0)
		take(listener, fd_set_aside(fd));
	else if (!inherited) /* what it was inherited from may have it still */
		log_error(
			"a listener can't be reached from this machine: its Unix socket: ", log_errno(errno));
}

void door_close(struct sock *listener)
{
	KEEP_ERRNO;
	int mine = door_of(listener), fd = atomic_exchange(&listener->door.fd, -1);
	if (fd < 0 || in_vfork_child)
		return;
	if (mine >= 0) {
		fd_leave(mine);
		libc.close(mine);
	}
	fd_release(listener->door.sock);
}

int door_pin(struct sock *listener, struct sock **pinned)
{
	int fd = door_of(listener);
	struct sock *record = fd >= 0 ? fd_hold_any(fd) : NULL;
	*pinned = record;
	if (!record)
		return -1;
	if (record == listener->door.sock && fd_pin(fd, record))
		return fd;
	fd_release(record);
	return -1;
}

void door_unpin(struct sock *pinned)
{
	fd_unpin(pinned);
	fd_release(pinned);
}

void door_pass_on(const struct sock *listener, bool inherited)
{
	int fd = door_of(listener);
	KEEP_ERRNO;
	if (fd >= 0)
		libc.fcntl(fd, F_SETFD, (void *)(long)(inherited ? 0 : FD_CLOEXEC));
}
