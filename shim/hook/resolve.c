/* SPDX-License-Identifier: MIT */
/* Names that the map takes are resolved without a name server, and so are our addresses back to names. */
#include "resolver/resolve.h"
#include "core/shim.h"
#include "system/libc.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

int hook_getaddrinfo(
	const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **result)
{
	return shim_active() && host ? resolve_addrinfo(host, service, hints, result)
				     : libc.getaddrinfo(host, service, hints, result);
}

#ifdef __GLIBC__
/* What the map takes is answered at once. libc answers the rest, and reports when all is done. */
int hook_getaddrinfo_a(int mode, struct gaicb **list, int count, struct sigevent *event)
{
	if (!shim_active() || !list || count <= 0)
		return libc.getaddrinfo_a(mode, list, count, event);
	struct gaicb **rest = calloc((size_t)count, sizeof(void *));
	if (!rest)
		return EAI_MEMORY;
	for (int i = 0; i < count; i++) {
		struct gaicb *one = list[i];
		bool ours = one && one->ar_name &&
			    resolve_from_map(one->ar_name, one->ar_service, one->ar_request, &one->ar_result,
				    &one->__return);
		rest[i] = ours ? NULL : one;
	}
	int result = libc.getaddrinfo_a(mode, rest, count, event);
	free(rest);
	return result;
}
#endif

int hook_getnameinfo(const struct sockaddr *address, socklen_t length, char *host, socklen_t host_size,
	char *service, socklen_t service_size, int flags)
{
	if (shim_active() && resolve_is_ours(address, length))
		return resolve_nameinfo(address, length, host, host_size, service, service_size, flags);
	return libc.getnameinfo(address, length, host, host_size, service, service_size, flags);
}

/* What these return is in a buffer of the thread, until its next call. */
static __thread struct hostent entry;
static __thread char buffer[RESOLVE_ROOM];

/* As gethostbyname2_r(), into that buffer. */
static struct hostent *own_answer(const char *name, int family)
{
	struct hostent *result;
	int error;
	resolve_host(name, family, &entry, buffer, sizeof buffer, &result, &error);
	if (!result)
		h_errno = error;
	return result;
}

struct hostent *hook_gethostbyname2(const char *name, int family)
{
	bool ours = shim_active() && name;
	if (ours && resolve_takes(name, family))
		return own_answer(name, family);
	struct hostent *found = libc.gethostbyname2(name, family);
	return !found && ours && resolve_is_own(name, family) ? own_answer(name, family) : found;
}

struct hostent *hook_gethostbyname(const char *name)
{
	bool ours = shim_active() && name;
	if (ours && resolve_takes(name, AF_INET))
		return own_answer(name, AF_INET);
	struct hostent *found = libc.gethostbyname(name);
	return !found && ours && resolve_is_own(name, AF_INET) ? own_answer(name, AF_INET) : found;
}

int hook_gethostbyname2_r(const char *name, int family, struct hostent *into, char *room, size_t size,
	struct hostent **result, int *error)
{
	bool ours = shim_active() && name;
	if (ours && resolve_takes(name, family))
		return resolve_host(name, family, into, room, size, result, error);
	int status = libc.gethostbyname2_r(name, family, into, room, size, result, error);
	bool lacking = ours && !*result && status != ERANGE && resolve_is_own(name, family);
	return lacking ? resolve_host(name, family, into, room, size, result, error) : status;
}

int hook_gethostbyname_r(
	const char *name, struct hostent *into, char *room, size_t size, struct hostent **result, int *error)
{
	bool ours = shim_active() && name;
	if (ours && resolve_takes(name, AF_INET))
		return resolve_host(name, AF_INET, into, room, size, result, error);
	int status = libc.gethostbyname_r(name, into, room, size, result, error);
	bool lacking = ours && !*result && status != ERANGE && resolve_is_own(name, AF_INET);
	return lacking ? resolve_host(name, AF_INET, into, room, size, result, error) : status;
}

struct hostent *hook_gethostbyaddr(const void *address, socklen_t length, int family)
{
	struct hostent *result;
	int error;
	if (!shim_active() || !resolve_is_our_ip(address, length, family))
		return libc.gethostbyaddr(address, length, family);
	resolve_address(address, family, &entry, buffer, sizeof buffer, &result, &error);
	if (!result)
		h_errno = error;
	return result;
}

int hook_gethostbyaddr_r(const void *address, socklen_t length, int family, struct hostent *into, char *room,
	size_t size, struct hostent **result, int *error)
{
	if (!shim_active() || !resolve_is_our_ip(address, length, family))
		return libc.gethostbyaddr_r(address, length, family, into, room, size, result, error);
	return resolve_address(address, family, into, room, size, result, error);
}
