/* SPDX-License-Identifier: MIT */
/* "#!" lines: which program really runs. Pure, and safe in signal handlers. */
#ifndef IP2VSOCK_SCRIPT_H
#define IP2VSOCK_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>

enum { SCRIPT_DEPTH = 5, SCRIPT_LINE = 256 }; /* the kernel's: binprm recursion, BINPRM_BUF_SIZE since 5.1 */

/* The interpreter and its argument, as the kernel reads them. false: there is none. */
struct script {
	char interpreter[SCRIPT_LINE];
	char argument[SCRIPT_LINE]; /* "" if none */
};
bool script_read(struct script *script, const void *image, size_t size);

/* Which program is judged for the interpreter: env only passes its environment on, so what it runs matters.
 * "": env is given none. */
void script_program(const struct script *script, char program[SCRIPT_LINE]);
/* Which program "env ARGUMENT" will run, "" if it names none. */
void script_env_program(const char *argument, char program[SCRIPT_LINE]);

#endif
