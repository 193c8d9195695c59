/* SPDX-License-Identifier: MIT */
/* What this machine can do: ip2vsock --doctor. */
#ifndef IP2VSOCK_DOCTOR_H
#define IP2VSOCK_DOCTOR_H

#include "core/settings.h"

/* The program that is asked about, if any. */
struct doctor_program {
	char *words; /* what is done with it, and why; NULL: there is none */
	bool runs, supervised;
};

/* Prints what it finds. true: connections of the map in force could work. Of AF_VSOCK it only opens a socket,
 * asks for the machine's CID, and binds to CID 1: nothing of that sends anything. With emulated CIDs not even
 * that. `preload` is the value of LD_PRELOAD to try; `missing` says why there is no library, NULL: there is.
 * Supervising is tried on a child that does nothing. */
bool doctor(const struct settings *settings, const char *preload, const char *missing,
	const struct doctor_program *program);

#endif
