/* SPDX-License-Identifier: MIT */
/* libc's own DNS client (res_query() and the like), whose sockets no hook sees. If the map stands in for the
 * name server that it would ask, the answer is made here. The functions return what those of resolver(3)
 * return, and set h_errno. */
#ifndef IP2VSOCK_RES_H
#define IP2VSOCK_RES_H

#include <stdbool.h>

struct __res_state;

/* Does the map stand in for the name server of this state? NULL: the thread's own state. */
bool res_is_ours(struct __res_state *state);

int res_answer(const unsigned char *query, int size, unsigned char *answer, int room);
int res_ask(const char *name, int class, int type, unsigned char *answer, int room);
int res_ask_in(const char *name, const char *domain, int class, int type, unsigned char *answer, int room);
/* Uses the state's search list too. NULL: the thread's own state. */
int res_look_for(
	struct __res_state *state, const char *name, int class, int type, unsigned char *answer, int room);

#endif
