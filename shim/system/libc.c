/* SPDX-License-Identifier: MIT */
#include "libc.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int missing(void)
{
	errno = ENOSYS;
	return -1;
}

#ifdef OLDEST_GLIBC
/* glibc before 2.34 has these two in a library of its own, which not every program has loaded, and two
 * private functions that can load that library (RTLD_LOADER is its __RTLD_DLOPEN). */
__asm__(".symver dlsym, dlsym@" OLDEST_GLIBC);
__asm__(".symver dlopen, dlopen@" OLDEST_GLIBC);
#pragma weak dlsym
#pragma weak dlopen
extern void *__libc_dlopen_mode(const char *file, int mode) __attribute__((weak));
extern void *__libc_dlsym(void *library, const char *name) __attribute__((weak));
/* Except for dlsym, these are only called: a function whose address is taken is looked up in each program. */
enum { RTLD_LOADER = INT_MIN };

/* Without these no hook could reach libc, and the program would fail at its first close(). */
__attribute__((noreturn)) static void no_loader(void)
{
	static const char message[] =
		"ip2vsock: libdl.so.2 is missing, where glibc before 2.34 has dlsym()\n";
	syscall(SYS_write, STDERR_FILENO, message, sizeof message - 1);
	syscall(SYS_exit_group, 125);
	__builtin_unreachable();
}

void *libc_find(void *library, const char *name)
{
	static void *(*found)(void *, const char *);
	if (dlsym)
		return dlsym(library, name);
	if (!found) {
		void *loader = __libc_dlopen_mode("libdl.so.2", RTLD_LAZY | RTLD_LOADER);
		*(void **)&found = loader ? __libc_dlsym(loader, "dlsym") : NULL;
	}
	if (!found)
		no_loader();
	return found(library, name);
}

void *libc_load(const char *file, int mode)
{
	return dlsym ? dlopen(file, mode) : __libc_dlopen_mode(file, mode | RTLD_LOADER);
}
#else
void *libc_find(void *library, const char *name)
{
	return dlsym(library, name);
}

void *libc_load(const char *file, int mode)
{
	return dlopen(file, mode);
}
#endif

/* glibc before 2.34 has these, under names such as __res_query, in a library of its own, which a plugin may
 * have loaded. */
static void *find_in_libresolv(const char *name)
{
	char old[32] = "__";
	void *library =
		strncmp(name, "res_", 4) == 0 ? libc_load("libresolv.so.2", RTLD_LAZY | RTLD_NOLOAD) : NULL;
	return library ? libc_find(library, strcat(old, name)) : NULL;
}

void libc_fill(void *entry, const char *name)
{
	void *found = libc_find(RTLD_NEXT, name);
	if (!found)
		found = find_in_libresolv(name);
	if (!found)
		found = (void *)missing; /* the C library is older than this function */
	__atomic_store_n((void **)entry, found, __ATOMIC_RELAXED);
}

#define HOOK(result, name, parameters, arguments)                                                            \
	static result first_##name parameters                                                                \
	{                                                                                                    \
		libc_fill(&libc.name, #name);                                                                \
		return libc.name arguments;                                                                  \
	}
#include "symbols.h"

#define HOOK(result, name, parameters, arguments) .name = first_##name,
struct libc libc = {
#include "symbols.h"
};

#define SIGNAL_SAFE(name) libc_fill(&libc.name, #name)
void libc_start(void)
{
#ifdef HAVE_THREAD_POINTER
	libc.error = (char *)&errno - (char *)__builtin_thread_pointer();
#endif
	libc.single_threaded = libc_find(RTLD_DEFAULT, "__libc_single_threaded");
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
