/* SPDX-License-Identifier: MIT */
/* Queries go in by send(), answers come out by recv(). A program that asks a name server of the map's has a
 * Unix datagram socket that is connected to itself. The hooks of send pass its data to nameserver_send(),
 * which answers each complete query (core/dns.h) and sends the answer to the same socket, where the program
 * finds it. So no thread and no second fd are needed, and poll() and epoll work without help. Over TCP, an
 * incomplete query waits in a pool (state/partial.h) for its next bytes. */
#include "nameserver.h"

#include "protocol.h"
#include "state/partial.h"
#include "stream_internal.h"
#include "system/cancel.h"
#include "system/nowhere.h"

#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

void nameserver_full(void)
{
	static atomic_bool said;
	if (!atomic_exchange(&said, true))
		log_error("no address is left for another name under *.suffix with {host}: such names fail "
			  "from here on");
}

size_t nameserver_answer(const uint8_t *query, size_t size, uint8_t answer[DNS_ANSWER])
{
	enum { CODE = 3, CODE_BITS = 15, SERVFAIL = 2 };
	char own[HOST_NAME_MAX + 1] = "";
	KEEP_ERRNO;
	gethostname(own, sizeof own - 1);
	size_t length = dns_answer(shim.map, own, query, size, answer);
	if (length && (answer[CODE] & CODE_BITS) == SERVFAIL)
		nameserver_full();
	return length;
}

static ssize_t put(int fd, const void *bytes, size_t size)
{
	return libc.send(fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* A TCP client reads the length before it knows how much to read, so the length is a datagram of its own. If
 * the socket is writable at all, there is room for both. -1 and EAGAIN: too many answers are waiting to be
 * read. */
static int answer_stream(int fd, const struct partial *query, int flags)
{
	uint8_t answer[DNS_ANSWER];
	size_t size = query->have - PARTIAL_LENGTH;
	int mode = libc.fcntl(fd, F_GETFL, NULL);
	struct pollfd room = {.fd = fd, .events = POLLOUT};
	bool waits = !(flags & MSG_DONTWAIT) && mode >= 0 && !(mode & O_NONBLOCK);
	int ready = libc.poll(&room, 1, waits ? -1 : 0);
	if (ready <= 0)
		return ready < 0 ? -1 : fail(EAGAIN);
	size = nameserver_answer(
		query->bytes + PARTIAL_LENGTH, size < PARTIAL_QUERY ? size : PARTIAL_QUERY, answer);
	const uint8_t length[PARTIAL_LENGTH] = {(uint8_t)(size >> 8), (uint8_t)size};
	if (size == 0)
		return 0;
	return put(fd, length, sizeof length) < 0 || put(fd, answer, size) < 0 ? -1 : 0;
}

static size_t length_of(const struct partial *query)
{
	return PARTIAL_LENGTH + (size_t)(query->bytes[0] << 8 | query->bytes[1]);
}

/* Answers each query that is now complete. Returns how many bytes were taken; if fewer than `size`, errno is
 * the reason. */
static size_t feed(int fd, struct partial *query, const uint8_t *data, size_t size, int flags)
{
	size_t taken = 0;
	while (taken < size) {
		size_t whole = query->have < PARTIAL_LENGTH ? PARTIAL_LENGTH : length_of(query),
		       part = whole - query->have;
		if (part > size - taken)
			part = size - taken;
		if (query->have < sizeof query->bytes) {
			size_t room = sizeof query->bytes - query->have;
			memcpy(query->bytes + query->have, data + taken, part < room ? part : room);
		}
		query->have += (uint32_t)part;
		if (query->have >= PARTIAL_LENGTH && query->have == length_of(query)) {
			if (answer_stream(fd, query, flags) < 0) {
				query->have -= (uint32_t)part;
				break;
			}
			query->have = 0;
		}
		taken += part;
	}
	return taken;
}

/* The bytes of a query may come in any pieces; an incomplete query waits in the pool. */
ssize_t nameserver_query_stream(int fd, struct sock *sock, const struct msghdr *message, int flags)
{
	struct partial query = {.have = 0};
	uint32_t index = atomic_exchange(&sock->partial, 0);
	if (index) {
		const struct partial *before = partial_at(index);
		query.have = before->have;
		memcpy(query.bytes, before->bytes, sizeof query.bytes);
	}
	size_t taken = 0, size = 0;
	for (size_t i = 0; i < message->msg_iovlen && taken == size; i++) {
		const struct iovec *part = &message->msg_iov[i];
		size += part->iov_len;
		taken += feed(fd, &query, part->iov_base, part->iov_len, flags);
	}
	int error = errno;
	if (query.have && !index && !(index = partial_take()))
		return fail(ENOBUFS);
	if (query.have) {
		struct partial *rest = partial_at(index);
		rest->have = query.have;
		memcpy(rest->bytes, query.bytes, sizeof rest->bytes);
		index = atomic_exchange(&sock->partial, index);
	}
	partial_forget(index);
	errno = error;
	return taken || !size ? (ssize_t)taken : -1;
}

/* A datagram is a query. If too many answers are waiting already, this one is lost, as in UDP. */
ssize_t nameserver_query_datagram(int fd, struct sock *sock, const struct msghdr *message, int flags)
{
	(void)sock, (void)flags;
	uint8_t query[PARTIAL_QUERY], answer[DNS_ANSWER];
	size_t size = 0, kept = 0;
	for (size_t i = 0; i < message->msg_iovlen; i++) {
		const struct iovec *part = &message->msg_iov[i];
		size_t copied = part->iov_len < sizeof query - kept ? part->iov_len : sizeof query - kept;
		if (copied)
			memcpy(query + kept, part->iov_base, copied);
		kept += copied;
		size += part->iov_len;
	}
	size_t length = nameserver_answer(query, kept, answer);
	if (length && put(fd, answer, length) < 0 && errno != EAGAIN)
		return -1;
	return (ssize_t)size;
}

ssize_t nameserver_send(int fd, struct sock *sock, const struct msghdr *message, int flags)
{
	const struct protocol *protocol = protocol_of(sock);
	int saved = errno;
	if (sock->shut.write) {
		if (!(flags & MSG_NOSIGNAL) && protocol->has_end)
			raise(SIGPIPE);
		return fail(EPIPE);
	}
	for (size_t i = 0; i < (size_t)message->msg_iovlen; i++)
		if (message->msg_iov[i].iov_len && is_nowhere(message->msg_iov[i].iov_base))
			return fail(EFAULT);
	int outer_state = cancel_later();
	ssize_t sent = protocol->query(fd, sock, message, flags);
	cancel_as_before(outer_state);
	if (sent >= 0)
		errno = saved;
	return sent;
}

void nameserver_end_stream(int fd)
{
	KEEP_ERRNO;
	put(fd, NULL, 0);
}

void nameserver_end_datagram(int fd)
{
	(void)fd; /* a datagram has no end but its own */
}
