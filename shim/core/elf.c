/* SPDX-License-Identifier: MIT */
#include "elf.h"

#include <elf.h>
#include <link.h>
#include <string.h>

#define NATIVE_CLASS (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32)
#define NATIVE_DATA (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? ELFDATA2LSB : ELFDATA2MSB)

bool elf_notes_of_go(const char *notes, size_t size)
{
	ElfW(Nhdr) note;
	while (size >= sizeof note) {
		memcpy(&note, notes, sizeof note);
		uint64_t length = sizeof note + (((uint64_t)note.n_namesz + 3) & ~(uint64_t)3) +
				  (((uint64_t)note.n_descsz + 3) & ~(uint64_t)3);
		if (length > size)
			return false;
		if (note.n_namesz == 4 && memcmp(notes + sizeof note, "Go", 3) == 0)
			return true;
		notes += length;
		size -= length;
	}
	return false;
}

static bool read_interpreter(struct elf *elf, struct elf_file *file, const ElfW(Phdr) * segment)
{
	uint64_t length = segment->p_filesz;
	if (length < 2 || length > sizeof elf->interpreter)
		return false;
	const char *text = file->part(file, segment->p_offset, length);
	if (!text || text[length - 1])
		return false;
	memcpy(elf->interpreter, text, length);
	return true;
}

/* Linkers put all notes together in front of the file; what is beyond a part of it isn't Go's. */
static bool read_notes(struct elf *elf, struct elf_file *file, const ElfW(Phdr) * segment)
{
	size_t length = segment->p_filesz < ELF_PART ? segment->p_filesz : ELF_PART;
	const char *notes = file->part(file, segment->p_offset, length);
	if (notes)
		elf->go = elf->go || elf_notes_of_go(notes, length);
	return notes != NULL;
}

static bool read_segments(struct elf *elf, struct elf_file *file, const ElfW(Ehdr) * header)
{
	ElfW(Phdr) segment;
	for (size_t i = 0; i < header->e_phnum; i++) {
		const char *from = file->part(file, header->e_phoff + i * sizeof segment, sizeof segment);
		if (!from)
			return false;
		memcpy(&segment, from, sizeof segment);
		if (segment.p_type == PT_NOTE && !read_notes(elf, file, &segment))
			return false;
		if (segment.p_type == PT_INTERP && !elf->interpreter[0] &&
			!read_interpreter(elf, file, &segment))
			return false;
	}
	return true;
}

bool elf_read(struct elf *elf, struct elf_file *file)
{
	ElfW(Ehdr) header;
	memset(elf, 0, offsetof(struct elf, interpreter) + 1);
	const char *from = file->part(file, 0, sizeof header);
	if (!from || memcmp(from, ELFMAG, SELFMAG) != 0)
		return false;
	memcpy(&header, from, sizeof header);
	elf->class = header.e_ident[EI_CLASS];
	elf->data = header.e_ident[EI_DATA];
	bool swapped = elf->data != NATIVE_DATA;
	elf->type = swapped ? __builtin_bswap16(header.e_type) : header.e_type;
	elf->machine = swapped ? __builtin_bswap16(header.e_machine) : header.e_machine;
	if (elf->class != NATIVE_CLASS || swapped)
		return true;
	if ((elf->type != ET_EXEC && elf->type != ET_DYN) || header.e_phentsize != sizeof(ElfW(Phdr)))
		return false;
	return read_segments(elf, file, &header);
}

struct image {
	struct elf_file file;
	const char *bytes;
	size_t size;
};

static const char *part_of_image(struct elf_file *file, uint64_t offset, uint64_t length)
{
	const struct image *image = (const struct image *)file;
	return offset <= image->size && length <= image->size - offset ? image->bytes + offset : NULL;
}

bool elf_read_image(struct elf *elf, const void *bytes, size_t size)
{
	struct image image = {{part_of_image}, bytes, size};
	return elf_read(elf, &image.file);
}

bool elf_same_machine(const struct elf *a, const struct elf *b)
{
	return a->class == b->class && a->data == b->data && a->machine == b->machine;
}

const char *elf_loader(const struct elf *elf)
{
	const char *slash = strrchr(elf->interpreter, '/');
	return slash ? slash + 1 : elf->interpreter;
}

enum elf_kind elf_kind(const struct elf *elf, const struct elf *own)
{
	if (!elf_same_machine(elf, own))
		return ELF_OTHER_MACHINE;
	if (elf->go)
		return ELF_GO;
	if (!*elf_loader(elf))
		return ELF_STATIC;
	return strcmp(elf_loader(elf), elf_loader(own)) == 0 ? ELF_PRELOADED : ELF_OTHER_LIBC;
}
