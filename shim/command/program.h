/* SPDX-License-Identifier: MIT */
/* Would the loader preload our library into this program? Looks at a file as the kernel and the loader would.
 * Where they would run it without us, its connections would go over IP unseen, so the command doesn't start
 * it. */
#ifndef IP2VSOCK_PROGRAM_H
#define IP2VSOCK_PROGRAM_H

#include "core/elf.h"
#include "core/settings.h"

#include <limits.h>
#include <stdbool.h>

/* Why the loader that preloads into `own` wouldn't do so into `elf`, in words; false: it would. */
enum { ELF_REFUSAL = 512 };
bool elf_refused(const struct elf *elf, const struct elf *own, char why[ELF_REFUSAL]);

/* Reads a file's struct elf: 0, ENOEXEC if it is none, or another errno. */
int elf_read_file(struct elf *elf, const char *path);

enum { EXIT_NOT_EXECUTABLE = 126, EXIT_NOT_FOUND = 127 };

struct program {
	char path[PATH_MAX];			  /* the file to execute, found by PATH as execvp does */
	char message[2 * PATH_MAX + ELF_REFUSAL]; /* why not, a sentence without "ip2vsock: " and newline */
	bool foreign; /* it could be executed; only the library can't be preloaded into it, as the message
		       * says
		       */
};

/* 0: run program->path. Else the exit status, with program->message. `own` is the command's own. */
int program_check(struct program *program, const char *name, const struct elf *own);

#endif
