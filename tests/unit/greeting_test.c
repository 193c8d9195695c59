/* SPDX-License-Identifier: MIT */
/* Each kind of greeting, byte for byte, and with its answers cut into pieces in every way. */
#include "core/greeting.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define BYTES(text) text, sizeof text - 1

/* A conversation: what is said, and what comes back. */
struct turn {
	const char *request;
	size_t request_length;
	const char *answer;
	size_t answer_length;
};

static const struct conversation {
	struct greeting_wish wish;
	struct turn turns[3];
	enum greeting_outcome outcome;
	int error;
} conversations[] = {
	{{GREETING_FIRECRACKER, 52, NULL, {{0}, 0}, NULL, 0},
		{{BYTES("CONNECT 52\n"), BYTES("OK 1073741824\n")}}, GREETING_DONE, 0},
	{{GREETING_FIRECRACKER, 4294967294, NULL, {{0}, 0}, NULL, 0},
		{{BYTES("CONNECT 4294967294\n"), BYTES("OK 1234567890123456789012345678\n")}}, GREETING_DONE,
		0},
	{{GREETING_FIRECRACKER, 1, NULL, {{0}, 0}, NULL, 0},
		{{BYTES("CONNECT 1\n"), BYTES("OK 12345678901234567890123456789")}}, GREETING_WRONG,
		ECONNREFUSED},
	{{GREETING_FIRECRACKER, 1, NULL, {{0}, 0}, NULL, 0}, {{BYTES("CONNECT 1\n"), BYTES("OK \n")}},
		GREETING_WRONG, ECONNREFUSED},
	{{GREETING_FIRECRACKER, 1, NULL, {{0}, 0}, NULL, 0}, {{BYTES("CONNECT 1\n"), BYTES("OK 1x")}},
		GREETING_WRONG, ECONNREFUSED},
	{{GREETING_SOCKS5, 443, "a.test", {{0}, 0}, NULL, 0},
		{{BYTES("\5\1\0"), BYTES("\5\0")},
			{BYTES("\5\1\0\3\6a.test\1\273"), BYTES("\5\0\0\1\0\0\0\0\0\0")}},
		GREETING_DONE, 0},
	{{GREETING_SOCKS5, 80, NULL, {{[10] = 0xff, 0xff, 192, 0, 2, 7}, 80}, NULL, 0},
		{{BYTES("\5\1\0"), BYTES("\5\0")},
			{BYTES("\5\1\0\1\300\0\2\7\0\120"), BYTES("\5\0\0\3\3abc\0\1")}},
		GREETING_DONE, 0},
	{{GREETING_SOCKS5, 80, NULL, {{0x20, 1, [15] = 7}, 80}, BYTES("ada:pass:word")},
		{{BYTES("\5\2\0\2"), BYTES("\5\2")}, {BYTES("\1\3ada\11pass:word"), BYTES("\1\0")},
			{BYTES("\5\1\0\4\40\1\0\0\0\0\0\0\0\0\0\0\0\0\0\7\0\120"),
				BYTES("\5\0\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0")}},
		GREETING_DONE, 0},
	{{GREETING_SOCKS5, 80, "a", {{0}, 0}, NULL, 0}, {{BYTES("\5\1\0"), BYTES("\5\377")}},
		GREETING_REFUSED, EACCES},
	{{GREETING_SOCKS5, 80, "a", {{0}, 0}, NULL, 0}, {{BYTES("\5\1\0"), BYTES("\5\2")}}, GREETING_WRONG,
		ECONNREFUSED},
	{{GREETING_SOCKS5, 80, "a", {{0}, 0}, BYTES("a:b")},
		{{BYTES("\5\2\0\2"), BYTES("\5\2")}, {BYTES("\1\1a\1b"), BYTES("\1\1")}}, GREETING_REFUSED,
		EACCES},
	{{GREETING_SOCKS5, 80, "a", {{0}, 0}, NULL, 0},
		{{BYTES("\5\1\0"), BYTES("\5\0")}, {BYTES("\5\1\0\3\1a\0\120"), BYTES("\5\4")}},
		GREETING_REFUSED, EHOSTUNREACH},
	{{GREETING_SOCKS5, 80, "a", {{0}, 0}, NULL, 0},
		{{BYTES("\5\1\0"), BYTES("\5\0")}, {BYTES("\5\1\0\3\1a\0\120"), BYTES("\5\0\0\11x")}},
		GREETING_WRONG, ECONNREFUSED},
	{{GREETING_HTTP, 443, "a.test", {{0}, 0}, NULL, 0},
		{{BYTES("CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n"),
			BYTES("HTTP/1.1 200 OK\r\nVia: x\r\n\r\n")}},
		GREETING_DONE, 0},
	{{GREETING_HTTP, 443, NULL, {{0x20, 1, [15] = 7}, 443}, BYTES("Aladdin:open sesame")},
		{{BYTES("CONNECT [2001::7]:443 HTTP/1.1\r\nHost: [2001::7]:443\r\n"
			"Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n"),
			BYTES("HTTP/1.0 299\n\n")}},
		GREETING_DONE, 0},
	{{GREETING_HTTP, 1, "a", {{0}, 0}, NULL, 0},
		{{BYTES("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n"),
			BYTES("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\nLink: x\n\nHTTP/1.1 200 "
			      "OK\r\nVia: x\r\n\r\n")}},
		GREETING_DONE, 0},
	{{GREETING_HTTP, 1, "a", {{0}, 0}, NULL, 0},
		{{BYTES("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n"), BYTES("HTTP/1.1 403 Forbidden\r\n")}},
		GREETING_REFUSED, EACCES},
	{{GREETING_HTTP, 1, "a", {{0}, 0}, NULL, 0},
		{{BYTES("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n"), BYTES("HTTP/2")}}, GREETING_WRONG,
		ECONNREFUSED},
	{{GREETING_HTTP, 1, "a", {{0}, 0}, NULL, 0},
		{{BYTES("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n"), BYTES("HTTP/1.1 20x OK\n")}},
		GREETING_WRONG, ECONNREFUSED},
	{{GREETING_HTTP, 1, "a", {{0}, 0}, NULL, 0},
		{{BYTES("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n"),
			BYTES("HTTP/1.1 101 Switching Protocols\n")}},
		GREETING_WRONG, ECONNREFUSED},
};

/* Gives it the answer in pieces of `piece` bytes, followed by what belongs to the program. */
static enum greeting_outcome answer(
	struct greeting *greeting, const struct conversation *one, const struct turn *turn, size_t piece)
{
	enum greeting_outcome outcome = GREETING_MORE;
	char bytes[256];
	size_t at = 0, taken;
	memcpy(bytes, turn->answer, turn->answer_length);
	memcpy(bytes + turn->answer_length, "220 ready", 9);
	while (at < turn->answer_length) {
		size_t last = at + piece >= turn->answer_length ? turn->answer_length + 9 : at + piece;
		if (outcome == GREETING_WRONG)
			break; /* in the middle of the piece before */
		assert_int_equal(outcome, GREETING_MORE);
		outcome = greeting_take(greeting, &one->wish, bytes + at, last - at, &taken);
		at += taken;
	}
	if (outcome != GREETING_WRONG)
		assert_int_equal(at, turn->answer_length);
	return outcome;
}

static void hold(const struct conversation *one, size_t piece)
{
	struct greeting greeting = {.sent = false};
	enum greeting_outcome outcome = GREETING_NEXT;
	for (const struct turn *turn = one->turns; outcome == GREETING_NEXT; turn++) {
		char request[GREETING_REQUEST];
		assert_false(greeting.sent);
		size_t length = greeting_request(&greeting, &one->wish, request);
		assert_int_equal(length, turn->request_length);
		assert_memory_equal(request, turn->request, length);
		greeting.sent = true;
		outcome = answer(&greeting, one, turn, piece);
	}
	assert_int_equal(outcome, one->outcome);
	assert_int_equal(greeting.error, one->error);
}

static void each_is_held_byte_for_byte(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof conversations / sizeof *conversations; i++)
		for (size_t piece = 1; piece < 80; piece++)
			hold(&conversations[i], piece);
}

static void the_longest_request_fits(void **state)
{
	(void)state;
	char name[256], login[2 * GREETING_LOGIN + 2], request[GREETING_REQUEST];
	memset(name, 'n', 255);
	name[255] = '\0';
	memset(login, 'x', sizeof login);
	login[GREETING_LOGIN] = ':';
	struct greeting greeting = {.sent = false};
	const struct greeting_wish wish = {GREETING_HTTP, 65535, name, {{0}, 0}, login, sizeof login - 1};
	size_t length = greeting_request(&greeting, &wish, request);
	assert_memory_equal(request + length - 4, "\r\n\r\n", 4);
}

static void headers_without_end_are_wrong(void **state)
{
	(void)state;
	static const char line[] = "HTTP/1.1 200 OK\r\n", header[] = "X-Filler: ............\r\n";
	struct greeting greeting = {.sent = true};
	const struct greeting_wish wish = {GREETING_HTTP, 1, "a", {{0}, 0}, NULL, 0};
	size_t taken, all = sizeof line - 1;
	enum greeting_outcome outcome = greeting_take(&greeting, &wish, line, sizeof line - 1, &taken);
	while (outcome == GREETING_MORE && all < 1 << 20) {
		outcome = greeting_take(&greeting, &wish, header, sizeof header - 1, &taken);
		all += taken;
	}
	assert_int_equal(outcome, GREETING_WRONG);
	assert_int_equal(all, 16 << 10);
}

static void a_wrong_answer_is_quoted(void **state)
{
	(void)state;
	char quoted[GREETING_ANSWER + 1];
	size_t taken;
	struct greeting greeting = {.sent = true};
	const struct greeting_wish wish = {GREETING_SOCKS5, 1, "a", {{0}, 0}, NULL, 0};
	assert_int_equal(greeting_take(&greeting, &wish, BYTES("SSH-2.0\1\r\n"), &taken), GREETING_WRONG);
	greeting_quote(&greeting, quoted);
	assert_string_equal(quoted, "SSH-2.0?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_is_held_byte_for_byte),
		cmocka_unit_test(the_longest_request_fits),
		cmocka_unit_test(headers_without_end_are_wrong),
		cmocka_unit_test(a_wrong_answer_is_quoted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
