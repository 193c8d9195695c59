/* SPDX-License-Identifier: MIT */
/* What the map means for an address (core/verdict.h), where a rule leads, and what the log says about it. */
#include "serve.h"

#include "core/names.h"
#include "core/text.h"
#include "core/verdict.h"
#include "transport/transport_unix.h"

#include <string.h>

struct decision decide(enum side side, const struct address *address)
{
	static const enum way ways[] = {[VERDICT_IP] = WAY_IP,
		[VERDICT_RESERVED] = WAY_RESERVED,
		[VERDICT_REFUSED] = WAY_REFUSED,
		[VERDICT_NAMES] = WAY_NAMES,
		[VERDICT_MAPPED] = WAY_MAPPED};
	const struct verdict verdict = verdict_of(shim.map, side, SOCKET_STREAM, address);
	return (struct decision){ways[verdict.kind], verdict.rule};
}

int decide_place(const struct rule *rule, const struct address *address, uint16_t port, struct place *place,
	struct endpoint *endpoint)
{
	char host[NAME_TEXT], path[108];
	bool pattern;
	if (rule->target.kind != TARGET_UNIX) {
		*endpoint = (struct endpoint){rule->target.cid, rule_port(rule, port)};
		transport_of(rule)->place(endpoint, place);
		return 0;
	}
	if (!names_host(shim.map, address, host, &pattern))
		address_format(address, host, sizeof host);
	if (!rule_path(rule, host, port, path))
		return ENAMETOOLONG;
	*endpoint = (struct endpoint){CID_LOCAL, port};
	transport_unix_path(path, place);
	return 0;
}

static void write_rule(struct text *text, const struct rule *rule)
{
	text_add(text, " [");
	text_add(text, rule->source);
	text_add(text, ", rule ");
	text_add_number(text, rule->number);
	text_add(text, ": ");
	text_add_bytes(text, rule->text, rule->text_length < 160 ? rule->text_length : 160);
	text_add(text, "]");
}

void report(const char *what, const struct address *address, const struct rule *rule,
	const struct endpoint *endpoint, const char *outcome)
{
	char line[512], host[NAME_TEXT] = "", where[ENDPOINT_TEXT] = "", ip[ADDRESS_PORT_TEXT];
	struct text text = text_in(line, sizeof line);
	bool pattern;
	if (log_limit < (rule ? LOG_CONNECT : LOG_DEBUG))
		return;
	address_port_format(address, ip, sizeof ip);
	if (rule && endpoint && rule->target.kind == TARGET_CID)
		endpoint_format(endpoint, where, sizeof where);
	if (!rule || !names_host(shim.map, address, host, &pattern))
		host[0] = '\0';
	const char *const parts[] = {what, " ", ip, *host ? " (" : "", host, *host ? ")" : "",
		*where ? " = CID " : "", where, ": ", outcome};
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
		text_add(&text, parts[i]);
	if (rule)
		write_rule(&text, rule);
	log_write(line, (char *)NULL);
}

void report_unreachable(const struct address *address, bool datagram)
{
	char text[ADDRESS_PORT_TEXT], host[NAME_TEXT] = "an address of the reserved ranges";
	bool pattern;
	address_port_format(address, text, sizeof text);
	names_host(shim.map, address, host, &pattern);
	log_error(text, " is ", host,
		datagram ? ": UDP isn't carried" : ": no rule of the map takes it with this port",
		", and it never goes over IP");
}
