/* SPDX-License-Identifier: MIT */
#include "explain.h"
#include "core/names.h"
#include "core/verdict.h"
#include "outside/outside.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { RULE_TEXT = 1 << 17 };

static void warn_unreachable(const struct rule *rule, const struct rule *shadow)
{
	fflush(stdout);
	fprintf(stderr, "ip2vsock: warning: %s, line %u: rule %u is never reached: ", rule->source,
		rule->line, rule->number);
	if (shadow == rule)
		fprintf(stderr, "a connection to a wildcard address goes to localhost; name that\n");
	else
		fprintf(stderr, "rule %u (%s, line %u) takes all that it matches: %.*s\n", shadow->number,
			shadow->source, shadow->line, (int)shadow->text_length, shadow->text);
}

void explain_map(const struct map *map)
{
	uint32_t count = map_count(map), unreachable = 0;
	static char text[RULE_TEXT];
	for (uint32_t i = 0; i < count; i++) {
		const struct rule *rule = map_rule(map, i), *shadow = map_shadowed_by(map, rule);
		rule_format(rule, text, sizeof(text));
		puts(text);
		if (shadow)
			warn_unreachable(rule, shadow);
		unreachable += shadow != NULL;
	}
	printf("# %u rule%s", count, count == 1 ? "" : "s");
	if (unreachable)
		printf(", %u never reached", unreachable);
	putchar('\n');
}

struct question {
	const struct settings *settings;
	enum side side;
	char host[NAME_TEXT];
	struct address address; /* if numeric; the port always */
	bool numeric;
};

/* "host:80", "[::1]:80", "*:80", ":80" */
static bool read_question(struct question *question, const char *text)
{
	const char *colon = strrchr(text, ':');
	size_t length = colon ? (size_t)(colon - text) : 0;
	char *end;
	if (!colon || !isdigit((unsigned char)colon[1]))
		return false;
	unsigned long port = strtoul(colon + 1, &end, 10);
	if (*end || port > 65535 || length >= sizeof(question->host))
		return false;
	bool brackets = length > 2 && text[0] == '[' && text[length - 1] == ']';
	if (!brackets && memchr(text, ':', length))
		return false;
	snprintf(question->host, sizeof(question->host), "%.*s", (int)(length - 2 * brackets),
		text + brackets);
	if (!*question->host || !strcmp(question->host, "*")) {
		if (question->side == SIDE_CONNECT)
			return false;
		strcpy(question->host, "0.0.0.0");
	}
	struct prefix prefix;
	question->numeric =
		prefix_parse(&prefix, question->host, strlen(question->host)) && prefix.length == 128;
	if (question->numeric)
		memcpy(question->address.ip, prefix.ip, sizeof(prefix.ip));
	question->address.port = (uint16_t)port;
	return question->numeric || !brackets;
}

static void print_rule(const struct rule *rule)
{
	printf("  rule %u (%s, line %u): %.*s\n", rule->number, rule->source, rule->line,
		(int)rule->text_length, rule->text);
}

/* Which way that is on this machine, if it isn't CID 1. */
static void print_way_to_itself(const struct question *question, const struct rule *rule)
{
	bool connects = question->side == SIDE_CONNECT;
	bool local = rule->target.cid == CID_LOCAL || (rule->target.cid == CID_ANY && connects);
	if (!target_has_cid(rule) || !local || question->settings->emulated)
		return;
	uint32_t cid = outside_way_to_itself();
	if (cid == CID_ANY)
		puts("  on this machine AF_VSOCK has no loopback: by a Unix socket beside the listener");
	else if (cid != CID_LOCAL && connects)
		printf("  on this machine by its own CID, %u\n", cid);
}

static void print_target(const struct question *question, const struct rule *rule)
{
	const struct settings *settings = question->settings;
	static char text[RULE_TEXT];
	char host[NAME_TEXT];
	names_host_text(settings->map, &question->address, host);
	const struct asked asked = {.side = question->side,
		.host = host,
		.port = question->address.port,
		.emulated = settings->emulated,
		.own_cid = settings->cid};
	rule_explain(rule, &asked, text, sizeof(text));
	fputs(text, stdout);
	print_way_to_itself(question, rule);
}

/* Why no rule sends the address anywhere. */
static const char *no_target(const struct verdict *verdict)
{
	return verdict->rule ? "the rule leaves it to IP" : "no rule takes it";
}

static bool stands_for_a_peer(const struct question *question)
{
	const struct ranges *ranges = &question->settings->ranges;
	return prefix_contains(&ranges->peers, question->address.ip) ||
	       prefix_contains(&ranges->peers6, question->address.ip);
}

static void print_reserved(const struct question *question, const struct verdict *verdict)
{
	printf("  %s, but the address is in a reserved range, so this fails: %s\n", no_target(verdict),
		strerror(verdict->error));
	if (question->side == SIDE_LISTEN && stands_for_a_peer(question))
		puts("  (a client may bind to this machine's own address, and connect from there)");
}

/* Said only where UDP's way is another than TCP's. */
static void print_udp(const struct question *question, const struct verdict *tcp)
{
	const struct verdict udp =
		verdict_of(question->settings->map, question->side, SOCKET_DATAGRAM, &question->address);
	if (question->side == SIDE_LISTEN || (udp.kind == tcp->kind && udp.error == tcp->error))
		return;
	if (udp.kind == VERDICT_RESERVED)
		printf("  UDP isn't carried, so it fails: %s\n", strerror(udp.error));
	else
		puts("  UDP isn't carried, so it is left to IP");
}

static void print_decision(const struct question *question)
{
	const struct verdict verdict =
		verdict_of(question->settings->map, question->side, SOCKET_STREAM, &question->address);
	char meant[ADDRESS_TEXT];
	if (memcmp(&verdict.address, &question->address, sizeof(verdict.address)) != 0) {
		address_format(&verdict.address, meant, sizeof(meant));
		printf("  means %s, as in TCP\n", meant);
	}
	if (verdict.rule)
		print_rule(verdict.rule);
	if (verdict.kind == VERDICT_RESERVED)
		print_reserved(question, &verdict);
	else if (verdict.rule)
		print_target(question, verdict.rule);
	else
		puts("  no rule takes it: left to IP");
	print_udp(question, &verdict);
}

/* A program asks for a name's address first, and then connects to that. */
static void explain_name(struct question *question)
{
	const struct map *map = question->settings->map;
	struct address ipv4, ipv6;
	char text4[ADDRESS_TEXT], text6[ADDRESS_TEXT];
	uint16_t port = question->address.port;
	bool with_port = names_address(map, question->host, port, &ipv4, &ipv6) == NAMES_TAKEN;
	if (!with_port && names_address(map, question->host, -1, &ipv4, &ipv6) != NAMES_TAKEN) {
		const struct rule *rule =
			map_find_host(map, question->side, question->host, strlen(question->host), port);
		if (rule)
			print_rule(rule);
		printf("  the map takes no such name: the system's resolver is asked, and then the rules for "
		       "its\n"
		       "  address decide (--explain %s ADDRESS:%u)\n",
			question->side == SIDE_LISTEN ? "listen" : "connect", port);
		return;
	}
	address_format(&ipv4, text4, sizeof(text4));
	address_format(&ipv6, text6, sizeof(text6));
	printf("  the name resolves to %s and %s\n", text4, text6);
	if (!with_port)
		printf("  (if no port is asked for with it; with port %u the system's resolver is asked)\n",
			port);
	memcpy(question->address.ip, ipv4.ip, sizeof(ipv4.ip));
	print_decision(question);
}

/* A program may take either address. */
static void explain_localhost(struct question *question)
{
	const struct address loopbacks[] = {
		address_ipv4(0x7f000001, question->address.port),
		{.ip = {[15] = 1}, .port = question->address.port},
	};
	const struct map *map = question->settings->map;
	struct verdict verdicts[2];
	for (int i = 0; i < 2; i++)
		verdicts[i] = verdict_of(map, question->side, SOCKET_STREAM, &loopbacks[i]);
	bool same = verdicts[0].rule == verdicts[1].rule &&
		    !(verdicts[0].rule && verdicts[0].rule->target.needs_host);
	for (int i = 0; i < (same ? 1 : 2); i++) {
		question->address = loopbacks[i];
		if (!same)
			printf("  as %s:\n", i ? "::1" : "127.0.0.1");
		print_decision(question);
	}
}

bool explain_address(const struct settings *settings, enum side side, const char *text)
{
	struct question question = {.settings = settings, .side = side};
	char name[NAME_TEXT];
	bool is_pattern;
	if (!read_question(&question, text))
		return false;
	printf("%s %s\n", side == SIDE_LISTEN ? "listen" : "connect", text);
	if (question.numeric && names_host(settings->map, &question.address, name, &is_pattern))
		printf("  the address stands for %s\n", name);
	if (question.numeric)
		print_decision(&question);
	else if (!strcasecmp(question.host, "localhost"))
		explain_localhost(&question);
	else
		explain_name(&question);
	return true;
}
