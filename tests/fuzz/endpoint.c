/* SPDX-License-Identifier: MIT */
/* The texts of addresses, prefixes and CIDs, and what a sockaddr says. libc's inet_pton() and inet_ntop() are
 * the oracle; what is formatted and parsed again is the same.
 *
 * The first byte of the input says what the others are. */
// sources: shim/core/endpoint.c shim/core/text.c
// length: 64
// executions: 1000000
#include "core/endpoint.h"
#include "core/text.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

static const uint8_t mapped[12] = {[10] = 0xff, 0xff};

/* As inet_pton(), in the 16-byte form. */
static bool libc_parses(const char *text, size_t length, uint8_t ip[16])
{
	char string[64];
	if (length >= sizeof string || memchr(text, '\0', length))
		return false;
	memcpy(string, text, length);
	string[length] = '\0';
	memcpy(ip, mapped, sizeof mapped);
	return inet_pton(strchr(string, ':') ? AF_INET6 : AF_INET, string,
		       strchr(string, ':') ? ip : ip + sizeof mapped) == 1;
}

/* The text behind a slash: -1, it isn't the length of a prefix. */
static int expected_length(const char *text, size_t length, int most)
{
	int value = length ? 0 : -1;
	for (size_t i = 0; i < length && value >= 0; i++) {
		value = text[i] >= '0' && text[i] <= '9' ? value * 10 + text[i] - '0' : -1;
		if (value > most)
			value = -1;
	}
	return value;
}

static bool bit_of(const uint8_t ip[16], unsigned bit)
{
	return ip[bit / 8] >> (7 - bit % 8) & 1;
}

static void check_address_text(const uint8_t ip[16], uint16_t port)
{
	struct address address = {.port = port};
	char text[ADDRESS_TEXT], with_port[ADDRESS_PORT_TEXT], expected[ADDRESS_PORT_TEXT],
		libcs[ADDRESS_TEXT];
	uint8_t again[16];
	memcpy(address.ip, ip, sizeof address.ip);
	address_format(&address, text, sizeof text);
	assert(libc_parses(text, strlen(text), again) && memcmp(again, ip, sizeof again) == 0);
	bool is_ipv4 = memcmp(ip, mapped, sizeof mapped) == 0;
	assert(address_is_ipv4(&address) == is_ipv4 && is_ipv4 == !strchr(text, ':'));
	inet_ntop(is_ipv4 ? AF_INET : AF_INET6, is_ipv4 ? ip + 12 : ip, libcs, sizeof libcs);
	assert(strcmp(text, libcs) == 0 || (!is_ipv4 && strchr(libcs, '.'))); /* ::1.2.3.4 is libc's alone */
	snprintf(expected, sizeof expected, is_ipv4 ? "%s:%u" : "[%s]:%u", text, port);
	address_port_format(&address, with_port, sizeof with_port);
	assert(strcmp(with_port, expected) == 0);
	char cut[8];
	address_port_format(&address, cut, sizeof cut);
	expected[sizeof cut - 1] = '\0';
	assert(strcmp(cut, expected) == 0);
}

static void check_prefix(const struct prefix *prefix)
{
	struct prefix again, masked = *prefix;
	char text[PREFIX_TEXT];
	prefix_format(prefix, text, sizeof text);
	assert(prefix_parse(&again, text, strlen(text)));
	assert(again.length == prefix->length && memcmp(again.ip, prefix->ip, sizeof again.ip) == 0);
	prefix_mask(&masked);
	assert(memcmp(masked.ip, prefix->ip, sizeof masked.ip) == 0);
	bool kept_apart = prefix->length < 96 && memcmp(prefix->ip, mapped, sizeof mapped) == 0;
	assert(prefix_contains(prefix, prefix->ip) == !kept_apart &&
		prefix_overlaps(prefix, prefix) == !kept_apart);
}

static void check_text(const char *text, size_t length)
{
	const char *slash = memchr(text, '/', length);
	size_t ip_length = slash ? (size_t)(slash - text) : length;
	struct prefix prefix;
	uint8_t ip[16];
	int most = memchr(text, ':', ip_length) ? 128 : 32, bits = most;
	bool good = libc_parses(text, ip_length, ip);
	if (slash)
		bits = expected_length(slash + 1, length - ip_length - 1, most);
	good = good && bits >= 0;
	for (unsigned bit = 128 - (unsigned)most + (unsigned)bits; good && bit < 128; bit++)
		good = !bit_of(ip, bit);
	assert(prefix_parse(&prefix, text, length) == good);
	if (!good)
		return;
	assert(prefix.length == 128 - most + bits && memcmp(prefix.ip, ip, sizeof ip) == 0);
	check_prefix(&prefix);
	check_address_text(ip, 443);
}

static void check_cid(const char *text, size_t length)
{
	static const char *const words[] = {"hypervisor", "local", "host", "parent"};
	uint64_t value = 0;
	bool good = length > 0;
	for (size_t i = 0; i < length; i++) {
		good = good && text[i] >= '0' && text[i] <= '9';
		if (good && value < CID_ANY)
			value = value * 10 + (uint64_t)(text[i] - '0');
	}
	good = good && value < CID_ANY;
	for (unsigned i = 0; i < 4; i++) {
		if (strlen(words[i]) == length && memcmp(words[i], text, length) == 0) {
			good = true;
			value = i;
		}
	}
	if (length == 3 && memcmp(text, "any", 3) == 0) {
		good = true;
		value = CID_ANY;
	}
	uint32_t cid;
	assert(cid_parse(text, length, &cid) == good && (!good || cid == value));
	if (!good)
		return;
	char formatted[ENDPOINT_TEXT];
	const struct endpoint endpoint = {cid, length % 2 ? PORT_ANY : cid};
	endpoint_format(&endpoint, formatted, sizeof formatted);
	const char *colon = strchr(formatted, ':');
	uint32_t again;
	assert(colon && cid_parse(formatted, (size_t)(colon - formatted), &again) && again == cid);
	if (endpoint.port == PORT_ANY)
		assert(strcmp(colon, ":*") == 0);
	else
		assert(strtoul(colon + 1, NULL, 10) == endpoint.port);
}

static void check_sockaddr(const void *bytes, size_t length)
{
	struct address address, again;
	struct sockaddr_storage storage;
	sa_family_t family = 0;
	if (length >= sizeof family)
		memcpy(&family, bytes, sizeof family);
	bool good = (family == AF_INET && length >= sizeof(struct sockaddr_in)) ||
		    (family == AF_INET6 && length >= offsetof(struct sockaddr_in6, sin6_scope_id));
	assert(address_from_sockaddr(&address, bytes, (socklen_t)length) == good);
	assert(!address_from_sockaddr(&again, NULL, (socklen_t)length));
	if (!good)
		return;
	socklen_t returned = address_to_sockaddr(&address, family, &storage);
	assert(returned == (family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6)));
	assert(memcmp(&storage, bytes, 4) == 0); /* the family and the port */
	size_t at = family == AF_INET ? offsetof(struct sockaddr_in, sin_addr)
				      : offsetof(struct sockaddr_in6, sin6_addr);
	assert(memcmp((char *)&storage + at, (const char *)bytes + at, family == AF_INET ? 4 : 16) == 0);
	assert(address_from_sockaddr(&again, (struct sockaddr *)&storage, returned));
	assert(again.port == address.port && memcmp(again.ip, address.ip, sizeof again.ip) == 0);
	address_to_sockaddr(&address, AF_INET, &storage);
	if (!address_is_ipv4(&address))
		assert(((struct sockaddr_in *)&storage)->sin_addr.s_addr == INADDR_ANY);
	check_address_text(address.ip, address.port);

	bool is_ipv4 = address_is_ipv4(&address), wildcard = true;
	for (int i = is_ipv4 ? 12 : 0; i < 16; i++)
		wildcard &= address.ip[i] == 0;
	assert(address_is_wildcard(&address) == wildcard && (!wildcard || !address_is_loopback(&address)));
	assert(!is_ipv4 || address_is_loopback(&address) == (address.ip[12] == 127));
	assert(is_ipv4 ||
		address_is_loopback(&address) == IN6_IS_ADDR_LOOPBACK((struct in6_addr *)address.ip));
	address_wildcard_to_loopback(&again);
	assert(address_is_loopback(&again) == (wildcard || address_is_loopback(&address)));
	assert(address_is_ipv4(&again) == is_ipv4 && again.port == address.port);
}

/* Two prefixes, against all that their bits say. */
static void check_prefixes(const uint8_t *bytes)
{
	struct prefix a = {.length = bytes[0] % 129}, b = {.length = bytes[1] % 129};
	memcpy(a.ip, bytes + 2, sizeof a.ip);
	memcpy(b.ip, bytes + 18, sizeof b.ip);
	unsigned same = 0;
	prefix_mask(&a);
	prefix_mask(&b);
	for (unsigned bit = 0; bit < 128; bit++)
		assert(!bit_of(a.ip, bit) || bit < a.length);
	while (same < 128 && bit_of(a.ip, same) == bit_of(b.ip, same))
		same++;
	bool b_is_ipv4 = memcmp(b.ip, mapped, sizeof mapped) == 0;
	assert(prefix_contains(&a, b.ip) == (same >= a.length && (a.length >= 96 || !b_is_ipv4)));
	if (a.length != b.length)
		assert(prefix_overlaps(&a, &b) == prefix_overlaps(&b, &a));
	check_address_text(a.ip, b.length);
	if (a.length >= 96 || !prefix_contains(&(struct prefix){{[10] = 0xff, 0xff}, 96}, a.ip))
		check_prefix(&a);
}

/* An endpoint is shown as one address, always the same, as loopback only if it is local. */
static void check_shown(const uint8_t *bytes, int family)
{
	struct ranges ranges = ranges_default;
	struct endpoint endpoint;
	memcpy(&endpoint, bytes, sizeof endpoint);
	ranges.peers = (struct prefix){.length = 96 + 8 + bytes[8] % 17};
	memcpy(ranges.peers.ip, mapped, sizeof mapped);
	memcpy(ranges.peers.ip + 12, bytes + 9, 3);
	prefix_mask(&ranges.peers);
	if (ranges.peers.ip[12] == 127 || ranges.peers.ip[12] == 0)
		return; /* as settings_read() */
	struct address shown = endpoint_shown(&endpoint, family, &ranges);
	assert(address_is_ipv4(&shown) == (family == AF_INET));
	assert(address_is_loopback(&shown) == (endpoint.cid == CID_LOCAL));
	assert(ranges_reserve(&ranges, &shown) || endpoint.cid == CID_LOCAL);
	assert(endpoint.port <= UINT16_MAX ? shown.port == endpoint.port : shown.port >= 1024);
	uint32_t host = (uint32_t)shown.ip[12] << 24 | (uint32_t)shown.ip[13] << 16 |
			(uint32_t)shown.ip[14] << 8 | shown.ip[15];
	uint32_t room = family == AF_INET ? UINT32_MAX >> (ranges.peers.length - 96) : UINT32_MAX;
	if (endpoint.cid != CID_LOCAL)
		assert((host & room) == (endpoint.cid & room));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	enum { TEXT, ADDRESS, PREFIXES, SHOWN, KINDS };
	if (length-- == 0)
		return 0;
	switch (*data++ % KINDS) {
	case TEXT:
		check_text((const char *)data, length);
		check_cid((const char *)data, length);
		break;
	case ADDRESS:
		check_sockaddr(data, length);
		break;
	case PREFIXES:
		if (length >= 34)
			check_prefixes(data);
		break;
	case SHOWN:
		if (length >= 12) {
			check_shown(data, AF_INET);
			check_shown(data, AF_INET6);
		}
		break;
	}
	return 0;
}
