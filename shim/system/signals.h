/* SPDX-License-Identifier: MIT */
/* A call that sleeps is interrupted by a handler without SA_RESTART. One that is made of several has moments
 * between them in which a handler would interrupt nothing: there, signals are held back. Per thread. */
#ifndef IP2VSOCK_SIGNALS_H
#define IP2VSOCK_SIGNALS_H

#include <stdbool.h>
#include <stdint.h>

/* The kernel's set: bit number - 1. libc's functions leave out the signals that it uses itself. */
typedef uint64_t signal_set;

/* Holds all back. *before: what is to be let in later. false: the kernel refused, and nothing is held. */
bool signals_hold(signal_set *before);

/* Lets them in again; those that came meanwhile are handled now. */
void signals_let_in(signal_set before);

/* Would one of those that have come meanwhile, and are about to be let in, interrupt a call that sleeps? */
bool signals_interrupt(signal_set before);

/* An fd that is readable while one of these waits to be let in, close-on-exec; -1 with errno. */
int signals_fd(signal_set signals);

/* Does its handler interrupt calls that sleep? Without a handler, it ends the program, or does nothing. */
bool signal_interrupts(int number);

#endif
