/* SPDX-License-Identifier: MIT */
/* The command and the library find each other by where they lie, never by a search path: an installation can
 * be moved, and nobody can slip in another. Pure, and safe in signal handlers. */
#ifndef IP2VSOCK_INSTALLATION_H
#define IP2VSOCK_INSTALLATION_H

#include <limits.h>
#include <stdbool.h>

#define LIBRARY_NAME "libip2vsock.so"
#define COMMAND_NAME "ip2vsock"

/* What is to `here` as `to` is to `from`, all of them absolute. false: `here` isn't deep enough, or it is too
 * long. */
bool installation_relocate(const char *here, const char *from, const char *to, char result[PATH_MAX]);

/* From the directory of the command to the library, and back: as BINDIR and PKGLIBDIR were at installation.
 * And where libtool builds them. */
bool installation_library(const char *here, char library[PATH_MAX]);
bool installation_built_library(const char *here, char library[PATH_MAX]);
bool installation_command(const char *here, char command[PATH_MAX]);
bool installation_built_command(const char *here, char command[PATH_MAX]);

#endif
