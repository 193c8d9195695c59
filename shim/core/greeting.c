/* SPDX-License-Identifier: MIT */
/* "CONNECT 52\n", and "OK 1073741824\n" in return. The number isn't used: Firecracker's and Cloud
 * Hypervisor's is a port that they have assigned, vhost-device-vsock's the guest's own. */
#include "greeting.h"

#include "text.h"

#include <string.h>

size_t greeting_request(const struct greeting *greeting, uint32_t port, char to[GREETING_REQUEST])
{
	struct text text = text_in(to, GREETING_REQUEST);
	(void)greeting;
	text_add(&text, "CONNECT ");
	text_add_number(&text, port);
	text_add(&text, "\n");
	return text.length;
}

/* Is this what an answer begins with, or all of one? */
static bool is_right(const char *answer, size_t length)
{
	static const char word[] = "OK ";
	const size_t word_length = sizeof word - 1;
	if (memcmp(answer, word, length < word_length ? length : word_length) != 0)
		return false;
	for (size_t i = word_length; i < length; i++) {
		bool digit = answer[i] >= '0' && answer[i] <= '9';
		bool end = answer[i] == '\n' && i > word_length && i == length - 1;
		if (!digit && !end)
			return false;
	}
	return true;
}

/* All that came with it is for the message. */
static enum greeting_outcome wrong(struct greeting *greeting, const char *bytes, size_t size, size_t *taken)
{
	while (*taken < size && greeting->length < GREETING_ANSWER)
		greeting->answer[greeting->length++] = bytes[(*taken)++];
	return GREETING_WRONG;
}

enum greeting_outcome greeting_take(struct greeting *greeting, const char *bytes, size_t size, size_t *taken)
{
	for (*taken = 0; *taken < size;) {
		if (greeting->length == GREETING_ANSWER)
			return GREETING_WRONG;
		char byte = bytes[(*taken)++];
		greeting->answer[greeting->length++] = byte;
		if (!is_right(greeting->answer, greeting->length))
			return wrong(greeting, bytes, size, taken);
		if (byte == '\n')
			return GREETING_DONE;
	}
	return greeting->length == GREETING_ANSWER ? GREETING_WRONG : GREETING_MORE;
}

void greeting_quote(const struct greeting *greeting, char text[GREETING_ANSWER + 1])
{
	memcpy(text, greeting->answer, greeting->length);
	for (size_t i = 0; i < greeting->length; i++)
		if (text[i] < ' ' || text[i] > '~')
			text[i] = '?';
	text[greeting->length] = '\0';
}
