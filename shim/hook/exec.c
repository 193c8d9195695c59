/* SPDX-License-Identifier: MIT */
/* A program that was started under the map keeps its children under it, also where it clears or rebuilds
 * their environment, and where the library can't be loaded into them: then the command is executed, which
 * supervises them (IP2VSOCK_FOLLOW=0: neither). What is needed lies on the stack: these functions may be
 * called in a vfork child or a signal handler, where there is no malloc. */
#include "core/text.h"
#include "process/environment.h"
#include "process/outsider.h"
#include "socket/stream.h"
#include "system/libc.h"

#include <alloca.h>
#include <errno.h>
#include <fcntl.h>
#include <paths.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The environment `envp`, completed: on the caller's stack, so this can't be a function. */
#define FOLLOWED(envp)                                                                                       \
	(environment_is_complete(envp) ? (envp) : environment_complete(envp, alloca(environment_room(envp))))

/* The environment of the command, likewise. */
#define OUTSIDE(envp) environment_outside(envp, alloca(environment_outside_room(envp)))
#define INSTEAD_OF(argv, instead) outsider_arguments(instead, argv, alloca(outsider_arguments_room(argv)))

__attribute__((noinline)) static int execute_outside(const struct named *program, char *const *argv)
{
	struct instead instead;
	int error = outsider_instead(program, &instead);
	if (error) {
		errno = error;
		return -1;
	}
	char *const *envp = FOLLOWED(program->envp);
	return libc.execve(instead.command, INSTEAD_OF(argv, &instead), OUTSIDE(envp));
}

int hook_execve(const char *path, char *const *argv, char *const *envp)
{
	struct named program = {.directory = AT_FDCWD, .path = path, .envp = envp};
	stream_mark_inherited();
	if (outsider(&program))
		return execute_outside(&program, argv);
	return libc.execve(path, argv, FOLLOWED(envp));
}

int hook_execv(const char *path, char *const *argv)
{
	return hook_execve(path, argv, environ);
}

int hook_execvpe(const char *file, char *const *argv, char *const *envp)
{
	struct named program = {
		.directory = AT_FDCWD, .path = file, .search = true, .shell = true, .envp = envp};
	stream_mark_inherited();
	if (outsider(&program))
		return execute_outside(&program, argv);
	return libc.execvpe(file, argv, FOLLOWED(envp));
}

int hook_execvp(const char *file, char *const *argv)
{
	return hook_execvpe(file, argv, environ);
}

int hook_fexecve(int fd, char *const *argv, char *const *envp)
{
	struct named program = {.directory = fd, .path = "", .flags = AT_EMPTY_PATH, .envp = envp};
	stream_mark_inherited();
	if (outsider(&program))
		return execute_outside(&program, argv);
	return libc.fexecve(fd, argv, FOLLOWED(envp));
}

#ifdef __GLIBC__
int hook_execveat(int directory, const char *path, char *const *argv, char *const *envp, int flags)
{
	struct named program = {.directory = directory, .path = path, .flags = flags, .envp = envp};
	stream_mark_inherited();
	if (outsider(&program))
		return execute_outside(&program, argv);
	return libc.execveat(directory, path, argv, FOLLOWED(envp), flags);
}
#endif

/* execl and its kin gather their arguments into an array; NULL ends them, and for execle the environment
 * follows. */
#define GATHER(argv, first, last)                                                                            \
	size_t count = 1;                                                                                    \
	va_list list;                                                                                        \
	va_start(list, first);                                                                               \
	while (va_arg(list, char *))                                                                         \
		count++;                                                                                     \
	va_end(list);                                                                                        \
	char **argv = alloca((count + 1) * sizeof *argv);                                                    \
	va_start(list, first);                                                                               \
	argv[0] = (char *)first;                                                                             \
	for (size_t i = 1; i <= count; i++)                                                                  \
		argv[i] = va_arg(list, char *);                                                              \
	last;                                                                                                \
	va_end(list)

int hook_execl(const char *path, const char *first, ...) __asm__("execl")
	__attribute__((visibility("default")));
int hook_execlp(const char *file, const char *first, ...) __asm__("execlp")
	__attribute__((visibility("default")));
int hook_execle(const char *path, const char *first, ...) __asm__("execle")
	__attribute__((visibility("default")));

int hook_execl(const char *path, const char *first, ...)
{
	GATHER(argv, first, );
	return hook_execve(path, argv, environ);
}

int hook_execlp(const char *file, const char *first, ...)
{
	GATHER(argv, first, );
	return hook_execvpe(file, argv, environ);
}

int hook_execle(const char *path, const char *first, ...)
{
	char *const *envp;
	GATHER(argv, first, envp = va_arg(list, char *const *));
	return hook_execve(path, argv, envp);
}

/* posix_spawn(), with the program that it names. */
struct spawn {
	pid_t *pid;
	const posix_spawn_file_actions_t *actions;
	const posix_spawnattr_t *attributes;
};

__attribute__((noinline)) static int spawn_outside(
	const struct named *program, char *const *argv, const struct spawn *spawn)
{
	struct instead instead;
	int error = outsider_instead(program, &instead);
	if (error)
		return error;
	char *const *envp = FOLLOWED(program->envp);
	return libc.posix_spawn(spawn->pid, instead.command, spawn->actions, spawn->attributes,
		INSTEAD_OF(argv, &instead), OUTSIDE(envp));
}

int hook_posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
	const posix_spawnattr_t *attributes, char *const *argv, char *const *envp)
{
	struct named program = {.directory = AT_FDCWD, .path = path, .envp = envp};
	stream_mark_inherited();
	if (outsider(&program))
		return spawn_outside(&program, argv, &(struct spawn){pid, actions, attributes});
	return libc.posix_spawn(pid, path, actions, attributes, argv, FOLLOWED(envp));
}

int hook_posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
	const posix_spawnattr_t *attributes, char *const *argv, char *const *envp)
{
	struct named program = {.directory = AT_FDCWD, .path = file, .search = true, .envp = envp};
	stream_mark_inherited();
	if (outsider(&program))
		return spawn_outside(&program, argv, &(struct spawn){pid, actions, attributes});
	return libc.posix_spawnp(pid, file, actions, attributes, argv, FOLLOWED(envp));
}

static void quote(FILE *to, const char *text)
{
	putc('\'', to);
	for (; *text; text++)
		fputs(*text == '\'' ? "'\\''" : (char[]){*text, '\0'}, to);
	putc('\'', to);
}

static void put_environment(FILE *to, char *const *envp)
{
	char *const *own = environ;
	for (char *const *one = envp; *one; one++) {
		bool inherited =
			own && *own && *own == *one; /* by the shell; the rest is ours, and its names are */
		if (own && *own)
			own++;
		if (inherited)
			continue;
		const char *value = strchr(*one, '=') + 1;
		fprintf(to, "export %.*s", (int)(value - *one), *one);
		quote(to, value);
		fputs("; ", to);
	}
}

/* The list that the command and what it runs get. */
static void put_preload(FILE *to, char *const *envp)
{
	static const char name[] = "LD_PRELOAD=";
	while (*envp && !text_begins(*envp, name))
		envp++;
	fputs(*envp ? "export LD_PRELOAD=" : "unset LD_PRELOAD", to);
	if (*envp)
		quote(to, *envp + sizeof name - 1);
	fputs("; ", to);
}

/* libc starts the shell by itself, with the process's environment, which other threads may be reading: where
 * that has been cleared, the shell is given what is missing, and makes way for the one that was asked for,
 * or, if it is a program that the library can't be loaded into, for the command (`instead`). */
static char *with_environment(const char *command, const struct instead *instead)
{
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);
	if (!to)
		return NULL;
	char *const *envp = FOLLOWED(environ);
	put_environment(to, envp);
	if (instead)
		put_preload(to, OUTSIDE(envp));
	fputs("exec ", to);
	if (instead) {
		quote(to, instead->command);
		fputs(" --name sh -- ", to);
	}
	fputs("/bin/sh -c ", to);
	quote(to, command);
	fputs(" sh", to);
	libc.fclose(to);
	return text;
}

/* What must follow a program into the shell that libc starts for it: *whole, in place of the command; NULL:
 * nothing. Returns 0 or an errno. */
static int follow_into_shell(const char *command, char **whole)
{
	struct named shell = {.directory = AT_FDCWD, .path = _PATH_BSHELL, .envp = environ};
	struct instead instead;
	*whole = NULL;
	stream_mark_inherited();
	if (!command)
		return 0;
	bool outside = outsider(&shell);
	if (!outside && environment_is_complete(environ))
		return 0;
	int error = outside ? outsider_instead(&shell, &instead) : 0;
	if (error)
		return error;
	*whole = with_environment(command, outside ? &instead : NULL);
	return *whole ? 0 : ENOMEM;
}

#define IN_SHELL(command, failure, call)                                                                     \
	({                                                                                                   \
		char *whole;                                                                                 \
		__typeof__(call) result = failure;                                                           \
		int error = follow_into_shell(command, &whole);                                              \
		if (whole)                                                                                   \
			command = whole;                                                                     \
		if (error)                                                                                   \
			errno = error;                                                                       \
		else                                                                                         \
			result = (call);                                                                     \
		free(whole);                                                                                 \
		result;                                                                                      \
	})

int hook_system(const char *command)
{
	return IN_SHELL(command, -1, libc.system(command));
}

FILE *hook_popen(const char *command, const char *mode)
{
	return IN_SHELL(command, NULL, libc.popen(command, mode));
}
