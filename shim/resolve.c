/* SPDX-License-Identifier: MIT */
#include "resolve.h"

#include "libc.h"
#include "log.h"
#include "names.h"
#include "shim.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/* The port of a service, by number or by name; -1: none was asked; -2: libc doesn't know it. */
static int port_of(const char *service, const struct addrinfo *hints)
{
	char *end;
	if (!service || !*service)
		return -1;
	unsigned long number = strtoul(service, &end, 10);
	if (!*end)
		return number <= UINT16_MAX ? (int)number : -2;
	struct addrinfo numeric = {.ai_family = AF_INET,
				.ai_socktype = SOCK_STREAM,
				.ai_flags = AI_NUMERICHOST},
			*found;
	if (hints && hints->ai_flags & AI_NUMERICSERV)
		return -2;
	if (libc.getaddrinfo("127.0.0.1", service, &numeric, &found) != 0)
		return -2;
	int port = ntohs(((struct sockaddr_in *)found->ai_addr)->sin_port);
	freeaddrinfo(found);
	return port;
}

static bool is_own_name(const char *host)
{
	char own[HOST_NAME_MAX + 1] = "";
	return gethostname(own, sizeof own - 1) == 0 && *own && strcasecmp(host, own) == 0;
}

/* libc itself turns an address of ours into a list that it can free; canonname is the name that was asked. */
static int as_numeric(const struct address *address, const char *name, const char *service,
	const struct addrinfo *hints, struct addrinfo **result)
{
	char text[ADDRESS_TEXT];
	struct addrinfo numeric = {.ai_family = AF_UNSPEC};
	address_format(address, text, sizeof text);
	if (hints) {
		numeric = *hints;
		numeric.ai_flags &=
			~(AI_CANONNAME | AI_ADDRCONFIG | AI_V4MAPPED | AI_ALL); /* no family is lacking */
	}
	numeric.ai_family = address_is_ipv4(address) ? AF_INET : AF_INET6;
	numeric.ai_flags |= AI_NUMERICHOST;
	int error = libc.getaddrinfo(text, service, &numeric, result);
	if (!error && hints && hints->ai_flags & AI_CANONNAME) {
		(*result)->ai_canonname =
			strdup(name); /* glibc's freeaddrinfo() frees it, musl's leaves it */
		if (!(*result)->ai_canonname) {
			freeaddrinfo(*result);
			return EAI_MEMORY;
		}
	}
	return error;
}

int resolve_addrinfo(
	const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **result)
{
	struct address ipv4, ipv6;
	int family = hints ? hints->ai_family : AF_UNSPEC;
	if ((hints && hints->ai_flags & AI_NUMERICHOST) ||
		(family != AF_UNSPEC && family != AF_INET && family != AF_INET6))
		return libc.getaddrinfo(host, service, hints, result);
	switch (names_address(shim.map, host, -1, &ipv4, &ipv6)) {
	case NAMES_FULL:
		return EAI_MEMORY;
	case NAMES_TAKEN: {
		int port = port_of(service, hints);
		/* An unknown service is libc's to complain of, and our address is as good as any for that. */
		if (port >= 0 && names_address(shim.map, host, port, &ipv4, &ipv6) == NAMES_NOT_TAKEN)
			break;
		log_debug("getaddrinfo ", host, ": a name of the map");
		/* One family is enough: two would double every failure and every retry. */
		return as_numeric(family == AF_INET6 ? &ipv6 : &ipv4, host, service, hints, result);
	}
	case NAMES_NOT_TAKEN:
		break;
	}
	int error = libc.getaddrinfo(host, service, hints, result);
	if (error && is_own_name(host)) {
		struct address own = address_ipv4(INADDR_LOOPBACK, 0);
		if (family == AF_INET6) {
			memset(own.ip, 0, sizeof own.ip);
			own.ip[15] = 1;
		}
		return as_numeric(&own, host, service, hints, result);
	}
	return error;
}

bool resolve_is_ours(const struct sockaddr *address, socklen_t length)
{
	struct address ip;
	return address && address_from_sockaddr(&ip, address, length) && ranges_reserve(&shim.ranges, &ip);
}

int resolve_nameinfo(const struct sockaddr *address, socklen_t length, char *host, socklen_t host_size,
	char *service, socklen_t service_size, int flags)
{
	struct address ip;
	char name[NAME_TEXT];
	bool pattern = true;
	address_from_sockaddr(&ip, address, length);
	bool named = !(flags & NI_NUMERICHOST) && names_host(shim.map, &ip, name, &pattern) && !pattern;
	if (!named && flags & NI_NAMEREQD && host && host_size)
		return EAI_NONAME;
	int error = libc.getnameinfo(address, length, host, host_size, service, service_size,
		(flags & ~NI_NAMEREQD) | NI_NUMERICHOST);
	if (!host || !host_size || !named || (error && error != EAI_OVERFLOW))
		return error;
	if (strlen(name) >= host_size)
		return EAI_OVERFLOW;
	strcpy(host, name);
	return error == EAI_OVERFLOW
		       ? libc.getnameinfo(address, length, NULL, 0, service, service_size, flags)
		       : error;
}

bool resolve_takes(const char *name)
{
	struct address ipv4, ipv6;
	return names_address(shim.map, name, -1, &ipv4, &ipv6) != NAMES_NOT_TAKEN;
}

/* A hostent with one name and one address (none: NULL), in the caller's buffer. */
static int fill(const char *name, const struct address *address, int family, struct hostent *entry,
	char *buffer, size_t size, struct hostent **result, int *error)
{
	size_t length = family == AF_INET6 ? 16 : 4, name_size = strlen(name) + 1;
	size_t skip = -(uintptr_t)buffer & (sizeof(char *) - 1),
	       need = skip + 3 * sizeof(char *) + length + name_size;
	*result = NULL;
	if (size < need) {
		*error = NETDB_INTERNAL;
		return ERANGE;
	}
	char **pointers = (char **)(buffer + skip);
	char *bytes = (char *)(pointers + 3);
	memcpy(bytes, address->ip + (16 - length), length);
	memcpy(bytes + length, name, name_size);
	pointers[0] = bytes;
	pointers[1] = NULL; /* ends the addresses */
	pointers[2] = NULL; /* no aliases */
	*entry = (struct hostent){
		.h_name = bytes + length,
		.h_aliases = pointers + 2,
		.h_addrtype = family,
		.h_length = (int)length,
		.h_addr_list = pointers,
	};
	*result = entry;
	*error = NETDB_SUCCESS;
	return 0;
}

int resolve_host(const char *name, int family, struct hostent *entry, char *buffer, size_t size,
	struct hostent **result, int *error)
{
	struct address ipv4, ipv6;
	*result = NULL;
	if (names_address(shim.map, name, -1, &ipv4, &ipv6) != NAMES_TAKEN) {
		*error = TRY_AGAIN; /* no address is left for another name */
		return EAGAIN;
	}
	return fill(name, family == AF_INET6 ? &ipv6 : &ipv4, family, entry, buffer, size, result, error);
}

static bool address_of_ip(const void *bytes, socklen_t length, int family, struct address *address)
{
	if (family == AF_INET && length == 4) {
		uint32_t ip;
		memcpy(&ip, bytes, sizeof ip);
		*address = address_ipv4(ntohl(ip), 0);
		return true;
	}
	address->port = 0;
	if (family == AF_INET6 && length == 16)
		memcpy(address->ip, bytes, 16);
	return family == AF_INET6 && length == 16;
}

bool resolve_is_our_ip(const void *bytes, socklen_t length, int family)
{
	struct address address;
	return bytes && address_of_ip(bytes, length, family, &address) &&
	       ranges_reserve(&shim.ranges, &address);
}

int resolve_address(const void *bytes, int family, struct hostent *entry, char *buffer, size_t size,
	struct hostent **result, int *error)
{
	struct address address;
	char name[NAME_TEXT];
	bool pattern;
	address_of_ip(bytes, family == AF_INET6 ? 16 : 4, family, &address);
	if (!names_host(shim.map, &address, name, &pattern) || pattern) {
		*result = NULL;
		*error = HOST_NOT_FOUND;
		return 0;
	}
	return fill(name, &address, family, entry, buffer, size, result, error);
}
