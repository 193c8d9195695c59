/* SPDX-License-Identifier: MIT */
#include "twin.h"

#include "state/door.h"
#include "system/errno.h"
#include "system/libc.h"

#include <fcntl.h>
#include <poll.h>

/* The connections that listeners with a twin have accepted. */
static _Atomic uint32_t count;

static __thread struct {
	const struct sock *listener; /* only compared: it may be another socket's record by now */
	uint32_t number;	     /* of the connection */
} last __attribute__((tls_model("initial-exec")));

void twin_listens(struct sock *listener)
{
	listener->twin_seen = atomic_load(&count);
}

void twin_accepted(const struct sock *listener)
{
	last.listener = listener;
	last.number = atomic_fetch_add(&count, 1) + 1;
}

static bool is_twin(const struct sock *other, const void *context)
{
	const struct sock *listener = context;
	return other == last.listener && state_of(other) == STATE_LISTENING &&
	       other->transport == listener->transport && other->local.cid == listener->local.cid &&
	       other->local.port == listener->local.port;
}

static bool would_sleep(int fd, const struct sock *listener)
{
	struct pollfd queues[] = {{.fd = fd, .events = POLLIN}, {.fd = door_of(listener), .events = POLLIN}};
	KEEP_ERRNO;
	int flags = libc.fcntl(fd, F_GETFL, NULL);
	return flags >= 0 && !(flags & O_NONBLOCK) && libc.poll(queues, 2, 0) == 0;
}

bool twin_was_faster(int fd, struct sock *listener)
{
	if (!last.listener || last.listener == listener ||
		(int32_t)(last.number - listener->twin_seen) <= 0 || fd_find(is_twin, listener) < 0)
		return false;
	listener->twin_seen = last.number;
	return would_sleep(fd, listener);
}
