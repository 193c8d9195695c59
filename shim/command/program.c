/* SPDX-License-Identifier: MIT */
#include "program.h"

#include "core/script.h"
#include "system/search.h"

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
	char its[32], mine[32];
	switch (elf_kind(elf, own)) {
	case ELF_PRELOADED:
		return false;
	case ELF_OTHER_MACHINE:
		machine_name(elf, its);
		machine_name(own, mine);
		snprintf(why, ELF_REFUSAL,
			"is a program for %s, but this ip2vsock was built for %s, and a library can only be "
			"loaded into a program of its own kind: use an ip2vsock that was built for %s",
			its, mine, its);
		break;
	case ELF_GO:
		snprintf(why, ELF_REFUSAL,
			"is a Go program, which calls the kernel without libc, so a preloaded library would "
			"see none of its connections");
		break;
	case ELF_STATIC:
		snprintf(why, ELF_REFUSAL,
			"is statically linked%s, so there is no loader that could preload the library",
			elf->type == ET_DYN ? " (static-pie, or a shared library)" : "");
		break;
	case ELF_OTHER_LIBC:
		snprintf(why, ELF_REFUSAL,
			"belongs to another libc (its loader is %.100s, ours is %.100s), which can't load "
			"the library",
			elf_loader(elf), elf_loader(own));
		break;
	}
	return true;
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
	bool good = elf_read_image(elf, image.bytes, image.size);
	unmap(&image);
	return good ? 0 : ENOEXEC;
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

/* A path is looked up where it leads, any other name in PATH. */
static int refuse_missing(struct program *program, const char *name)
{
	char here[PATH_MAX];
	if (!*name)
		return refuse(program, EXIT_NOT_FOUND, "names no program");
	if (!strchr(name, '/'))
		return refuse(program, EXIT_NOT_FOUND,
			"can't be found in PATH: check the name, or write a path, such as ./%s", name);
	if (*name != '/' && getcwd(here, sizeof here))
		return refuse(program, EXIT_NOT_FOUND, "can't be found from the directory %s: check the path",
			here);
	return refuse(program, EXIT_NOT_FOUND, "can't be found: check the path");
}

static bool never_executable(const char *path)
{
	struct stat status;
	return !stat(path, &status) && S_ISREG(status.st_mode) &&
	       !(status.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH));
}

static int refuse_errno(struct program *program, const char *name, int error)
{
	if (error == ENOENT)
		return refuse_missing(program, name);
	return refuse(program, EXIT_NOT_EXECUTABLE, "can't be executed: %s%s", strerror(error),
		error == EACCES && never_executable(name) ? ": no one may execute it (chmod +x)" : "");
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
	if (!elf_read_image(&elf, image->bytes, image->size))
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

static int check_interpreter(
	struct program *program, const struct script *script, const struct elf *own, int depth)
{
	char name[SCRIPT_LINE], path[PATH_MAX];
	script_program(script, name);
	refuse(program, 0, "is a script, and its interpreter %s ", name);
	int error = search_program(name, getenv("PATH"), path);
	return error ? refuse_errno(program, name, error) : check_file(program, path, own, depth + 1);
}

static int check_file(struct program *program, const char *path, const struct elf *own, int depth)
{
	struct image image;
	struct script script;
	if (faccessat(AT_FDCWD, path, X_OK, AT_EACCESS))
		return refuse_errno(program, path, errno);
	if (faccessat(AT_FDCWD, path, R_OK, AT_EACCESS))
		return refuse(program, EXIT_REFUSED,
			"can't be read, so ip2vsock can't tell whether the library would be loaded into it: "
			"give read permission");
	if (!open_file(path, &image))
		return refuse_errno(program, path, errno);
	int result;
	if (image.size >= SELFMAG && !memcmp(image.bytes, ELFMAG, SELFMAG))
		result = check_elf(program, path, &image, own);
	else if (depth >= SCRIPT_DEPTH)
		result = refuse_errno(program, path, ELOOP);
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
	int error = search_program(name, getenv("PATH"), program->path);
	return error ? refuse_errno(program, name, error) : check_file(program, program->path, own, 0);
}
