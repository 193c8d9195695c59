/* SPDX-License-Identifier: MIT */
/* Host names and services for the hooks of getaddrinfo() and its predecessors: names.h behind libc's
 * interfaces. As thread-safe as the functions that they serve; not for signal handlers. */
#ifndef IP2VSOCK_RESOLVE_H
#define IP2VSOCK_RESOLVE_H

#include <netdb.h>
#include <stdbool.h>
#include <sys/socket.h>

#ifndef NETDB_INTERNAL /* musl's netdb.h lacks them */
#define NETDB_INTERNAL (-1)
#define NETDB_SUCCESS 0
#endif

/* getaddrinfo(3), for a host that isn't NULL: answered from the map if it takes the name (for the requested
 * service, if there is one), otherwise by libc. libc frees the result. */
int resolve_addrinfo(
	const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **result);

/* The same for a name that the map takes; *error is what getaddrinfo() returns. false: libc must answer. */
bool resolve_from_map(const char *host, const char *service, const struct addrinfo *hints,
	struct addrinfo **result, int *error);

/* getnameinfo(3), for an address of a reserved range (resolve_is_ours): at once, and with the name if it is
 * known. */
bool resolve_is_ours(const struct sockaddr *address, socklen_t length);
int resolve_nameinfo(const struct sockaddr *address, socklen_t length, char *host, socklen_t host_size,
	char *service, socklen_t service_size, int flags);

/* gethostbyname2_r(3), for a name that the map takes (resolve_takes), or for this machine's own
 * (resolve_is_own), for which libc is asked first. */
bool resolve_takes(const char *name, int family);
bool resolve_is_own(const char *name, int family);
int resolve_host(const char *name, int family, struct hostent *entry, char *buffer, size_t size,
	struct hostent **result, int *error);

/* gethostbyaddr_r(3), for an address of a reserved range (resolve_is_our_ip). */
bool resolve_is_our_ip(const void *address, socklen_t length, int family);
int resolve_address(const void *address, int family, struct hostent *entry, char *buffer, size_t size,
	struct hostent **result, int *error);
enum { RESOLVE_ROOM = 512 }; /* bytes that are enough for any of them */

#endif
