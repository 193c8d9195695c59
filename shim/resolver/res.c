/* SPDX-License-Identifier: MIT */
#include "res.h"

#include "core/errno.h"
#include "core/shim.h"
#include "core/verdict.h"
#include "socket/nameserver.h"

#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>
#include <stdio.h>
#include <string.h>

/* musl keeps no state: the first name server in the file, or this machine if there is none. */
static struct address configured(void)
{
	struct address server = address_ipv4(INADDR_LOOPBACK, 0);
	char line[256], text[64];
	FILE *file = fopen("/etc/resolv.conf", "re");
	while (file && fgets(line, sizeof line, file)) {
		struct prefix prefix;
		if (sscanf(line, "nameserver %63s", text) != 1 || strchr(text, '/') ||
			!prefix_parse(&prefix, text, strlen(text)))
			continue;
		memcpy(server.ip, prefix.ip, sizeof server.ip);
		break;
	}
	if (file)
		fclose(file);
	server.port = NS_DEFAULTPORT;
	return server;
}

/* An IPv6 server is elsewhere in the state, and its entry in the list is empty. */
static struct address first_server(struct __res_state *state)
{
	struct address server;
	const struct sockaddr *ipv4 = (const struct sockaddr *)&state->nsaddr_list[0];
	const struct sockaddr *ipv6 = (const struct sockaddr *)state->_u._ext.nsaddrs[0];
	if (state->nscount > 0 && address_from_sockaddr(&server, ipv4, sizeof state->nsaddr_list[0]))
		return server;
	if (state->nscount > 0 && ipv6 && address_from_sockaddr(&server, ipv6, sizeof(struct sockaddr_in6)))
		return server;
	return configured();
}

static struct __res_state *own_state(void)
{
	struct __res_state *state = &_res;
	if (!(state->options & RES_INIT))
		res_init();
	return state;
}

bool res_is_ours(struct __res_state *state)
{
	if (!shim_rules.names_rules)
		return false;
	KEEP_ERRNO;
	struct address server = first_server(state ? state : own_state());
	return verdict_of(shim.map, SIDE_CONNECT, SOCKET_DATAGRAM, &server).kind == VERDICT_NAMES;
}

int res_answer(const unsigned char *query, int size, unsigned char *answer, int room)
{
	uint8_t whole[DNS_ANSWER];
	size_t length = size > 0 ? nameserver_answer(query, (size_t)size, whole) : 0;
	if (!length || room < NS_HFIXEDSZ) {
		errno = EINVAL;
		return -1;
	}
	memcpy(answer, whole, length < (size_t)room ? length : (size_t)room);
	return (int)length;
}

int res_ask(const char *name, int class, int type, unsigned char *answer, int room)
{
	enum { CODE = 3, CODE_BITS = 15, ANSWERS = 7 };
	static const int errors[] = {
		[ns_r_noerror] = NO_DATA, [ns_r_servfail] = TRY_AGAIN, [ns_r_nxdomain] = HOST_NOT_FOUND};
	uint8_t query[DNS_QUESTION];
	size_t size = dns_question(name, (uint16_t) class, (uint16_t)type, query);
	int length = res_answer(query, (int)size, answer, room);
	if (length < 0) {
		h_errno = NO_RECOVERY;
		return -1;
	}
	unsigned code = answer[CODE] & CODE_BITS;
	if (code == ns_r_noerror && answer[ANSWERS])
		return length;
	h_errno = code <= ns_r_nxdomain && errors[code] ? errors[code] : NO_RECOVERY;
	return -1;
}

int res_ask_in(const char *name, const char *domain, int class, int type, unsigned char *answer, int room)
{
	char whole[NS_MAXDNAME];
	if (!domain || !*domain)
		return res_ask(name, class, type, answer, room);
	if (snprintf(whole, sizeof whole, "%s.%s", name, domain) < (int)sizeof whole)
		return res_ask(whole, class, type, answer, room);
	h_errno = NO_RECOVERY;
	return -1;
}

int res_look_for(
	struct __res_state *state, const char *name, int class, int type, unsigned char *answer, int room)
{
	int length = res_ask(name, class, type, answer, room);
	size_t size = strlen(name);
	bool whole = size && name[size - 1] == '.';
	if (!state)
		state = own_state();
	if (length >= 0 || whole || h_errno != HOST_NOT_FOUND || !(state->options & RES_DNSRCH))
		return length;
	for (int i = 0; i < MAXDNSRCH && state->dnsrch[i] && length < 0; i++)
		length = res_ask_in(name, state->dnsrch[i], class, type, answer, room);
	return length;
}
