/* SPDX-License-Identifier: MIT */
/* Programs that the loader would run without this library: static ones, Go's, those of another libc or
 * machine. A preloaded program that executes one executes the ip2vsock command for it instead, which
 * supervises it, or says why it can't and ends with 125; so the map isn't lost. Async-signal-safe, no
 * cancellation point, and nothing is kept: it may run in a child of vfork(). */
#ifndef IP2VSOCK_OUTSIDER_H
#define IP2VSOCK_OUTSIDER_H

#include "core/elf.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

/* Looks at the program that it is in, and where the library lies, once, at start. Is it a Go program? */
bool outsider_start(void);

/* A program, as a call names it. */
struct named {
	int directory; /* of a path that isn't absolute */
	const char *path;
	int flags;   /* AT_EMPTY_PATH: `directory` is the program itself; AT_SYMLINK_NOFOLLOW */
	bool search; /* by PATH */
	bool shell;  /* runs what the kernel doesn't know */
	char *const *envp;
};

/* Would it lose the map? Not if `envp`, completed, has none. For what isn't there the kernel has the answer.
 * An open, a read and a close, and for each "#!" as many; what a search adds is there. */
bool outsider(const struct named *program);

/* What is executed in its place. 0, or the errno of a call that is refused; a line has said why. */
struct instead {
	char command[PATH_MAX], program[PATH_MAX];
};
int outsider_instead(const struct named *program, struct instead *instead);

/* Its arguments, in `room`: of the command's own, and then those that are the program's. */
enum { INSTEAD_ARGUMENTS = 5 };
size_t outsider_arguments_room(char *const *argv);
char *const *outsider_arguments(const struct instead *instead, char *const *argv, void *room);

/* A part of a file in memory: the first, as long as nothing else is asked for. */
struct window {
	struct elf_file file; /* its part() is outsider_part() */
	int fd;
	uint64_t start;
	int size; /* of what is in bytes; negative: it couldn't be read */
	char bytes[ELF_PART];
};
const char *outsider_part(struct elf_file *file, uint64_t offset, uint64_t length);

#endif
