/* SPDX-License-Identifier: MIT */
/* The hooks of getaddrinfo() and its predecessors end here. A name that the map takes gets the address that
 * names.h gives it, and everything else goes to libc. The answer must be a list that libc's own
 * freeaddrinfo() can free, so libc makes it: it is asked to resolve the text of our address, and the
 * canonical name is written over that text. Three names need help: localhost and the machine's own name where
 * the system can't resolve them, and numeric hosts that AI_ADDRCONFIG would hide though a rule takes them. */
#include "resolve.h"

#include "core/names.h"
#include "core/shim.h"
#include "core/text.h"
#include "socket/nameserver.h"
#include "system/libc.h"
#include "system/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/* The port of a service, by number or by name. -1: none was asked for, or 0, which nothing can connect to;
 * -2: libc doesn't know it. */
static int port_of(const char *service, const struct addrinfo *hints)
{
	char *end;
	if (!service || !*service)
		return -1;
	unsigned long number = strtoul(service, &end, 10);
	if (!*end && number <= UINT16_MAX)
		return number ? (int)number : -1;
	if (!*end)
		return -2;
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

static bool is_inet(int family)
{
	return family == AF_INET || family == AF_INET6;
}

static bool libc_knows(const char *host)
{
	struct addrinfo any = {.ai_socktype = SOCK_STREAM}, *found;
	if (libc.getaddrinfo(host, NULL, &any, &found) != 0)
		return false;
	freeaddrinfo(found);
	return true;
}

/* The machine's host name, which the JVM, Erlang and others look up at start, and localhost: images without
 * /etc/hosts lack them. */
bool resolve_is_own(const char *host, int family)
{
	char own[HOST_NAME_MAX + 1] = "";
	bool is_own = strcasecmp(host, "localhost") == 0 ||
		      (gethostname(own, sizeof own - 1) == 0 && *own && strcasecmp(host, own) == 0);
	return is_own && is_inet(family) && !libc_knows(host);
}

static struct address loopback(int family)
{
	struct address ipv6 = {.ip = {[15] = 1}};
	return family == AF_INET6 ? ipv6 : address_ipv4(INADDR_LOOPBACK, 0);
}

/* An address of ours as text, padded to `size` characters or slightly more (musl's limit is 254):
 * 0x000c6120001, or fd76::1%000. */
static void padded(const struct address *address, size_t size, char text[2 * NAME_TEXT])
{
	struct text to = text_in(text, 2 * NAME_TEXT);
	bool ipv4 = address_is_ipv4(address);
	char ip[ADDRESS_TEXT];
	address_format(address, ip, sizeof ip);
	text_add(&to, ipv4 ? "0x" : ip);
	text_add(&to, ipv4 ? "" : "%");
	do
		text_add(&to, "0");
	while (to.length + (ipv4 ? 8 : 0) < size);
	for (int shift = 28; ipv4 && shift >= 0; shift -= 4)
		text_add_bytes(&to, &"0123456789abcdef"[address_ip4(address) >> shift & 15], 1);
}

/* glibc copies the requested flags into every entry; musl leaves them 0. */
static void set_flags(struct addrinfo *list, const struct addrinfo *hints)
{
	for (; list; list = list->ai_next)
		if (list->ai_flags)
			list->ai_flags = hints ? hints->ai_flags : AI_V4MAPPED | AI_ADDRCONFIG;
}

/* The length of the name as it is returned: without its final dot. */
static size_t returned_length(const char *name)
{
	size_t length = strlen(name);
	return length && name[length - 1] == '.' ? length - 1 : length;
}

/* libc itself turns an address of ours into a list that it can free. The canonical name is the name that was
 * asked for. It is written over the text of the address, which is padded to be long enough, because musl
 * keeps both in one piece of memory. musl returns it unasked. */
static int as_numeric(const struct address *address, const char *name, const char *service,
	const struct addrinfo *hints, struct addrinfo **result)
{
	char text[2 * NAME_TEXT];
	struct addrinfo numeric = {.ai_family = AF_UNSPEC};
	if (hints) {
		numeric = *hints;
		numeric.ai_flags &= ~(AI_ADDRCONFIG | AI_V4MAPPED | AI_ALL); /* no family is missing */
	}
	numeric.ai_family = address_is_ipv4(address) ? AF_INET : AF_INET6;
	numeric.ai_flags |= AI_NUMERICHOST;
	padded(address, returned_length(name), text);
	int error = libc.getaddrinfo(text, service, &numeric, result);
	if (error)
		return error;
	if ((*result)->ai_canonname)
		*(char *)mempcpy((*result)->ai_canonname, name, returned_length(name)) = '\0';
	set_flags(*result, hints);
	return 0;
}

/* On a machine without addresses, AI_ADDRCONFIG hides even numeric hosts. It must not hide those that a rule
 * takes. */
static bool needs_no_address(const char *host)
{
	return names_numeric(shim.map, strcasecmp(host, "localhost") == 0 ? "127.0.0.1" : host);
}

/* What the map doesn't take goes to libc, except for that, and for this machine's own names. */
static int by_libc(
	const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **result)
{
	int family = hints && hints->ai_family != AF_UNSPEC ? hints->ai_family : AF_INET;
	int error = libc.getaddrinfo(host, service, hints, result);
	if (error && hints && hints->ai_flags & AI_ADDRCONFIG && needs_no_address(host)) {
		struct addrinfo lenient = *hints;
		lenient.ai_flags &= ~AI_ADDRCONFIG;
		lenient.ai_flags |= AI_PASSIVE; /* without effect if there is a host, but glibc returns it */
		error = libc.getaddrinfo(host, service, &lenient, result);
		if (!error)
			set_flags(*result, hints);
	}
	if (!error || (hints && hints->ai_flags & AI_NUMERICHOST) || !resolve_is_own(host, family))
		return error;
	struct address own = loopback(family);
	return as_numeric(&own, host, service, hints, result);
}

bool resolve_from_map(const char *host, const char *service, const struct addrinfo *hints,
	struct addrinfo **result, int *error)
{
	struct address ipv4, ipv6;
	int family = hints ? hints->ai_family : AF_UNSPEC;
	if ((hints && hints->ai_flags & AI_NUMERICHOST) || (family != AF_UNSPEC && !is_inet(family)))
		return false;
	enum names_answer answer = names_address(shim.map, host, -1, &ipv4, &ipv6);
	if (answer == NAMES_NOT_TAKEN)
		return false;
	int port = port_of(service, hints);
	/* libc reports an unknown service, and our address is as good as any for that. */
	if (port >= 0)
		answer = names_address(shim.map, host, port, &ipv4, &ipv6);
	if (answer == NAMES_NOT_TAKEN)
		return false;
	if (answer == NAMES_FULL) {
		nameserver_full();
		*error = EAI_FAIL;
		return true;
	}
	log_debug("getaddrinfo ", host, ": a name of the map");
	/* One family is enough: with two, every failure and every retry would happen twice. */
	*error = as_numeric(family == AF_INET6 ? &ipv6 : &ipv4, host, service, hints, result);
	return true;
}

int resolve_addrinfo(
	const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **result)
{
	int error;
	return resolve_from_map(host, service, hints, result, &error) ? error
								      : by_libc(host, service, hints, result);
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
	bool pattern, wanted = host && host_size && !(flags & NI_NUMERICHOST);
	address_from_sockaddr(&ip, address, length);
	bool named = wanted && names_host(shim.map, &ip, name, &pattern) && !pattern;
	if (!named && wanted && flags & NI_NAMEREQD)
		return EAI_NONAME;
	if (!named)
		return libc.getnameinfo(
			address, length, host, host_size, service, service_size, flags | NI_NUMERICHOST);
	int error = libc.getnameinfo(
		address, length, NULL, 0, service, service_size, flags & ~NI_NAMEREQD); /* there is a name */
	if (error)
		return error;
	if (strlen(name) >= host_size)
		return EAI_OVERFLOW;
	strcpy(host, name);
	return 0;
}

bool resolve_takes(const char *name, int family)
{
	struct address ipv4, ipv6;
	return is_inet(family) && names_address(shim.map, name, -1, &ipv4, &ipv6) != NAMES_NOT_TAKEN;
}

/* A hostent with one name and one address (none: NULL), in the caller's buffer. */
static int fill(const char *name, const struct address *address, int family, struct hostent *entry,
	char *buffer, size_t size, struct hostent **result, int *error)
{
	size_t length = family == AF_INET6 ? 16 : 4, name_length = returned_length(name);
	size_t skip = -(uintptr_t)buffer & (sizeof(char *) - 1),
	       need = skip + 3 * sizeof(char *) + length + name_length + 1;
	*result = NULL;
	if (size < need) {
		*error = NETDB_INTERNAL;
		return errno = ERANGE;
	}
	char **pointers = (char **)(buffer + skip);
	char *bytes = (char *)(pointers + 3);
	memcpy(bytes, address->ip + (16 - length), length);
	*(char *)mempcpy(bytes + length, name, name_length) = '\0';
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
	struct address ipv4 = loopback(AF_INET), ipv6 = loopback(AF_INET6);
	if (names_address(shim.map, name, -1, &ipv4, &ipv6) == NAMES_FULL) {
		nameserver_full();
		*result = NULL;
		*error = NO_RECOVERY;
		return ENOMEM;
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
