/* SPDX-License-Identifier: MIT */
/* What an ELF file says about preloading: would the loader of one program put a library into another? The
 * command asks before it starts a program, the library before its program executes one. Pure, and safe in
 * signal handlers. */
#ifndef IP2VSOCK_ELF_H
#define IP2VSOCK_ELF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Readers may have little stack: the kernel takes 4 KiB of a loader's path, but there is none like that. */
enum { ELF_INTERPRETER = 512, ELF_PART = 2048 };

struct elf {
	uint8_t class, data; /* e_ident[EI_CLASS], e_ident[EI_DATA] */
	uint16_t type, machine;
	bool go;			   /* made by Go's own linker */
	char interpreter[ELF_INTERPRETER]; /* the loader that it asks for (PT_INTERP), "" if none */
};

/* A file, wherever its bytes are. */
struct elf_file {
	/* `length` bytes, at most ELF_PART, from `offset` on, until the next call; NULL: not there. */
	const char *(*part)(struct elf_file *file, uint64_t offset, uint64_t length);
};

/* false: cut off or corrupt. Of another class or byte order than this process only the first four fields are
 * read. */
bool elf_read(struct elf *elf, struct elf_file *file);
bool elf_read_image(struct elf *elf, const void *image, size_t size);

const char *elf_loader(const struct elf *elf); /* its name without directories */
bool elf_same_machine(const struct elf *a, const struct elf *b);

/* Would the loader that preloads into `own` do so into `elf`, and if not, why? */
enum elf_kind { ELF_PRELOADED, ELF_OTHER_MACHINE, ELF_GO, ELF_STATIC, ELF_OTHER_LIBC };
enum elf_kind elf_kind(const struct elf *elf, const struct elf *own);

/* Go's linker leaves its build ID as a note of the owner "Go", in a program that uses libc's loader as well.
 */
bool elf_notes_of_go(const char *notes, size_t size);

#endif
