/* SPDX-License-Identifier: MIT */
/* A program that was started under the map keeps its children under it, also where it clears or rebuilds
 * their environment (IP2VSOCK_FOLLOW=0: not). The environment is completed on the stack: these functions may
 * be called in a vfork child or a signal handler, where there is no malloc. */
#include "process/environment.h"
#include "socket/stream.h"
#include "system/libc.h"

#include <alloca.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The environment `envp`, completed: on the caller's stack, so this can't be a function. */
#define FOLLOWED(envp)                                                                                       \
	(environment_is_complete(envp) ? (envp) : environment_complete(envp, alloca(environment_room(envp))))

int hook_execve(const char *path, char *const *argv, char *const *envp)
{
	stream_mark_inherited();
	return libc.execve(path, argv, FOLLOWED(envp));
}

int hook_execv(const char *path, char *const *argv)
{
	return hook_execve(path, argv, environ);
}

int hook_execvpe(const char *file, char *const *argv, char *const *envp)
{
	stream_mark_inherited();
	return libc.execvpe(file, argv, FOLLOWED(envp));
}

int hook_execvp(const char *file, char *const *argv)
{
	return hook_execvpe(file, argv, environ);
}

int hook_fexecve(int fd, char *const *argv, char *const *envp)
{
	stream_mark_inherited();
	return libc.fexecve(fd, argv, FOLLOWED(envp));
}

#ifdef __GLIBC__
int hook_execveat(int directory, const char *path, char *const *argv, char *const *envp, int flags)
{
	stream_mark_inherited();
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

int hook_posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
	const posix_spawnattr_t *attributes, char *const *argv, char *const *envp)
{
	stream_mark_inherited();
	return libc.posix_spawn(pid, path, actions, attributes, argv, FOLLOWED(envp));
}

int hook_posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
	const posix_spawnattr_t *attributes, char *const *argv, char *const *envp)
{
	stream_mark_inherited();
	return libc.posix_spawnp(pid, file, actions, attributes, argv, FOLLOWED(envp));
}

static void quote(FILE *to, const char *text)
{
	putc('\'', to);
	for (; *text; text++)
		fputs(*text == '\'' ? "'\\''" : (char[]){*text, '\0'}, to);
	putc('\'', to);
}

/* libc starts the shell by itself, with the process's environment, which other threads may be reading: where
 * that has been cleared, the shell is told what is missing, and makes way for the one that was asked for. */
static char *with_environment(const char *command)
{
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);
	if (!to)
		return NULL;
	char *const *own = environ;
	for (char *const *one = FOLLOWED(environ); *one; one++) {
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
	fputs("exec /bin/sh -c ", to);
	quote(to, command);
	fputs(" sh", to);
	libc.fclose(to);
	return text;
}

/* What must follow a program into the shell that libc starts for it. */
#define IN_SHELL(command, failure, call)                                                                     \
	({                                                                                                   \
		char *whole = NULL;                                                                          \
		stream_mark_inherited();                                                                     \
		bool complete = !command || environment_is_complete(environ);                                \
		__typeof__(call) result = failure;                                                           \
		if (!complete)                                                                               \
			command = whole = with_environment(command);                                         \
		if (complete || whole)                                                                       \
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
