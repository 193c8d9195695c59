/* SPDX-License-Identifier: MIT */
#include "links.h"

#include "endpoint.h"
#include "text.h"

#include <string.h>

/* In a form, + stands for one or more characters of a name, # for a port, ^ and ~ for a protocol in upper and
 * lower case, @ for an address, and & for an address that is in brackets if it is IPv6's. */
static const char *const forms[] = {
	"+_SERVICE_HOST=@",
	"+_SERVICE_PORT=#",
	"+_SERVICE_PORT_+=#",
	"+_PORT=~://&:#",
	"+_PORT_#_^=~://&:#",
	"+_PORT_#_^_PROTO=~",
	"+_PORT_#_^_PORT=#",
	"+_PORT_#_^_ADDR=@",
};

static bool is_name_character(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* These return where the item ends; NULL: it isn't there. */

static const char *skip_port(const char *text)
{
	uint32_t port;
	size_t length = strspn(text, "0123456789");
	return number_parse(text, length, 65535, &port) && port ? text + length : NULL;
}

static const char *skip_protocol(const char *text, const char *const protocols[3])
{
	for (int i = 0; i < 3; i++)
		if (text_begins(text, protocols[i]))
			return text + strlen(protocols[i]);
	return NULL;
}

static const char *skip_address(const char *text, size_t length)
{
	struct prefix prefix;
	bool is_address = !memchr(text, '/', length) && prefix_parse(&prefix, text, length);
	return is_address ? text + length : NULL;
}

static const char *skip_host(const char *text)
{
	if (*text != '[')
		return skip_address(text, strcspn(text, ":"));
	const char *end = skip_address(text + 1, strcspn(text + 1, "]"));
	return end && *end == ']' ? end + 1 : NULL;
}

static const char *skip(char what, const char *text)
{
	static const char *const capital[] = {"TCP", "UDP", "SCTP"}, *const small[] = {"tcp", "udp", "sctp"};
	switch (what) {
	case '#':
		return skip_port(text);
	case '^':
		return skip_protocol(text, capital);
	case '~':
		return skip_protocol(text, small);
	case '@':
		return skip_address(text, strlen(text));
	case '&':
		return skip_host(text);
	default:
		return *text == what ? text + 1 : NULL;
	}
}

static bool matches(const char *form, const char *text)
{
	for (; text && *form; form++) {
		if (*form != '+') {
			text = skip(*form, text);
			continue;
		}
		while (is_name_character(*text++))
			if (matches(form + 1, text))
				return true;
		return false;
	}
	return text && !*text;
}

bool is_service_link(const char *assignment)
{
	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
		if (matches(forms[i], assignment))
			return true;
	return false;
}
