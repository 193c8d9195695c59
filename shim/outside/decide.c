/* SPDX-License-Identifier: MIT */
/* Where a rule leads, and what the log says about it. */
#include "serve.h"

#include "core/names.h"
#include "core/text.h"
#include "transport/dial.h"

#include <errno.h>
#include <string.h>

/* A greeting would need a stand-in for the socket, as socket/greeter.h has it: there is none here. */
int decide_place(const struct rule *rule, const struct address *address, uint16_t port, struct place *place,
	struct endpoint *endpoint)
{
	struct destination to;
	if (!destination_of(rule, address, port, &to))
		return errno;
	*place = to.place;
	*endpoint = to.endpoint;
	if (!to.greeting)
		return 0;
	log_error("firecracker: targets are only for programs that load the library: a supervised one can't "
		  "connect to them; use its dynamic build, or unix: with a proxy");
	return EHOSTUNREACH;
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
