/* SPDX-License-Identifier: MIT */
/* The part of the environment that keeps a program under the map, remembered from the start: servers
 * overwrite their environment (nginx, PostgreSQL, sshd, redis) and build new ones for their children. */
#ifndef IP2VSOCK_ENVIRONMENT_H
#define IP2VSOCK_ENVIRONMENT_H

#include <stdbool.h>
#include <stddef.h>

/* Copies LD_PRELOAD's part that is this library, and our settings. Once, at start. */
void environment_start(char *const *environment);

/* Puts back what `envp` dropped; what it has stays as it is. `room` is at least environment_room(envp) bytes,
 * aligned for a pointer, and holds the result, which refers to envp's strings. Async-signal-safe. */
bool environment_is_complete(char *const *envp);
size_t environment_room(char *const *envp);
char *const *environment_complete(char *const *envp, void *room);

/* Does a program that is given `envp`, completed, have the map, or another? Not without a start. This and
 * what follows is async-signal-safe, too. */
bool environment_has_map(char *const *envp);

/* `envp` without this library in LD_PRELOAD, for the command, which supervises from outside; `room` as above.
 */
size_t environment_outside_room(char *const *envp);
char *const *environment_outside(char *const *envp, void *room);

#endif
