/* SPDX-License-Identifier: MIT */
/* libc's DNS client. Programs that were built with glibc before 2.34 call these functions __res_query … */
#include "resolver/res.h"
#include "system/libc.h"

#define ALIAS(name)                                                                                          \
	extern __typeof__(hook_##name) hook___##name __asm__("__" #name)                                     \
		__attribute__((alias(#name), visibility("default")));

int hook_res_query(const char *name, int class, int type, unsigned char *answer, int room)
{
	return res_is_ours(NULL) ? res_ask(name, class, type, answer, room)
				 : libc.res_query(name, class, type, answer, room);
}

int hook_res_search(const char *name, int class, int type, unsigned char *answer, int room)
{
	return res_is_ours(NULL) ? res_look_for(NULL, name, class, type, answer, room)
				 : libc.res_search(name, class, type, answer, room);
}

int hook_res_querydomain(
	const char *name, const char *domain, int class, int type, unsigned char *answer, int room)
{
	return res_is_ours(NULL) ? res_ask_in(name, domain, class, type, answer, room)
				 : libc.res_querydomain(name, domain, class, type, answer, room);
}

int hook_res_send(const unsigned char *query, int size, unsigned char *answer, int room)
{
	return res_is_ours(NULL) ? res_answer(query, size, answer, room)
				 : libc.res_send(query, size, answer, room);
}

#ifdef __GLIBC__
ALIAS(res_query)
ALIAS(res_search)
ALIAS(res_querydomain)
ALIAS(res_send)

int hook_res_nquery(
	struct __res_state *state, const char *name, int class, int type, unsigned char *answer, int room)
{
	return res_is_ours(state) ? res_ask(name, class, type, answer, room)
				  : libc.res_nquery(state, name, class, type, answer, room);
}

int hook_res_nsearch(
	struct __res_state *state, const char *name, int class, int type, unsigned char *answer, int room)
{
	return res_is_ours(state) ? res_look_for(state, name, class, type, answer, room)
				  : libc.res_nsearch(state, name, class, type, answer, room);
}

int hook_res_nquerydomain(struct __res_state *state, const char *name, const char *domain, int class,
	int type, unsigned char *answer, int room)
{
	return res_is_ours(state) ? res_ask_in(name, domain, class, type, answer, room)
				  : libc.res_nquerydomain(state, name, domain, class, type, answer, room);
}

int hook_res_nsend(
	struct __res_state *state, const unsigned char *query, int size, unsigned char *answer, int room)
{
	return res_is_ours(state) ? res_answer(query, size, answer, room)
				  : libc.res_nsend(state, query, size, answer, room);
}

ALIAS(res_nquery)
ALIAS(res_nsearch)
ALIAS(res_nquerydomain)
ALIAS(res_nsend)
#endif
