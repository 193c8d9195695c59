/* SPDX-License-Identifier: MIT */
/* Socket options of a program that believes in TCP.
 *
 * What it sets is remembered, and the oracle for everything else is TCP itself: a scratch TCP socket, given
 * the same history, knows every default, limit and error, and is closed again. Async-signal-safe; errno as
 * setsockopt(2), getsockopt(2). */
#ifndef IP2VSOCK_OPTIONS_H
#define IP2VSOCK_OPTIONS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* The number of the first remembered option; 0: none was set. */
struct options {
	_Atomic uint32_t first;
	bool datagram; /* of a UDP socket: what stands here of TCP is then UDP's */
};

void options_remember(struct options *options, int level, int name, const void *value, socklen_t length);
/* Remembers what a socket of that family has that was opened elsewhere, as far as servers and clients
 * commonly set it. It is asked nothing that isn't its family's: a kernel with CONFIG_BPFILTER (4.18 to 6.7)
 * takes IPV6_TCLASS on an IPv4 socket for one of its own and runs modprobe, for 245 ms. */
void options_learn(struct options *options, int family, int fd);
void options_forget(struct options *options);
/* All that an accepted connection inherits from its listener. */
void options_copy(struct options *to, const struct options *from);
/* The value of an option of type int, or `otherwise`. */
int options_int(const struct options *options, int level, int name, int otherwise);

/* SO_RCVTIMEO or SO_SNDTIMEO in milliseconds, 0: none. */
int options_time(const struct options *options, int name);

/* Sets all of them that a socket of that family has on one. */
void options_replay(const struct options *options, int family, int fd);
/* Sets those that act on a carrier too: the universal ones and SO_RCVLOWAT (at most `buffer`). errno is
 * untouched. */
void options_apply(const struct options *options, int fd, uint32_t buffer);

/* The same for the one of SOL_SOCKET that was just set. */
void options_apply_one(const struct options *options, int name, int fd, uint32_t buffer);

/* Is it one that means the same on every socket? The kernel then keeps it with ours, for all processes that
 * share it. */
bool options_universal(int level, int name);

/* As setsockopt(2) and getsockopt(2) on a TCP socket of that family with that history; setting remembers. */
int options_set(
	struct options *options, int family, int level, int name, const void *value, socklen_t length);
int options_scratch(
	const struct options *options, int family); /* such a socket, for the caller to close; -1 */
int options_get(
	const struct options *options, int family, int level, int name, void *value, socklen_t *length);

/* TCP_ZEROCOPY_RECEIVE after options_get(), with its result, errno and value: on ours nothing can be mapped,
 * and recv() is to read the `unread` bytes. A listener has none: TCP looks at that once the address is a
 * page's, and before it looks for a mapping there, which it did first without data until Linux 5.10. */
enum { OPTION_ZEROCOPY_RECEIVE = 35 };
int options_zerocopy(int result, bool listening, void *value, const socklen_t *length, int unread);

/* The values of a loopback TCP connection on Linux 6.1; the MSS is 64 KiB less the IP and TCP headers. */
enum { LOOPBACK_MTU = 65535, LOOPBACK_MTU6 = 65536, LOOPBACK_MSS = 65483 };

/* What TCP answers of a connection, where a scratch socket, which has none, answers something else: 0 and
 * *value, or an errno. -1: ask options_get(). family: the socket's; ipv4: its peer's address is IPv4's. */
int options_of_connection(
	const struct options *options, int family, bool ipv4, int level, int name, int *value);

#endif
