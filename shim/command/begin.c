/* SPDX-License-Identifier: MIT */
/* What crt1.o calls was given another version by glibc 2.34, from which on it finds the program's
 * constructors by itself. The older version, which it still has, is given a function that calls them. The
 * linker's --wrap puts this in between. */
#ifdef OLDEST_GLIBC
typedef void constructor(int count, char **arguments, char **environment);
typedef int entry(int count, char **arguments, char **environment);

__asm__(".symver oldest_start, __libc_start_main@" OLDEST_GLIBC);
int oldest_start(entry *main, int count, char **arguments, constructor *start, void (*end)(void),
	void (*loader_end)(void), void *stack);
int __wrap___libc_start_main(entry *main, int count, char **arguments, constructor *start, void (*end)(void),
	void (*loader_end)(void), void *stack);

extern constructor *const __init_array_start[] __attribute__((visibility("hidden")));
extern constructor *const __init_array_end[] __attribute__((visibility("hidden")));

static void construct(int count, char **arguments, char **environment)
{
	for (constructor *const *one = __init_array_start; one < __init_array_end; one++)
		(*one)(count, arguments, environment);
}

int __wrap___libc_start_main(entry *main, int count, char **arguments, constructor *start, void (*end)(void),
	void (*loader_end)(void), void *stack)
{
	return oldest_start(main, count, arguments, start ? start : construct, end, loader_end, stack);
}
#endif
