/* SPDX-License-Identifier: MIT */
#include "program.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <linux/capability.h>
#include <paths.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { SCRIPT_DEPTH = 5, SCRIPT_LINE = 256 }; /* the kernel's: binprm recursion, BINPRM_BUF_SIZE since 5.1 */

#define NATIVE_CLASS (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32)
#define NATIVE_DATA (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? ELFDATA2LSB : ELFDATA2MSB)

/* The bytes of the image from `offset` on, NULL where they aren't all there. */
static const char *part(const void *image, size_t size, uint64_t offset, uint64_t length)
{
	return offset <= size && length <= size - offset ? (const char *)image + offset : NULL;
}

/* Go's linker leaves its build ID as a note of the owner "Go", in a program that uses libc's loader as well.
 */
static bool notes_of_go(const char *notes, size_t size)
{
	ElfW(Nhdr) note;
	while (size >= sizeof(note)) {
		memcpy(&note, notes, sizeof(note));
		uint64_t length = sizeof(note) + (((uint64_t)note.n_namesz + 3) & ~(uint64_t)3) +
				  (((uint64_t)note.n_descsz + 3) & ~(uint64_t)3);
		if (length > size)
			return false;
		if (note.n_namesz == 4 && !memcmp(notes + sizeof(note), "Go", 3))
			return true;
		notes += length;
		size -= length;
	}
	return false;
}

static bool read_interpreter(struct elf *elf, const char *text, size_t length)
{
	if (length < 2 || length > sizeof(elf->interpreter) || text[length - 1])
		return false;
	memcpy(elf->interpreter, text, length);
	return true;
}

static bool read_segments(struct elf *elf, const void *image, size_t size, const ElfW(Ehdr) * header)
{
	ElfW(Phdr) segment;
	for (size_t i = 0; i < header->e_phnum; i++) {
		const char *from = part(image, size, header->e_phoff, (i + 1) * sizeof(segment));
		if (!from)
			return false;
		memcpy(&segment, from + i * sizeof(segment), sizeof(segment));
		if (segment.p_type != PT_INTERP && segment.p_type != PT_NOTE)
			continue;
		const char *content = part(image, size, segment.p_offset, segment.p_filesz);
		if (!content)
			return false;
		if (segment.p_type == PT_NOTE)
			elf->go = elf->go || notes_of_go(content, segment.p_filesz);
		else if (!elf->interpreter[0] && !read_interpreter(elf, content, segment.p_filesz))
			return false;
	}
	return true;
}

bool elf_read(struct elf *elf, const void *image, size_t size)
{
	ElfW(Ehdr) header;
	*elf = (struct elf){0};
	if (size < sizeof(header) || memcmp(image, ELFMAG, SELFMAG) != 0)
		return false;
	memcpy(&header, image, sizeof(header));
	elf->class = header.e_ident[EI_CLASS];
	elf->data = header.e_ident[EI_DATA];
	bool swapped = elf->data != NATIVE_DATA;
	elf->type = swapped ? __builtin_bswap16(header.e_type) : header.e_type;
	elf->machine = swapped ? __builtin_bswap16(header.e_machine) : header.e_machine;
	if (elf->class != NATIVE_CLASS || swapped)
		return true;
	if ((elf->type != ET_EXEC && elf->type != ET_DYN) || header.e_phentsize != sizeof(ElfW(Phdr)))
		return false;
	return read_segments(elf, image, size, &header);
}

bool elf_same_machine(const struct elf *a, const struct elf *b)
{
	return a->class == b->class && a->data == b->data && a->machine == b->machine;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

static void machine_name(const struct elf *elf, char name[32])
{
	static const struct {
		uint16_t machine;
		const char *name;
	} known[] = {{EM_386, "i386"}, {EM_X86_64, "x86-64"}, {EM_ARM, "ARM"}, {EM_AARCH64, "AArch64"},
		{EM_RISCV, "RISC-V"}, {EM_PPC64, "PowerPC 64"}, {EM_S390, "s390"}, {EM_MIPS, "MIPS"}};
	const char *bits = elf->class == ELFCLASS64 ? "64-bit" : "32-bit";
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (known[i].machine == elf->machine) {
			snprintf(name, 32, "%s %s", bits, known[i].name);
			return;
		}
	snprintf(name, 32, "%s machine %u", bits, elf->machine);
}

bool elf_refused(const struct elf *elf, const struct elf *own, char why[ELF_REFUSAL])
{
	const char *wanted = base_name(elf->interpreter), *ours = base_name(own->interpreter);
	if (!elf_same_machine(elf, own)) {
		char its[32], mine[32];
		machine_name(elf, its);
		machine_name(own, mine);
		snprintf(why, ELF_REFUSAL,
			"is a program for %s, but this ip2vsock was built for %s, and a library can only be "
			"loaded "
			"into a program of its own kind: use an ip2vsock that was built for %s",
			its, mine, its);
	} else if (elf->go) {
		snprintf(why, ELF_REFUSAL,
			"is a Go program, which calls the kernel without libc, so a preloaded library would "
			"see "
			"none of its connections: give it a proxy that runs under ip2vsock");
	} else if (!*wanted) {
		snprintf(why, ELF_REFUSAL,
			"is statically linked%s, so there is no loader that could preload the library: link "
			"it "
			"dynamically, or give it a proxy that runs under ip2vsock",
			elf->type == ET_DYN ? " (static-pie, or a shared library)" : "");
	} else if (strcmp(wanted, ours) != 0) {
		snprintf(why, ELF_REFUSAL,
			"belongs to another libc (its loader is %.100s, ours is %.100s), which can't load "
			"the "
			"library: use an ip2vsock that was built with the program's libc",
			wanted, ours);
	} else {
		return false;
	}
	return true;
}

/* Cuts the word at *text off: returns it, and *text is behind it. */
static char *next_word(char **text)
{
	char *word = *text + strspn(*text, " \t");
	*text = word + strcspn(word, " \t");
	if (**text)
		*(*text)++ = '\0';
	return word;
}

bool script_read(struct script *script, const void *image, size_t size)
{
	char line[SCRIPT_LINE + 1] = "";
	if (size < 2 || memcmp(image, "#!", 2) != 0)
		return false;
	memcpy(line, (const char *)image + 2, size < SCRIPT_LINE ? size - 2 : SCRIPT_LINE - 2);
	line[strcspn(line, "\n")] = '\0';
	for (size_t end = strlen(line); end && strchr(" \t", line[end - 1]);)
		line[--end] = '\0';
	char *rest = line;
	strcpy(script->interpreter, next_word(&rest));
	strcpy(script->argument, rest + strspn(rest, " \t"));
	return script->interpreter[0] != '\0';
}

void script_env_program(const char *argument, char program[256])
{
	char words[256];
	snprintf(words, sizeof(words), "%s", argument);
	char *rest = words, *word = next_word(&rest);
	char *split = word[0] == '-' && word[1] != '-' ? strchr(word, 'S') : NULL;
	if (!strncmp(word, "--split-string", 14))
		split = word + 13;
	if (!split) { /* env gets all of the line as one word */
		snprintf(program, 256, "%s", argument);
		return;
	}
	word = split[1] ? split + 1 + (split[1] == '=') : next_word(&rest);
	while (*word == '-' || strchr(word, '=')) {
		if (!strcmp(word, "-u") || !strcmp(word, "-C"))
			next_word(&rest);
		word = next_word(&rest);
	}
	snprintf(program, 256, "%s", word);
}

/* A whole file; NULL with errno: none that can be executed. */
struct image {
	const void *bytes;
	size_t size;
	struct stat status;
};

static bool map_file(int fd, struct image *image)
{
	if (fstat(fd, &image->status) < 0)
		return false;
	if (!S_ISREG(image->status.st_mode)) {
		errno = S_ISDIR(image->status.st_mode) ? EISDIR : EACCES;
		return false;
	}
	image->size = (size_t)image->status.st_size;
	image->bytes = image->size ? mmap(NULL, image->size, PROT_READ, MAP_PRIVATE, fd, 0) : "";
	return image->bytes != MAP_FAILED;
}

static bool open_file(const char *path, struct image *image)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return false;
	bool good = map_file(fd, image);
	int error = errno;
	close(fd);
	errno = error;
	return good;
}

static void unmap(const struct image *image)
{
	if (image->size)
		munmap((void *)image->bytes, image->size);
}

int elf_read_file(struct elf *elf, const char *path)
{
	struct image image;
	if (!open_file(path, &image))
		return errno;
	bool good = elf_read(elf, image.bytes, image.size);
	unmap(&image);
	return good ? 0 : ENOEXEC;
}

/* As execvp: a directory without the file, or with one that mustn't be executed, is passed by. */
static int find_program(const char *name, char path[PATH_MAX])
{
	char standard[PATH_MAX] = "";
	const char *directories = getenv("PATH");
	int error = ENOENT;
	if (!*name)
		return ENOENT;
	if (strchr(name, '/'))
		return snprintf(path, PATH_MAX, "%s", name) < PATH_MAX ? 0 : ENAMETOOLONG;
	if (!directories) {
		confstr(_CS_PATH, standard, sizeof(standard));
		directories = standard;
	}
	for (const char *at = directories;; at++) {
		int length = (int)strcspn(at, ":");
		struct stat status;
		if (snprintf(path, PATH_MAX, "%.*s%s%s", length, at, length ? "/" : "", name) >= PATH_MAX)
			error = ENAMETOOLONG;
		else if (!stat(path, &status) && S_ISREG(status.st_mode)) {
			if (!faccessat(AT_FDCWD, path, X_OK, AT_EACCESS))
				return 0;
			error = EACCES;
		}
		at += length;
		if (!*at)
			return error;
	}
}

__attribute__((format(printf, 3, 4))) static int refuse(
	struct program *program, int status, const char *format, ...)
{
	size_t length = strlen(program->message);
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(program->message + length, sizeof(program->message) - length, format, arguments);
	va_end(arguments);
	return status;
}

static int refuse_errno(struct program *program, int error)
{
	if (error == ENOENT)
		return refuse(program, EXIT_NOT_FOUND, "can't be found: check the name and PATH");
	return refuse(program, EXIT_NOT_EXECUTABLE, "can't be executed: %s", strerror(error));
}

/* The kernel heeds set-ID bits and file capabilities only where the file system and the process let it. The
 * loader then runs in secure mode, and there LD_PRELOAD counts for nothing. */
static bool changes_user(const struct stat *status, bool bits_count, char why[ELF_REFUSAL])
{
	uid_t user = bits_count && status->st_mode & S_ISUID ? status->st_uid : geteuid();
	bool group_bit = (status->st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP);
	gid_t group = bits_count && group_bit ? status->st_gid : getegid();
	if (user != getuid())
		snprintf(why, ELF_REFUSAL,
			"is set-user-ID: it would run as user %ld instead of %ld, and the loader then "
			"ignores "
			"LD_PRELOAD: become that user first, or use a copy without the bit",
			(long)user, (long)getuid());
	else if (group != getgid())
		snprintf(why, ELF_REFUSAL,
			"is set-group-ID: it would run with group %ld instead of %ld, and the loader then "
			"ignores "
			"LD_PRELOAD: take that group first (newgrp), or use a copy without the bit",
			(long)group, (long)getgid());
	else
		return false;
	return true;
}

static bool has_capabilities(const char *path)
{
	struct vfs_ns_cap_data value = {0};
	ssize_t length = getxattr(path, "security.capability", &value, sizeof(value));
	if (length < (ssize_t)XATTR_CAPS_SZ_1)
		return false;
	return value.magic_etc & VFS_CAP_FLAGS_EFFECTIVE || value.data[0].permitted ||
	       value.data[1].permitted;
}

static bool runs_secure(const char *path, const struct stat *status, char why[ELF_REFUSAL])
{
	struct statvfs system;
	bool nosuid = !statvfs(path, &system) && system.f_flag & ST_NOSUID;
	if (changes_user(status, !nosuid && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1, why))
		return true;
	if (nosuid || getuid() == 0 || !has_capabilities(path))
		return false;
	snprintf(why, ELF_REFUSAL,
		"has file capabilities, and the loader then ignores LD_PRELOAD: use a copy without them and "
		"give the "
		"capabilities to the process (setpriv --ambient-caps)");
	return true;
}

static int check_elf(
	struct program *program, const char *path, const struct image *image, const struct elf *own)
{
	struct elf elf;
	char why[ELF_REFUSAL];
	if (!elf_read(&elf, image->bytes, image->size))
		return refuse(
			program, EXIT_NOT_EXECUTABLE, "can't be executed: a corrupt or cut off ELF file");
	if (runs_secure(path, &image->status, why))
		return refuse(program, EXIT_REFUSED, "%s", why);
	if (elf_refused(&elf, own, why)) {
		program->foreign = elf_same_machine(&elf, own);
		return refuse(program, EXIT_REFUSED, "%s", why);
	}
	if (access(elf.interpreter, X_OK))
		return refuse(program, EXIT_NOT_FOUND, "needs the loader %s, which can't be executed: %s",
			elf.interpreter, strerror(errno));
	return 0;
}

static int check_file(struct program *program, const char *path, const struct elf *own, int depth);

/* env only passes its environment on, so it may be of any kind itself; what it runs matters. */
static int check_interpreter(
	struct program *program, const struct script *script, const struct elf *own, int depth)
{
	char name[256], path[PATH_MAX];
	snprintf(name, sizeof(name), "%s", script->interpreter);
	if (!strcmp(base_name(name), "env"))
		script_env_program(script->argument, name);
	refuse(program, 0, "is a script, and its interpreter %s ", name);
	int error = find_program(name, path);
	return error ? refuse_errno(program, error) : check_file(program, path, own, depth + 1);
}

static int check_file(struct program *program, const char *path, const struct elf *own, int depth)
{
	struct image image;
	struct script script;
	if (faccessat(AT_FDCWD, path, X_OK, AT_EACCESS))
		return refuse_errno(program, errno);
	if (faccessat(AT_FDCWD, path, R_OK, AT_EACCESS))
		return refuse(program, EXIT_REFUSED,
			"can't be read, so ip2vsock can't tell whether the library would be loaded into it: "
			"give read permission");
	if (!open_file(path, &image))
		return refuse_errno(program, errno);
	int result;
	if (image.size >= SELFMAG && !memcmp(image.bytes, ELFMAG, SELFMAG))
		result = check_elf(program, path, &image, own);
	else if (depth >= SCRIPT_DEPTH)
		result = refuse_errno(program, ELOOP);
	else if (script_read(&script, image.bytes, image.size))
		result = check_interpreter(program, &script, own, depth);
	else /* execvp gives what the kernel doesn't know to the shell */
		result =
			check_interpreter(program, &(struct script){.interpreter = _PATH_BSHELL}, own, depth);
	unmap(&image);
	return result;
}

int program_check(struct program *program, const char *name, const struct elf *own)
{
	program->message[0] = '\0';
	program->foreign = false;
	refuse(program, 0, "%s ", *name ? name : "\"\"");
	int error = find_program(name, program->path);
	return error ? refuse_errno(program, error) : check_file(program, program->path, own, 0);
}
