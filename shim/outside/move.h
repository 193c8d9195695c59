/* SPDX-License-Identifier: MIT */
/* The replacement of a program's socket, with its registrations with epoll: they belong to the description
 * and its number, and would stay with the old one. */
#ifndef IP2VSOCK_MOVE_H
#define IP2VSOCK_MOVE_H

#include "serve.h"

/* A process of the program makes an epoll instance: its registrations will have to be looked at. */
void move_note_instance(const struct call *call);

/* `fresh` takes the place of what the program has on the subject's number. 0 or an errno; ENOENT: nobody
 * waits. */
int move_registrations(struct subject *subject, int fresh, bool close_on_exec);

#endif
