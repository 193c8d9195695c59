/* SPDX-License-Identifier: MIT */
#include "outsider.h"

#include "environment.h"

#include "core/elf.h"
#include "core/errno.h"
#include "core/installation.h"
#include "core/script.h"
#include "core/shim.h"
#include "core/text.h"
#include "system/libc.h"
#include "system/log.h"
#include "system/search.h"

#include <fcntl.h>
#include <link.h>
#include <paths.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct elf own;		 /* of the program that the library is in, as far as elf_kind() asks */
static const char *library = ""; /* where it lies, for a program that has a map */

/* ---- at start ---- */

extern const ElfW(Ehdr) own_header __asm__("__ehdr_start") __attribute__((visibility("hidden")));

static bool look_at_program(const struct dl_phdr_info *object)
{
	bool go = false;
	own.class = own_header.e_ident[EI_CLASS];
	own.data = own_header.e_ident[EI_DATA];
	own.machine = own_header.e_machine;
	for (int i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
		const char *content = (const char *)object->dlpi_addr + segment->p_vaddr;
		if (segment->p_type == PT_INTERP && segment->p_memsz <= sizeof own.interpreter)
			memcpy(own.interpreter, content, segment->p_memsz);
		if (segment->p_type == PT_NOTE)
			go = go || elf_notes_of_go(content, segment->p_memsz);
	}
	return go;
}

/* The loader knows it as LD_PRELOAD names it, which may be relative to where the program began. */
static void keep_library(const char *name)
{
	static char whole[PATH_MAX];
	library = name;
	if (*name == '/' || !getcwd(whole, sizeof whole))
		return;
	struct text text = {.start = whole, .size = sizeof whole, .length = strlen(whole)};
	text_add(&text, "/");
	text_add(&text, name);
	library = whole;
}

struct first_look {
	bool begun, go;
};

/* The first object is the program; the library comes soon. */
static int look_at_object(struct dl_phdr_info *object, size_t size, void *context)
{
	struct first_look *look = context;
	(void)size;
	if (!look->begun)
		look->go = look_at_program(object);
	look->begun = true;
	if ((const void *)object->dlpi_addr != &own_header)
		return 0;
	keep_library(object->dlpi_name);
	return 1;
}

bool outsider_start(void)
{
	struct first_look look = {false, false};
	dl_iterate_phdr(look_at_object, &look);
	return look.go;
}

/* ---- a look at a file ---- */

/* open() and its kin are cancellation points, and the calls that execute aren't. */
static int open_uncancelled(int from, const char *path, int flags)
{
	flags |= O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
	return (int)libc.syscall(SYS_openat, from, (long)path, flags, 0, 0, 0);
}

static int read_uncancelled(int fd, void *bytes, size_t size)
{
	return (int)libc.syscall(SYS_read, fd, (long)bytes, (long)size, 0, 0, 0);
}

const char *outsider_part(struct elf_file *file, uint64_t offset, uint64_t length)
{
	struct window *window = (struct window *)file;
	if (offset > INT32_MAX || length > ELF_PART)
		return NULL;
	if (offset >= window->start && offset + length <= window->start + (uint64_t)window->size)
		return window->bytes + (offset - window->start);
	if (libc.syscall(SYS_lseek, window->fd, (long)offset, SEEK_SET, 0, 0, 0) < 0)
		return NULL;
	int size = read_uncancelled(window->fd, window->bytes, sizeof window->bytes);
	window->start = offset;
	window->size = size < 0 ? 0 : size;
	return (uint64_t)window->size < length ? NULL : window->bytes;
}

enum look { LOOK_NOTHING, LOOK_INSIDE, LOOK_OUTSIDE, LOOK_SCRIPT, LOOK_UNKNOWN };

static enum look judge_elf(struct window *window)
{
	struct elf elf;
	if (!elf_read(&elf, &window->file))
		return LOOK_OUTSIDE; /* the kernel reads less of it than we do: let the command judge */
	enum elf_kind kind = elf_kind(&elf, &own);
	bool loader_unknown = kind == ELF_OTHER_LIBC && !*own.interpreter;
	return kind == ELF_PRELOADED || loader_unknown ? LOOK_INSIDE : LOOK_OUTSIDE;
}

static enum look judge(struct window *window, struct script *script)
{
	size_t size = (size_t)window->size;
	if (window->size < 0) /* a directory */
		return LOOK_NOTHING;
	if (size >= sizeof(ElfW(Ehdr)) && memcmp(window->bytes, ELFMAG, SELFMAG) == 0)
		return judge_elf(window);
	return script_read(script, window->bytes, size) ? LOOK_SCRIPT : LOOK_UNKNOWN;
}

/* What may be executed and not read: one that gets other rights runs without the library in any case, as the
 * loader then ignores LD_PRELOAD; for the others the command has the words. */
static enum look judge_unreadable(int from, const char *path)
{
	struct stat status;
	if (faccessat(from, path, X_OK, AT_EACCESS) != 0 || fstatat(from, path, &status, 0) != 0)
		return LOOK_NOTHING;
	return S_ISREG(status.st_mode) && !(status.st_mode & (S_ISUID | S_ISGID)) ? LOOK_OUTSIDE
										  : LOOK_NOTHING;
}

/* Where no fd or memory is left, the command can look, which has closed what isn't for it. */
static enum look judge_unopened(int from, const char *path)
{
	if (errno == EACCES)
		return judge_unreadable(from, path);
	return errno == EMFILE || errno == ENFILE || errno == ENOMEM ? LOOK_OUTSIDE : LOOK_NOTHING;
}

static enum look look_at(int from, const char *path, int flags, struct script *script)
{
	struct window window = {.file = {outsider_part}};
	window.fd = open_uncancelled(from, path, flags & AT_SYMLINK_NOFOLLOW ? O_NOFOLLOW : 0);
	if (window.fd < 0)
		return judge_unopened(from, path);
	window.size = read_uncancelled(window.fd, window.bytes, sizeof window.bytes);
	enum look look = judge(&window, script);
	libc.syscall(SYS_close, window.fd, 0, 0, 0, 0, 0);
	return look;
}

/* A name of an fd, as the kernel makes one for a script that is executed by its fd. */
static void name_fd(int fd, char path[32])
{
	struct text text = text_in(path, 32);
	text_add(&text, "/proc/self/fd/");
	text_add_number(&text, (uint64_t)fd);
}

static const char *path_of(char *const *envp)
{
	static const char name[] = "PATH=";
	for (; envp && *envp; envp++)
		if (text_begins(*envp, name))
			return *envp + sizeof name - 1;
	return NULL;
}

/* A path takes 4 KiB of the stack: only where one must be put together. */
__attribute__((noinline)) static enum look look_in(
	const char *name, const char *directories, struct script *script)
{
	char path[PATH_MAX];
	return search_program(name, directories, path) == 0 ? look_at(AT_FDCWD, path, 0, script)
							    : LOOK_NOTHING;
}

static enum look look_at_named(const struct named *program, struct script *script)
{
	char path[32];
	if (program->search && !strchr(program->path, '/'))
		return look_in(program->path, getenv("PATH"), script);
	if (*program->path)
		return look_at(program->directory, program->path, program->flags, script);
	if (!(program->flags & AT_EMPTY_PATH))
		return LOOK_NOTHING;
	name_fd(program->directory, path);
	return look_at(AT_FDCWD, path, 0, script);
}

static enum look look_at_interpreter(struct script *script, char *const *envp)
{
	char name[SCRIPT_LINE];
	script_program(script, name);
	return strchr(name, '/') ? look_at(AT_FDCWD, name, 0, script) : look_in(name, path_of(envp), script);
}

/* Follows "#!" lines to what really runs. */
bool outsider(const struct named *program)
{
	struct script script;
	KEEP_ERRNO;
	if (!shim_active() || !program->path || !environment_has_map(program->envp))
		return false;
	enum look look = look_at_named(program, &script);
	for (int depth = 0; depth < SCRIPT_DEPTH && look == LOOK_SCRIPT; depth++)
		look = look_at_interpreter(&script, program->envp);
	if (look == LOOK_UNKNOWN && program->shell)
		look = look_at(AT_FDCWD, _PATH_BSHELL, 0, &script);
	return look == LOOK_OUTSIDE;
}

/* ---- what is executed instead ---- */

static bool same_file(const struct named *program, const char *path)
{
	struct stat one, other;
	int flags = program->flags | (*program->path ? 0 : AT_EMPTY_PATH);
	return fstatat(program->directory, program->path, &one, flags) == 0 && stat(path, &other) == 0 &&
	       one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

/* An fd isn't there any more when the command looks, so the file needs a path. */
static bool name_by_path(const struct named *program, char path[PATH_MAX])
{
	char link[32];
	name_fd(program->directory, link);
	ssize_t length = readlink(link, path, PATH_MAX);
	if (length <= 0 || length == PATH_MAX)
		return false;
	struct text text = {.start = path, .size = PATH_MAX, .length = (size_t)length};
	text_add(&text, *program->path ? "/" : "");
	text_add(&text, program->path);
	return !text.cut && same_file(program, path);
}

static bool name_program(const struct named *program, char path[PATH_MAX])
{
	char found[PATH_MAX];
	const char *name = program->path;
	if (!program->search && *name != '/' && program->directory != AT_FDCWD)
		return name_by_path(program, path);
	if (program->search && search_program(name, getenv("PATH"), found) == 0)
		name = found;
	struct text text = text_in(path, PATH_MAX);
	text_add(&text, strchr(name, '/') ? "" : "./"); /* the command would search for it */
	text_add(&text, name);
	return !text.cut;
}

static int refuse(const char *program, const char *why, const char *command, const char *remedy)
{
	log_error(
		program, " isn't run, since the library can't be preloaded into it: ", why, command, remedy);
	return EACCES;
}

static bool is_executable(const char *path)
{
	return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0;
}

static bool find_command(char command[PATH_MAX])
{
	char directory[PATH_MAX];
	struct text text = text_in(directory, sizeof directory);
	const char *slash = strrchr(library, '/');
	text_add_bytes(&text, library, slash ? (size_t)(slash - library) : 0);
	if (installation_built_command(directory, command) && is_executable(command))
		return true;
	return installation_command(directory, command) && is_executable(command);
}

int outsider_instead(const struct named *program, struct instead *instead)
{
	if (!name_program(program, instead->program))
		return refuse(*program->path ? program->path : "an open file",
			"the ip2vsock command, which would supervise it, needs a path to it", "",
			": execute it by its path");
	if (!is_executable(instead->program))
		return errno;
	instead->command[0] = '\0';
	if (find_command(instead->command))
		return 0;
	return refuse(instead->program, "the command that would supervise it isn't there: ", instead->command,
		": install it together with the library");
}

size_t outsider_arguments_room(char *const *argv)
{
	size_t count = 0;
	while (argv && argv[count])
		count++;
	return (INSTEAD_ARGUMENTS + count + 1) * sizeof *argv;
}

char *const *outsider_arguments(const struct instead *instead, char *const *argv, void *room)
{
	static char option[] = "--name", end[] = "--", none[] = "";
	char **at = room;
	bool named = argv && *argv;
	*at++ = (char *)instead->command;
	*at++ = option;
	*at++ = named ? *argv : none;
	*at++ = end;
	*at++ = (char *)instead->program;
	while (named && *++argv)
		*at++ = *argv;
	*at = NULL;
	return room;
}
