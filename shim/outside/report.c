/* SPDX-License-Identifier: MIT */
/* What the log says about where an address leads. */
#include "serve.h"

#include "core/names.h"
#include "core/text.h"

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
	if (rule && endpoint && target_has_cid(rule))
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
