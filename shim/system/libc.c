/* SPDX-License-Identifier: MIT */
#include "libc.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <link.h>
#include <stdbool.h>
#include <stdint.h>
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
/* dlopen and __libc_dlsym are only called: a function whose address is taken is looked up in each program. */
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

/* dlsym() of glibc before 2.34 allocates memory, and works only after the constructors of libc. A hook may be
 * called before them, and by a malloc() that holds its lock (jemalloc's when it starts). So there the next
 * function is looked up here, in the tables that every library of glibc's has. */
typedef ElfW(Addr) elf_address;
typedef ElfW(Dyn) elf_dynamic;
typedef ElfW(Sym) elf_symbol;

struct table {
	const elf_symbol *symbols;
	const char *names;
	const uint16_t *versions;
	const uint32_t *hash;
};

/* The loader has made addresses of these already, except in the vDSO. */
static const void *address_of(const struct dl_phdr_info *object, const elf_dynamic *entry)
{
	elf_address value = entry->d_un.d_ptr;
	return (const void *)(value < object->dlpi_addr ? value + object->dlpi_addr : value);
}

static const elf_dynamic *dynamic_of(const struct dl_phdr_info *object)
{
	for (int i = 0; i < object->dlpi_phnum; i++)
		if (object->dlpi_phdr[i].p_type == PT_DYNAMIC)
			return (const void *)(object->dlpi_addr + object->dlpi_phdr[i].p_vaddr);
	return NULL;
}

static bool read_table(const struct dl_phdr_info *object, struct table *table)
{
	*table = (struct table){0};
	for (const elf_dynamic *entry = dynamic_of(object); entry && entry->d_tag != DT_NULL; entry++)
		if (entry->d_tag == DT_SYMTAB)
			table->symbols = address_of(object, entry);
		else if (entry->d_tag == DT_STRTAB)
			table->names = address_of(object, entry);
		else if (entry->d_tag == DT_VERSYM)
			table->versions = address_of(object, entry);
		else if (entry->d_tag == DT_GNU_HASH)
			table->hash = address_of(object, entry);
	return table->symbols && table->names && table->hash && table->hash[0];
}

/* A function that is defined there; of several versions the default one. */
static bool is_it(const struct table *table, uint32_t i, const char *name)
{
	const elf_symbol *symbol = table->symbols + i;
	return symbol->st_shndx != SHN_UNDEF && (symbol->st_info & 15) == STT_FUNC &&
	       !(table->versions && table->versions[i] & 0x8000) &&
	       strcmp(table->names + symbol->st_name, name) == 0;
}

/* The hash is: buckets, the first symbol in them, words of a filter, a shift; filter; buckets; chains. */
static const elf_symbol *look_up(const struct table *table, const char *name)
{
	uint32_t hash = 5381, first = table->hash[1];
	for (const char *c = name; *c; c++)
		hash = hash * 33 + (unsigned char)*c;
	const uint32_t *buckets = (const void *)((const elf_address *)(table->hash + 4) + table->hash[2]);
	const uint32_t *chains = buckets + table->hash[0];
	uint32_t i = buckets[hash % table->hash[0]];
	for (; i >= first; i++) {
		if ((chains[i - first] | 1) == (hash | 1) && is_it(table, i, name))
			return table->symbols + i;
		if (chains[i - first] & 1)
			break;
	}
	return NULL;
}

struct next {
	const char *name;
	bool ours_seen;
	void *found;
};

static bool is_ours(const struct dl_phdr_info *object)
{
	elf_address here = (elf_address)&libc - object->dlpi_addr;
	for (int i = 0; i < object->dlpi_phnum; i++)
		if (object->dlpi_phdr[i].p_type == PT_LOAD && here >= object->dlpi_phdr[i].p_vaddr &&
			here - object->dlpi_phdr[i].p_vaddr < object->dlpi_phdr[i].p_memsz)
			return true;
	return false;
}

static int look_there(struct dl_phdr_info *object, size_t size, void *data)
{
	(void)size;
	struct next *next = data;
	struct table table;
	const elf_symbol *symbol = NULL;
	if (!next->ours_seen)
		next->ours_seen = is_ours(object);
	else if (read_table(object, &table))
		symbol = look_up(&table, next->name);
	if (symbol)
		next->found = (void *)(object->dlpi_addr + symbol->st_value);
	return next->found != NULL;
}

static void *find_next(const char *name)
{
	if (!__libc_dlopen_mode) /* glibc 2.34 or newer doesn't need it: it has dlsym() itself */
		return dlsym(RTLD_NEXT, name);
	struct next next = {.name = name};
	dl_iterate_phdr(look_there, &next);
	return next.found ? next.found : libc_find(RTLD_NEXT, name);
}
#else
void *libc_find(void *library, const char *name)
{
	return dlsym(library, name);
}

static void *find_next(const char *name)
{
	return dlsym(RTLD_NEXT, name);
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
	void *found = find_next(name);
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
