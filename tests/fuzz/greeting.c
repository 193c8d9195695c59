/* SPDX-License-Identifier: MIT */
/* What the other end of a greeting may answer: any bytes, in any pieces. However they are cut, they mean the
 * same, no more is taken than belongs to the greeting, and a refusal has an errno.
 *
 * The first byte of the input is the kind and whether there is a login, the second how large the pieces are.
 */
// sources: shim/core/greeting.c shim/core/endpoint.c shim/core/text.c
// length: 300
// executions: 1000000
#include "core/greeting.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

struct result {
	enum greeting_outcome outcome;
	size_t taken;
	struct greeting greeting;
};

static struct result answer(const struct greeting_wish *wish, const char *bytes, size_t size, size_t piece)
{
	struct result result = {GREETING_MORE, 0, {.sent = false}};
	char request[GREETING_REQUEST];
	while (result.taken < size && result.outcome <= GREETING_NEXT) {
		if (!result.greeting.sent) {
			size_t length = greeting_request(&result.greeting, wish, request);
			assert(length > 0 && length < GREETING_REQUEST - 1);
			result.greeting.sent = true;
		}
		size_t left = size - result.taken, taken;
		if (left > piece)
			left = piece;
		result.outcome = greeting_take(&result.greeting, wish, bytes + result.taken, left, &taken);
		assert(taken > 0 && taken <= left);
		assert(result.outcome != GREETING_MORE || taken == left);
		assert((result.outcome == GREETING_NEXT) == !result.greeting.sent);
		result.taken += taken;
	}
	return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	if (length < 2)
		return 0;
	struct greeting_wish wish = {.kind = (enum greeting_kind)(1 + data[0] % (GREETING_KINDS - 1)),
		.port = 443,
		.name = "a.test"};
	if (data[0] & 128) {
		wish.login = "user:password";
		wish.login_length = strlen(wish.login);
	}
	const char *bytes = (const char *)data + 2;
	size_t size = length - 2;
	struct result whole = answer(&wish, bytes, size, size),
		      pieces = answer(&wish, bytes, size, 1 + data[1] % 16);
	char quoted[GREETING_ANSWER + 1];
	assert(whole.outcome == pieces.outcome && whole.greeting.error == pieces.greeting.error);
	if (whole.outcome != GREETING_WRONG) /* with which all that came is taken, for the message */
		assert(whole.taken == pieces.taken && whole.greeting.step == pieces.greeting.step);
	assert((whole.outcome >= GREETING_REFUSED) == (whole.greeting.error != 0));
	greeting_quote(&whole.greeting, quoted);
	for (const char *c = quoted; *c; c++)
		assert(*c >= ' ' && *c <= '~');
	greeting_remedy(&whole.greeting, wish.kind, wish.login);
	return 0;
}
