/* SPDX-License-Identifier: MIT */
#ifndef IP2VSOCK_PARITY_RANDOM_WALK_H
#define IP2VSOCK_PARITY_RANDOM_WALK_H

#include <stdint.h>
#include <stdio.h>

void walk_prepare(void);
/* Runs `length` steps of a seed, or of those the ones that wanted[] says; records what they saw. */
void walk_sequence(uint64_t seed, const unsigned char *wanted, unsigned length);
void walk_report(FILE *to); /* how often each call was made */

#endif
