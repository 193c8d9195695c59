/* SPDX-License-Identifier: MIT */
/* Would the loader preload our library into this program? Looks at a file as the kernel and the loader would.
 * Where they would run it without us, its connections would go over IP unseen, so the command doesn't start
 * it. */
#ifndef IP2VSOCK_PROGRAM_H
#define IP2VSOCK_PROGRAM_H

#include "core/settings.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What decides about preloading. Read from the program, the command and the library alike. */
struct elf {
	uint8_t class, data; /* e_ident[EI_CLASS], e_ident[EI_DATA] */
	uint16_t type, machine;
	char interpreter[PATH_MAX]; /* the loader that it asks for (PT_INTERP), "" if none */
	bool go;		    /* made by Go's own linker */
};

/* Reads an ELF file's image. false: cut off or corrupt. Of another class or byte order than this process only
 * the first four fields are read. */
bool elf_read(struct elf *elf, const void *image, size_t size);
bool elf_same_machine(const struct elf *a, const struct elf *b);
/* Why the loader that preloads into `own` wouldn't do so into `elf`, a sentence; false: it would. */
enum { ELF_REFUSAL = 512 };
bool elf_refused(const struct elf *elf, const struct elf *own, char why[ELF_REFUSAL]);

/* The interpreter and its argument of a "#!" line, as the kernel reads it. false: there is none. */
struct script {
	char interpreter[256];
	char argument[256]; /* "" if none */
};
bool script_read(struct script *script, const void *image, size_t size);
/* Which program "env ARGUMENT" will run, "" if it names none. */
void script_env_program(const char *argument, char program[256]);

/* Reads a file's struct elf: 0, ENOEXEC if it is none, or another errno. */
int elf_read_file(struct elf *elf, const char *path);

enum { EXIT_NOT_EXECUTABLE = 126, EXIT_NOT_FOUND = 127 };

struct program {
	char path[PATH_MAX];			  /* the file to execute, found by PATH as execvp does */
	char message[2 * PATH_MAX + ELF_REFUSAL]; /* why not, a sentence without "ip2vsock: " and newline */
	bool foreign; /* it could be executed; only the library can't be preloaded into it */
};

/* 0: run program->path. Else the exit status, with program->message. `own` is the command's own. */
int program_check(struct program *program, const char *name, const struct elf *own);

#endif
