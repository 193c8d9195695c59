/* SPDX-License-Identifier: MIT */
/* Programs into which a library can't be preloaded: static programs, Go programs, and those of another libc.
 * The command becomes their supervisor: the kernel suspends a thread that connects, binds, listens or
 * accepts, and asks the supervisor, which makes the socket and puts it on the program's fd number: by seccomp
 * user notification (Linux 5.9), or by ptrace.
 *
 * It isn't a sandbox: a program that races with its own memory may escape the map. */
#ifndef IP2VSOCK_OUTSIDE_H
#define IP2VSOCK_OUTSIDE_H

#include "core/settings.h"

#include <stdbool.h>

/* Can programs be supervised here? Tries it on a child that does nothing else. false: `message` is the
 * reason. true: it is "", or says that they are traced. */
enum { OUTSIDE_MESSAGE = 512 };
bool outside_works(const struct settings *settings, char message[OUTSIDE_MESSAGE]);

/* For what acts in the library's place in this process: its own settings, the log, the transports. */
void outside_prepare(const struct settings *settings);

/* After that: does the proxy of this rule answer? Connects as a program would, and asks it for 192.0.2.1,
 * port 9, which leads nowhere; waits up to 5 s for each. 0, or the errno of the connection; *greeting says
 * whether it was refused by an answer. */
int outside_ask(const struct rule *rule, struct greeting *greeting);

/* Which way `local` goes on this machine: CID_LOCAL (or nobody can be asked), its own CID, or CID_ANY: to a
 * Unix socket beside the listener. */
uint32_t outside_way_to_itself(void);

/* Calls `run`, which executes the program and doesn't return, in a supervised child, and returns the status
 * to exit with. This process is then only a stand-in for the child: it ends, stops and is killed as the child
 * is, and passes signals on. If supervision fails, a message goes to stderr and the status is 125. Call once;
 * the process must have one thread. */
int outside_run(const struct settings *settings, void (*run)(void *context), void *context);

#endif
