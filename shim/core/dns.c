/* SPDX-License-Identifier: MIT */
/* A query's bytes come in, and the bytes of its answer go out: the format is RFC 1035's, with EDNS(0) of RFC
 * 6891. The question is read and checked; its name is looked up in the map (names.h), or, if it is an address
 * written backwards, the address is. An answer consists of the header, the question as it was asked, because
 * clients compare its case, and one or two records that point back to it. So it is always short enough for
 * UDP, and is never truncated. */
#include "dns.h"

#include "names.h"

#include <netinet/in.h>
#include <string.h>
#include <strings.h>

enum { HEADER = 12, LABEL = 63, NAME = 255 /* bytes, with its final zero */ };
enum {
	TYPE_A = 1,
	TYPE_PTR = 12,
	TYPE_AAAA = 28,
	TYPE_OPT = 41,
	TYPE_IXFR = 251,
	TYPE_AXFR = 252,
	TYPE_ANY = 255
};
enum { CLASS_IN = 1, CLASS_ANY = 255 };
enum { NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED, BADVERS = 16 };
enum { FLAG_QR = 0x80, FLAG_RD = 0x01 };	  /* in the header's third byte */
enum { FLAG_RA = 0x80, FLAG_CD = 0x10 };	  /* in its fourth */
enum { SECONDS = 60, PAYLOAD = 1232, DO = 0x80 }; /* how long an answer may be cached; the fields of OPT */

struct reader {
	const uint8_t *at, *end;
};

static bool take(struct reader *reader, size_t size)
{
	if ((size_t)(reader->end - reader->at) < size)
		return false;
	reader->at += size;
	return true;
}

static uint16_t get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

struct question {
	const uint8_t *bytes; /* as it was asked */
	size_t size;
	uint16_t type, class;
	char name[NAME_TEXT]; /* "" for the root, and for what isn't a host name */
	bool is_root;
};

/* The name in the question can't point to another name: there is none before it. */
static bool read_name(struct reader *reader, struct question *question)
{
	size_t length = 0, size = 0;
	bool good = true;
	for (;;) {
		const uint8_t *label = reader->at;
		if (!take(reader, 1) || *label > LABEL || !take(reader, *label) ||
			(size += 1 + *label) > NAME)
			return false;
		if (*label == 0)
			break;
		if (length)
			question->name[length++] = '.';
		memcpy(question->name + length, label + 1, *label);
		good = good && !memchr(label + 1, '.', *label) && !memchr(label + 1, '\0', *label);
		length += *label;
	}
	question->name[good ? length : 0] = '\0';
	question->is_root = size == 1;
	return true;
}

static bool read_question(struct reader *reader, struct question *question)
{
	question->bytes = reader->at;
	if (!read_name(reader, question) || !take(reader, 4))
		return false;
	question->type = get16(reader->at - 4);
	question->class = get16(reader->at - 2);
	question->size = (size_t)(reader->at - question->bytes);
	return true;
}

/* The EDNS part of the query. */
struct edns {
	bool asked;
	uint8_t version, flags;
};

static bool skip_name(struct reader *reader)
{
	for (;;) {
		const uint8_t *label = reader->at;
		if (!take(reader, 1))
			return false;
		if (*label >= 0xc0)
			return take(reader, 1);
		if (*label > LABEL || !take(reader, *label))
			return false;
		if (*label == 0)
			return true;
	}
}

static bool read_record(struct reader *reader, struct edns *edns)
{
	const uint8_t *name = reader->at;
	if (!skip_name(reader) || !take(reader, 10))
		return false;
	const uint8_t *fields = reader->at - 10; /* type, class, time to live, length of what follows */
	if (get16(fields) == TYPE_OPT) {
		if (*name || edns->asked)
			return false;
		*edns = (struct edns){.asked = true, .version = fields[5], .flags = fields[6]};
	}
	return take(reader, get16(fields + 8));
}

static bool read_query(const uint8_t *query, size_t size, struct question *question, struct edns *edns)
{
	struct reader reader = {query + HEADER, query + size};
	uint32_t records = (uint32_t)get16(query + 6) + get16(query + 8) + get16(query + 10);
	if (get16(query + 4) != 1 || !read_question(&reader, question))
		return false;
	for (uint32_t i = 0; i < records; i++)
		if (!read_record(&reader, edns))
			return false;
	return reader.at == reader.end;
}

/* ---- names that are addresses written backwards ---- */

static bool ends_with(const char *name, size_t *length, const char *suffix)
{
	size_t size = strlen(suffix);
	if (*length <= size || strcasecmp(name + *length - size, suffix) != 0)
		return false;
	*length -= size;
	return true;
}

/* "1.0.18.198" */
static bool read_backwards4(const char *at, size_t length, struct address *address)
{
	const char *end = at + length;
	uint32_t ip = 0;
	for (int i = 0; i < 4; i++) {
		unsigned byte = 0;
		const char *digits = at;
		while (at < end && *at >= '0' && *at <= '9' && byte <= UINT8_MAX)
			byte = byte * 10 + (unsigned)(*at++ - '0');
		if (at == digits || byte > UINT8_MAX || (i < 3 && (at == end || *at++ != '.')))
			return false;
		ip |= byte << 8 * i;
	}
	*address = address_ipv4(ip, 0);
	return at == end;
}

/* "1.0.0. … d.f" */
static bool read_backwards6(const char *at, size_t length, struct address *address)
{
	static const char digits[] = "0123456789abcdef";
	if (length != 63)
		return false;
	memset(address, 0, sizeof *address);
	for (int i = 0; i < 32; i++) {
		char digit = at[2 * i];
		if (digit >= 'A' && digit <= 'F')
			digit = (char)(digit - 'A' + 'a');
		const char *found = digit ? strchr(digits, digit) : NULL;
		if (!found || (i < 31 && at[2 * i + 1] != '.'))
			return false;
		address->ip[15 - i / 2] |= (uint8_t)((found - digits) << (i % 2 ? 4 : 0));
	}
	return true;
}

static bool read_backwards(const char *name, struct address *address)
{
	size_t length = strlen(name);
	if (ends_with(name, &length, ".in-addr.arpa"))
		return read_backwards4(name, length, address);
	return ends_with(name, &length, ".ip6.arpa") && read_backwards6(name, length, address);
}

/* ---- answers ---- */

struct writer {
	uint8_t *at;
	uint16_t records;
};

static void put16(struct writer *writer, unsigned value)
{
	*writer->at++ = (uint8_t)(value >> 8);
	*writer->at++ = (uint8_t)value;
}

static void put(struct writer *writer, const void *bytes, size_t size)
{
	memcpy(writer->at, bytes, size);
	writer->at += size;
}

/* Writes a name as labels. false: a label is empty or too long; `name` has at most 253 characters. */
static bool put_name(struct writer *writer, const char *name)
{
	while (*name) {
		size_t length = strcspn(name, ".");
		if (length == 0 || length > LABEL)
			return false;
		*writer->at++ = (uint8_t)length;
		put(writer, name, length);
		name += length;
		if (*name == '.')
			name++;
	}
	*writer->at++ = 0;
	return true;
}

static void put_record(struct writer *writer, uint16_t type, const void *data, size_t size)
{
	put16(writer, 0xc000 | HEADER); /* the question's name */
	put16(writer, type);
	put16(writer, CLASS_IN);
	put16(writer, 0);
	put16(writer, SECONDS);
	put16(writer, (unsigned)size);
	put(writer, data, size);
	writer->records++;
}

static bool asks_for(const struct question *question, uint16_t type)
{
	return question->type == type || question->type == TYPE_ANY;
}

static int answer_backwards(struct writer *writer, const struct map *map, const struct question *question,
	const struct address *address)
{
	char name[NAME_TEXT] = "localhost";
	bool pattern = false;
	if (!address_is_loopback(address) && (!names_host(map, address, name, &pattern) || pattern))
		return NXDOMAIN;
	uint8_t labels[NAME];
	struct writer data = {.at = labels};
	if (asks_for(question, TYPE_PTR) && put_name(&data, name))
		put_record(writer, TYPE_PTR, labels, (size_t)(data.at - labels));
	return NOERROR;
}

static bool is_loopbacks(const char *name, const char *own)
{
	size_t length = strlen(name);
	return strcasecmp(name, "localhost") == 0 || ends_with(name, &length, ".localhost") ||
	       (*own && strcasecmp(name, own) == 0);
}

static int answer_question(
	struct writer *writer, const struct map *map, const char *own, const struct question *question)
{
	struct address ipv4 = address_ipv4(INADDR_LOOPBACK, 0), ipv6 = {.ip = {[15] = 1}};
	if (question->class != CLASS_IN && question->class != CLASS_ANY)
		return REFUSED;
	if (question->type == TYPE_AXFR || question->type == TYPE_IXFR)
		return REFUSED;
	if (question->is_root)
		return NOERROR;
	if (read_backwards(question->name, &ipv4))
		return answer_backwards(writer, map, question, &ipv4);
	switch (names_address(map, question->name, -1, &ipv4, &ipv6)) {
	case NAMES_FULL:
		return SERVFAIL;
	case NAMES_NOT_TAKEN:
		if (!is_loopbacks(question->name, own))
			return NXDOMAIN;
		break;
	case NAMES_TAKEN:
		break;
	}
	if (asks_for(question, TYPE_A))
		put_record(writer, TYPE_A, ipv4.ip + 12, 4);
	if (asks_for(question, TYPE_AAAA))
		put_record(writer, TYPE_AAAA, ipv6.ip, 16);
	return NOERROR;
}

static void put_opt(struct writer *writer, const struct edns *edns, int code)
{
	*writer->at++ = 0; /* the root */
	put16(writer, TYPE_OPT);
	put16(writer, PAYLOAD);
	put16(writer, (unsigned)code >>
			      4 << 8); /* the bits of the code for which the header has no room; version 0 */
	put16(writer, (unsigned)(edns->flags & DO) << 8);
	put16(writer, 0);
}

size_t dns_answer(
	const struct map *map, const char *own, const uint8_t *query, size_t size, uint8_t answer[DNS_ANSWER])
{
	struct question question = {.size = 0};
	struct edns edns = {.asked = false};
	struct writer writer = {.at = answer + HEADER};
	int code;
	if (size < HEADER || query[2] & FLAG_QR)
		return 0;
	memset(answer, 0, HEADER);
	if (query[2] & 0x78) { /* it isn't a standard query */
		code = NOTIMP;
	} else if (!read_query(query, size, &question, &edns)) {
		code = FORMERR;
		edns.asked = false;
	} else {
		answer[5] = 1;
		put(&writer, question.bytes, question.size);
		code = edns.version ? BADVERS : answer_question(&writer, map, own, &question);
		answer[7] = (uint8_t)writer.records;
		answer[11] = edns.asked;
	}
	if (edns.asked)
		put_opt(&writer, &edns, code);
	memcpy(answer, query, 2);
	answer[2] = FLAG_QR | (query[2] & (0x78 | FLAG_RD));
	answer[3] = (uint8_t)(FLAG_RA | (query[3] & FLAG_CD) | (code & 15));
	return (size_t)(writer.at - answer);
}

size_t dns_question(const char *name, uint16_t class, uint16_t type, uint8_t query[DNS_QUESTION])
{
	static const uint8_t header[HEADER] = {[2] = FLAG_RD, [5] = 1};
	struct writer writer = {.at = query};
	size_t length = strlen(name);
	if (length && name[length - 1] == '.')
		length--;
	if (length > NAME_TEXT - 3 || strchr(name, '\\'))
		return 0;
	put(&writer, header, sizeof header);
	if (!put_name(&writer, strcmp(name, ".") == 0 ? "" : name))
		return 0;
	put16(&writer, type);
	put16(&writer, class);
	return (size_t)(writer.at - query);
}
