/* SPDX-License-Identifier: MIT */
/* What this machine can do: ip2vsock --doctor. */
#ifndef IP2VSOCK_DOCTOR_H
#define IP2VSOCK_DOCTOR_H

#include "core/settings.h"

/* Prints what it finds. true: connections of the map in force could work. Of AF_VSOCK it only opens a socket,
 * asks for the machine's CID, and binds to CID 1: nothing of that sends anything. With emulated CIDs not even
 * that. `preload` is the value of LD_PRELOAD to try; `missing` says why there is no library, NULL: there is.
 */
bool doctor(const struct settings *settings, const char *preload, const char *missing);

#endif
