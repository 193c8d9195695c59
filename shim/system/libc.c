/* SPDX-License-Identifier: MIT */
#include "libc.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>

static int missing(void)
{
	errno = ENOSYS;
	return -1;
}

/* glibc before 2.34 has these in a library of its own, which a plugin may have brought, and as __res_query …
 */
static void *find_in_libresolv(const char *name)
{
	char old[32] = "__";
	void *library =
		strncmp(name, "res_", 4) == 0 ? dlopen("libresolv.so.2", RTLD_LAZY | RTLD_NOLOAD) : NULL;
	return library ? dlsym(library, strcat(old, name)) : NULL;
}

void libc_find(void *entry, const char *name)
{
	void *found = dlsym(RTLD_NEXT, name);
	if (!found)
		found = find_in_libresolv(name);
	if (!found)
		found = (void *)missing; /* the C library is older than this function */
	__atomic_store_n((void **)entry, found, __ATOMIC_RELAXED);
}

#define HOOK(result, name, parameters, arguments)                                                            \
	static result first_##name parameters                                                                \
	{                                                                                                    \
		libc_find(&libc.name, #name);                                                                \
		return libc.name arguments;                                                                  \
	}
#include "symbols.h"

#define HOOK(result, name, parameters, arguments) .name = first_##name,
struct libc libc = {
#include "symbols.h"
};

#define SIGNAL_SAFE(name) libc_find(&libc.name, #name)
void libc_start(void)
{
#ifdef HAVE_THREAD_POINTER
	libc.error = (char *)&errno - (char *)__builtin_thread_pointer();
#endif
	SIGNAL_SAFE(socket);
	SIGNAL_SAFE(connect);
	SIGNAL_SAFE(bind);
	SIGNAL_SAFE(listen);
	SIGNAL_SAFE(accept);
	SIGNAL_SAFE(accept4);
	SIGNAL_SAFE(getsockname);
	SIGNAL_SAFE(getpeername);
	SIGNAL_SAFE(getsockopt);
	SIGNAL_SAFE(setsockopt);
	SIGNAL_SAFE(shutdown);
	SIGNAL_SAFE(read);
	SIGNAL_SAFE(write);
	SIGNAL_SAFE(send);
	SIGNAL_SAFE(sendto);
	SIGNAL_SAFE(sendmsg);
	SIGNAL_SAFE(recv);
	SIGNAL_SAFE(recvfrom);
	SIGNAL_SAFE(recvmsg);
	SIGNAL_SAFE(poll);
	SIGNAL_SAFE(ioctl);
	SIGNAL_SAFE(fcntl);
	SIGNAL_SAFE(epoll_ctl);
	SIGNAL_SAFE(dup);
	SIGNAL_SAFE(dup2);
	SIGNAL_SAFE(dup3);
	SIGNAL_SAFE(close);
	SIGNAL_SAFE(execve);
	SIGNAL_SAFE(execv);
}
