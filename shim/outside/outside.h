/* SPDX-License-Identifier: MIT */
/* Programs that a library can't be preloaded into: static ones, Go's, those of another libc. The command
 * becomes their supervisor: the kernel stops a thread that connects, binds, listens or accepts, and asks the
 * supervisor, which makes the socket and puts it on the program's fd number (seccomp user notification,
 * Linux 5.9).
 *
 * It is no sandbox: a program that races with its own memory may escape the map. */
#ifndef IP2VSOCK_OUTSIDE_H
#define IP2VSOCK_OUTSIDE_H

#include "core/settings.h"

#include <stdbool.h>

/* Can programs be supervised here? Tries it on a child that does nothing else. false: `message` says why not.
 */
enum { OUTSIDE_MESSAGE = 512 };
bool outside_works(const struct settings *settings, char message[OUTSIDE_MESSAGE]);

/* Runs `run`, which executes the program and doesn't come back, in a child, supervised; returns the status to
 * exit with. This process is then only the child's stand-in with whoever started it: it ends, stops and is
 * killed as the child is, and passes signals on. A failure to supervise is told on stderr, and is 125. Once;
 * the process must have one thread. */
int outside_run(const struct settings *settings, void (*run)(void *context), void *context);

#endif
