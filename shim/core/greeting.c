/* SPDX-License-Identifier: MIT */
/* Each kind is a row of the table at the end: what it sends at each step, and what it makes of each byte that
 * comes back. Answers are taken byte by byte, since what follows the last one is the program's. */
#include "greeting.h"

#include "text.h"

#include <errno.h>
#include <string.h>

static enum greeting_outcome ends(struct greeting *greeting, enum greeting_outcome outcome, int error)
{
	greeting->error = error;
	greeting->refused = outcome == GREETING_REFUSED;
	return outcome;
}

static enum greeting_outcome wrong(struct greeting *greeting)
{
	return ends(greeting, GREETING_WRONG, ECONNREFUSED);
}

/* Is what has come so far how `word` begins, or does it begin so? */
static bool agrees(const struct greeting *greeting, const char *word)
{
	size_t length = strlen(word);
	return memcmp(greeting->answer, word, greeting->length < length ? greeting->length : length) == 0;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* ---- Firecracker: "CONNECT 52\n", and "OK 1073741824\n" in return ----
 * The number isn't used: Firecracker's and Cloud Hypervisor's is a port that they have assigned,
 * vhost-device-vsock's the guest's own. */

static void ask_firecracker(
	struct text *text, const struct greeting *greeting, const struct greeting_wish *wish)
{
	(void)greeting;
	text_add(text, "CONNECT ");
	text_add_number(text, wish->port);
	text_add(text, "\n");
}

static enum greeting_outcome take_firecracker(
	struct greeting *greeting, const struct greeting_wish *wish, char byte)
{
	enum { WORD = sizeof "OK " - 1, LONGEST = 32 }; /* Firecracker's own bound */
	(void)wish;
	bool number = greeting->length > WORD;
	if (!agrees(greeting, "OK ") || (number && !is_digit(byte) && byte != '\n'))
		return wrong(greeting);
	if (byte == '\n')
		return greeting->length > WORD + 1 ? GREETING_DONE : wrong(greeting);
	return greeting->length < LONGEST ? GREETING_MORE : wrong(greeting);
}

/* ---- SOCKS5: a method, a login if the proxy wants one, the request ---- */

enum { SOCKS_METHOD, SOCKS_LOGIN, SOCKS_CONNECT };
enum { NO_LOGIN, LOGIN = 2 };
enum { OF_IPV4 = 1, OF_NAME = 3, OF_IPV6 = 4 };

static void add_byte(struct text *text, unsigned byte)
{
	char c = (char)byte;
	text_add_bytes(text, &c, 1);
}

static void add_counted(struct text *text, const char *bytes, size_t length)
{
	add_byte(text, (unsigned)length);
	text_add_bytes(text, bytes, length);
}

static void add_login(struct text *text, const struct greeting_wish *wish)
{
	const char *colon = memchr(wish->login, ':', wish->login_length);
	size_t user = (size_t)(colon - wish->login);
	add_byte(text, 1); /* version of RFC 1929 */
	add_counted(text, wish->login, user);
	add_counted(text, colon + 1, wish->login_length - user - 1);
}

static void add_destination(struct text *text, const struct greeting_wish *wish)
{
	bool ipv4 = address_is_ipv4(&wish->address);
	add_byte(text, wish->name ? OF_NAME : ipv4 ? OF_IPV4 : OF_IPV6);
	if (wish->name)
		add_counted(text, wish->name, strlen(wish->name));
	else
		text_add_bytes(text, (const char *)wish->address.ip + (ipv4 ? 12 : 0), ipv4 ? 4 : 16);
	add_byte(text, wish->port >> 8);
	add_byte(text, wish->port & 0xff);
}

static void ask_socks(struct text *text, const struct greeting *greeting, const struct greeting_wish *wish)
{
	static const char connect[] = {5, 1, 0};
	switch (greeting->step) {
	case SOCKS_METHOD:
		add_byte(text, 5);
		add_byte(text, wish->login ? 2 : 1);
		add_byte(text, NO_LOGIN);
		if (wish->login)
			add_byte(text, LOGIN);
		break;
	case SOCKS_LOGIN:
		add_login(text, wish);
		break;
	default:
		text_add_bytes(text, connect, sizeof connect);
		add_destination(text, wish);
	}
}

static enum greeting_outcome take_method(struct greeting *greeting, const struct greeting_wish *wish)
{
	unsigned char method = (unsigned char)greeting->answer[1];
	if (method == NO_LOGIN || (method == LOGIN && wish->login)) {
		greeting->step = method == LOGIN ? SOCKS_LOGIN : SOCKS_CONNECT;
		return GREETING_NEXT;
	}
	return method == 0xff ? ends(greeting, GREETING_REFUSED, EACCES) : wrong(greeting);
}

static enum greeting_outcome take_login(struct greeting *greeting)
{
	if (greeting->answer[1])
		return ends(greeting, GREETING_REFUSED, EACCES);
	greeting->step = SOCKS_CONNECT;
	return GREETING_NEXT;
}

/* RFC 1928, 6. */
static const int socks_errors[] = {0, ECONNREFUSED, EACCES, ENETUNREACH, EHOSTUNREACH, ECONNREFUSED,
	ETIMEDOUT, ECONNREFUSED, ENETUNREACH};

static int socks_error(unsigned char reply)
{
	return reply < sizeof socks_errors / sizeof *socks_errors ? socks_errors[reply] : ECONNREFUSED;
}

/* VER REP RSV ATYP BND.ADDR BND.PORT */
static enum greeting_outcome take_reply(struct greeting *greeting)
{
	enum { HEAD = 4, PORT = 2 };
	const unsigned char *answer = (const unsigned char *)greeting->answer;
	if (answer[1])
		return ends(greeting, GREETING_REFUSED, socks_error(answer[1]));
	if (greeting->length <= HEAD)
		return GREETING_MORE;
	size_t whole = answer[3] == OF_IPV4   ? HEAD + 4 + PORT
		       : answer[3] == OF_IPV6 ? HEAD + 16 + PORT
		       : answer[3] == OF_NAME ? HEAD + 1u + answer[4] + PORT
					      : 0;
	if (!whole)
		return wrong(greeting);
	return greeting->length == whole ? GREETING_DONE : GREETING_MORE;
}

static enum greeting_outcome take_socks(
	struct greeting *greeting, const struct greeting_wish *wish, char byte)
{
	(void)byte;
	if (greeting->answer[0] != (greeting->step == SOCKS_LOGIN ? 1 : 5))
		return wrong(greeting);
	if (greeting->length < 2)
		return GREETING_MORE;
	return greeting->step == SOCKS_METHOD  ? take_method(greeting, wish)
	       : greeting->step == SOCKS_LOGIN ? take_login(greeting)
					       : take_reply(greeting);
}

/* ---- HTTP: CONNECT, and a status line and headers in return ---- */

enum { HTTP_STATUS, HTTP_HEADERS, HTTP_INTERIM };

static void add_base64(struct text *text, const char *bytes, size_t length)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	for (size_t i = 0; i < length; i += 3) {
		size_t left = length - i;
		uint32_t bits = 0;
		for (size_t j = 0; j < 3; j++)
			bits = bits << 8 | (j < left ? (unsigned char)bytes[i + j] : 0);
		for (size_t j = 0; j < 4; j++)
			text_add_bytes(text, j <= left ? &digits[bits >> (18 - 6 * j) & 63] : "=", 1);
	}
}

static void add_host_and_port(struct text *text, const struct greeting_wish *wish)
{
	char address[ADDRESS_PORT_TEXT];
	if (wish->name) {
		text_add(text, wish->name);
		text_add(text, ":");
		text_add_number(text, wish->port);
	} else {
		address_port_format(&wish->address, address, sizeof address);
		text_add(text, address);
	}
}

static void ask_http(struct text *text, const struct greeting *greeting, const struct greeting_wish *wish)
{
	(void)greeting;
	text_add(text, "CONNECT ");
	add_host_and_port(text, wish);
	text_add(text, " HTTP/1.1\r\nHost: ");
	add_host_and_port(text, wish);
	if (wish->login) {
		text_add(text, "\r\nProxy-Authorization: Basic ");
		add_base64(text, wish->login, wish->login_length);
	}
	text_add(text, "\r\n\r\n");
}

static int http_error(int status)
{
	switch (status) {
	case 404: /* what some proxies say of a name that doesn't resolve */
		return EHOSTUNREACH;
	case 408:
	case 504:
		return ETIMEDOUT;
	default:
		return status < 500 ? EACCES : ECONNREFUSED;
	}
}

/* "HTTP/1.1 200": 0: there is no number where one must be. */
static int http_status(const struct greeting *greeting)
{
	enum { AT = sizeof "HTTP/1.1 " - 1 };
	const char *digits = greeting->answer + AT;
	if (greeting->length < AT + 3 || digits[-1] != ' ' || !is_digit(digits[0]) || !is_digit(digits[1]) ||
		!is_digit(digits[2]))
		return 0;
	return (digits[0] - '0') * 100 + (digits[1] - '0') * 10 + (digits[2] - '0');
}

static enum greeting_outcome take_status(struct greeting *greeting)
{
	int status = http_status(greeting);
	bool interim = status >= 100 && status < 200 && status != 101; /* RFC 9110, 15.2: another follows */
	if ((status < 200 && !interim) || status > 599)
		return wrong(greeting);
	if (status > 299)
		return ends(greeting, GREETING_REFUSED, http_error(status));
	greeting->step = interim ? HTTP_INTERIM : HTTP_HEADERS;
	greeting->line = 0;
	return GREETING_MORE;
}

static enum greeting_outcome take_http(struct greeting *greeting, const struct greeting_wish *wish, char byte)
{
	enum { LONGEST = 16 << 10 };
	(void)wish;
	if (!agrees(greeting, "HTTP/1.") || greeting->length == LONGEST)
		return wrong(greeting);
	if (byte == '\n') {
		if (greeting->step == HTTP_STATUS)
			return take_status(greeting);
		bool blank = greeting->line == 0;
		greeting->line = 0;
		if (blank && greeting->step == HTTP_HEADERS)
			return GREETING_DONE;
		if (blank) {
			greeting->step = HTTP_STATUS;
			greeting->length = 0;
		}
		return GREETING_MORE;
	}
	if (byte != '\r' && greeting->line < UINT8_MAX)
		greeting->line++;
	return GREETING_MORE;
}

/* ---- all of them ---- */

/* A guest that isn't ready never answers, and the kernel's own limit on AF_VSOCK is these 2 s. A proxy has to
 * connect first, for which Linux's TCP takes 127 s at most (tcp_syn_retries = 6). */
enum { GUEST_MS = 2000, PROXY_MS = 130000 };

static const struct {
	void (*ask)(struct text *text, const struct greeting *greeting, const struct greeting_wish *wish);
	/* After each byte, which the answer has already. */
	enum greeting_outcome (*take)(struct greeting *greeting, const struct greeting_wish *wish, char byte);
	uint32_t patience_ms;
	const char *expected;
} kinds[GREETING_KINDS] = {
	[GREETING_FIRECRACKER] = {ask_firecracker, take_firecracker, GUEST_MS,
		"\"OK\" and a number in answer to CONNECT from the Unix socket of a virtual machine's vsock"},
	[GREETING_SOCKS5] = {ask_socks, take_socks, PROXY_MS, "the answer of a SOCKS5 proxy"},
	[GREETING_HTTP] = {ask_http, take_http, PROXY_MS,
		"\"HTTP/1.1\" and a status in answer to CONNECT from an HTTP proxy"},
};

size_t greeting_request(
	const struct greeting *greeting, const struct greeting_wish *wish, char to[GREETING_REQUEST])
{
	struct text text = text_in(to, GREETING_REQUEST);
	kinds[wish->kind].ask(&text, greeting, wish);
	return text.length;
}

static void keep(struct greeting *greeting, char byte)
{
	if (greeting->length < GREETING_ANSWER)
		greeting->answer[greeting->length] = byte;
	greeting->length++;
}

enum greeting_outcome greeting_take(struct greeting *greeting, const struct greeting_wish *wish,
	const char *bytes, size_t size, size_t *taken)
{
	enum greeting_outcome outcome = GREETING_MORE;
	for (*taken = 0; *taken < size && outcome == GREETING_MORE; ++*taken) {
		keep(greeting, bytes[*taken]);
		outcome = kinds[wish->kind].take(greeting, wish, bytes[*taken]);
	}
	if (outcome == GREETING_NEXT) {
		greeting->sent = false;
		greeting->length = 0;
	}
	/* All that came with a wrong answer is for the message. */
	while (outcome == GREETING_WRONG && *taken < size && greeting->length < GREETING_ANSWER)
		keep(greeting, bytes[(*taken)++]);
	return outcome;
}

uint32_t greeting_patience(enum greeting_kind kind)
{
	return kinds[kind].patience_ms;
}

const char *greeting_expected(enum greeting_kind kind)
{
	return kinds[kind].expected;
}

const char *greeting_remedy(const struct greeting *greeting, enum greeting_kind kind, bool login)
{
	bool socks = kind == GREETING_SOCKS5 && greeting->step != SOCKS_CONNECT;
	bool http = kind == GREETING_HTTP && http_status(greeting) == 407;
	if (!greeting->refused || !(socks || http))
		return NULL;
	return login ? "the proxy refuses the user and the password in the file of login="
		     : "the proxy wants a user and a password: login=FILE names a file with USER:PASSWORD";
}

void greeting_quote(const struct greeting *greeting, char text[GREETING_ANSWER + 1])
{
	size_t length = greeting->length < GREETING_ANSWER ? greeting->length : GREETING_ANSWER;
	while (length && (greeting->answer[length - 1] == '\r' || greeting->answer[length - 1] == '\n'))
		length--;
	for (size_t i = 0; i < length; i++) {
		bool printable = greeting->answer[i] >= ' ' && greeting->answer[i] <= '~';
		text[i] = '?';
		if (printable)
			text[i] = greeting->answer[i];
	}
	text[length] = '\0';
}
