/* SPDX-License-Identifier: MIT */
/* libc's own DNS client, which no hook of a socket sees: where the name server that it would ask is one that
 * the map stands in for, the answer is given here. The functions answer as those of resolver(3) do, with
 * h_errno. */
#ifndef IP2VSOCK_RES_H
#define IP2VSOCK_RES_H

#include <stdbool.h>

struct __res_state;

/* Would this be asked of a name server of the map's? NULL: by the thread's own state. */
bool res_is_ours(struct __res_state *state);

int res_answer(const unsigned char *query, int size, unsigned char *answer, int room);
int res_ask(const char *name, int class, int type, unsigned char *answer, int room);
int res_ask_in(const char *name, const char *domain, int class, int type, unsigned char *answer, int room);
/* By the state's search list too; NULL: the thread's. */
int res_look_for(
	struct __res_state *state, const char *name, int class, int type, unsigned char *answer, int room);

#endif
