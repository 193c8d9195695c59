/* SPDX-License-Identifier: MIT */
#include "endpoint.h"

#include "text.h"

#include <netinet/in.h>
#include <string.h>

enum { IPV4_BITS = 96 }; /* the prefix length of ::ffff:0:0, into which IPv4 is mapped */

static const uint8_t v4_mapped[16] = {[10] = 0xff, [11] = 0xff};
static const uint8_t ipv6_loopback[16] = {[15] = 1};
static const uint8_t ipv6_wildcard[16];

const struct ranges ranges_default = {
	.peers = {{[10] = 0xff, 0xff, 100, 64}, IPV4_BITS + 10},
	.names = {{[10] = 0xff, 0xff, 198, 18}, IPV4_BITS + 15},
	.peers6 = {{0xfd, 0x76, 0x73, 0x6f, 0x63, 0x6b, 0, 0}, 64},
	.names6 = {{0xfd, 0x76, 0x73, 0x6f, 0x63, 0x6b, 0, 1}, 64},
};

static bool is_mapped(const uint8_t ip[16])
{
	return memcmp(ip, v4_mapped, IPV4_BITS / 8) == 0;
}

static void put32(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 24);
	at[1] = (uint8_t)(value >> 16);
	at[2] = (uint8_t)(value >> 8);
	at[3] = (uint8_t)value;
}

static uint32_t get32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

bool address_from_sockaddr(struct address *address, const struct sockaddr *from, socklen_t length)
{
	sa_family_t family;
	if (!from || length < sizeof family)
		return false;
	memcpy(&family, from, sizeof family);
	if (family == AF_INET && length >= sizeof(struct sockaddr_in)) {
		struct sockaddr_in in;
		memcpy(&in, from, sizeof in);
		*address = address_ipv4(ntohl(in.sin_addr.s_addr), ntohs(in.sin_port));
		return true;
	}
	const socklen_t without_scope = offsetof(struct sockaddr_in6, sin6_scope_id);
	if (family == AF_INET6 && length >= without_scope) {
		struct sockaddr_in6 in6;
		memcpy(&in6, from, without_scope);
		memcpy(address->ip, &in6.sin6_addr, sizeof address->ip);
		address->port = ntohs(in6.sin6_port);
		return true;
	}
	return false;
}

socklen_t address_to_sockaddr(const struct address *address, int family, struct sockaddr_storage *to)
{
	memset(to, 0, sizeof *to);
	if (family == AF_INET) {
		struct sockaddr_in *in = (struct sockaddr_in *)to;
		in->sin_family = AF_INET;
		in->sin_port = htons(address->port);
		in->sin_addr.s_addr = htonl(address_ip4(address));
		return sizeof *in;
	}
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)to;
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(address->port);
	memcpy(&in6->sin6_addr, address->ip, sizeof address->ip);
	return sizeof *in6;
}

struct address address_ipv4(uint32_t ip, uint16_t port)
{
	struct address address = {.port = port};
	memcpy(address.ip, v4_mapped, sizeof address.ip);
	put32(address.ip + IPV4_BITS / 8, ip);
	return address;
}

bool address_is_ipv4(const struct address *address)
{
	return is_mapped(address->ip);
}

uint32_t address_ip4(const struct address *address)
{
	return is_mapped(address->ip) ? get32(address->ip + IPV4_BITS / 8) : 0;
}

bool address_is_loopback(const struct address *address)
{
	if (is_mapped(address->ip))
		return address->ip[12] == 127;
	return memcmp(address->ip, ipv6_loopback, sizeof ipv6_loopback) == 0;
}

bool address_is_wildcard(const struct address *address)
{
	return memcmp(address->ip, ipv6_wildcard, sizeof ipv6_wildcard) == 0 ||
	       memcmp(address->ip, v4_mapped, sizeof v4_mapped) == 0;
}

void address_wildcard_to_loopback(struct address *address)
{
	if (!address_is_wildcard(address))
		return;
	if (address_is_ipv4(address))
		*address = address_ipv4(0x7f000001, address->port);
	else
		address->ip[15] = 1;
}

static bool bits_equal(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	unsigned bytes = bits / 8, rest = bits % 8;
	return memcmp(a, b, bytes) == 0 && (rest == 0 || (a[bytes] ^ b[bytes]) >> (8 - rest) == 0);
}

bool prefix_contains(const struct prefix *prefix, const uint8_t ip[16])
{
	return bits_equal(prefix->ip, ip, prefix->length) && (prefix->length >= IPV4_BITS || !is_mapped(ip));
}

bool prefix_overlaps(const struct prefix *a, const struct prefix *b)
{
	const struct prefix *wide = a->length <= b->length ? a : b;
	return prefix_contains(wide, wide == a ? b->ip : a->ip);
}

void prefix_mask(struct prefix *prefix)
{
	unsigned bytes = prefix->length / 8;
	if (bytes == sizeof prefix->ip)
		return;
	prefix->ip[bytes] &= (uint8_t)(0xff00 >> prefix->length % 8);
	memset(prefix->ip + bytes + 1, 0, sizeof prefix->ip - bytes - 1);
}

/* Leading zeros are refused: some programs read them as octal. */
static bool ipv4_parse(uint8_t ip[4], const char *at, const char *end)
{
	for (int i = 0; i < 4; i++) {
		const char *start = at;
		uint32_t byte;
		while (at < end && *at != '.')
			at++;
		if ((at - start > 1 && *start == '0') ||
			!number_parse(start, (size_t)(at - start), 255, &byte))
			return false;
		ip[i] = (uint8_t)byte;
		if (i < 3 && at++ == end)
			return false;
	}
	return at == end;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool ipv6_parse(uint8_t ip[16], const char *at, const char *end)
{
	uint8_t bytes[16];
	size_t count = 0, gap = sizeof bytes + 1; /* where "::" is */
	if (end - at >= 2 && at[0] == ':' && at[1] == ':') {
		gap = 0;
		at += 2;
	}
	while (at < end) {
		const char *group = at;
		unsigned value = 0;
		while (at < end && at - group < 4 && hex_digit(*at) >= 0)
			value = value << 4 | (unsigned)hex_digit(*at++);
		if (at < end && *at == '.') {
			if (count > 12 || !ipv4_parse(bytes + count, group, end))
				return false;
			count += 4;
			break;
		}
		if (at == group || count == sizeof bytes)
			return false;
		bytes[count++] = (uint8_t)(value >> 8);
		bytes[count++] = (uint8_t)value;
		if (at == end)
			break;
		if (*at++ != ':' || at == end)
			return false;
		if (*at == ':') {
			if (gap <= sizeof bytes)
				return false;
			gap = count;
			at++;
		}
	}
	if (gap > sizeof bytes ? count != sizeof bytes : count > sizeof bytes - 2)
		return false;
	if (gap > count)
		gap = count;
	memset(ip, 0, 16);
	memcpy(ip, bytes, gap);
	memcpy(ip + 16 - (count - gap), bytes + gap, count - gap);
	return true;
}

bool prefix_parse(struct prefix *prefix, const char *text, size_t length)
{
	const char *end = text + length, *slash = memchr(text, '/', length), *ip_end = slash ? slash : end;
	struct prefix parsed;
	unsigned shortest = 0;
	if (memchr(text, ':', (size_t)(ip_end - text))) {
		if (!ipv6_parse(parsed.ip, text, ip_end))
			return false;
	} else {
		memcpy(parsed.ip, v4_mapped, sizeof parsed.ip);
		if (!ipv4_parse(parsed.ip + 12, text, ip_end))
			return false;
		shortest = IPV4_BITS;
	}
	uint32_t bits = 128 - shortest;
	if (slash && !number_parse(slash + 1, (size_t)(end - slash - 1), bits, &bits))
		return false;
	parsed.length = (uint8_t)(shortest + bits);
	struct prefix masked = parsed;
	prefix_mask(&masked);
	if (memcmp(masked.ip, parsed.ip, sizeof masked.ip) != 0)
		return false;
	*prefix = parsed;
	return true;
}

static void add_ipv4(struct text *text, const uint8_t ip[4])
{
	for (int i = 0; i < 4; i++) {
		if (i)
			text_add(text, ".");
		text_add_number(text, ip[i]);
	}
}

static void add_hex(struct text *text, unsigned group)
{
	for (int shift = 12; shift >= 0; shift -= 4)
		if (group >> shift || shift == 0)
			text_add_bytes(text, &"0123456789abcdef"[group >> shift & 15], 1);
}

/* RFC 5952: lower case, the first of the longest runs of zero groups as "::". */
static void add_ipv6(struct text *text, const uint8_t ip[16])
{
	int run_start = 8, run_length = 1;
	for (int i = 0, start = 0; i < 8; i++) {
		if (ip[2 * i] || ip[2 * i + 1]) {
			start = i + 1;
		} else if (i + 1 - start > run_length) {
			run_start = start;
			run_length = i + 1 - start;
		}
	}
	for (int i = 0; i < 8; i++) {
		if (i == run_start) {
			text_add(text, "::");
			i += run_length - 1;
			continue;
		}
		if (i && i != run_start + run_length)
			text_add(text, ":");
		add_hex(text, (unsigned)ip[2 * i] << 8 | ip[2 * i + 1]);
	}
}

static void add_ip(struct text *text, const uint8_t ip[16])
{
	if (is_mapped(ip))
		add_ipv4(text, ip + 12);
	else
		add_ipv6(text, ip);
}

void address_format(const struct address *address, char *to, size_t size)
{
	struct text text = text_in(to, size);
	add_ip(&text, address->ip);
}

void address_port_format(const struct address *address, char *to, size_t size)
{
	struct text text = text_in(to, size);
	bool brackets = !is_mapped(address->ip);
	text_add(&text, brackets ? "[" : "");
	add_ip(&text, address->ip);
	text_add(&text, brackets ? "]:" : ":");
	text_add_number(&text, address->port);
}

void prefix_format(const struct prefix *prefix, char *to, size_t size)
{
	struct text text = text_in(to, size);
	unsigned shortest = is_mapped(prefix->ip) && prefix->length >= IPV4_BITS ? IPV4_BITS : 0;
	add_ip(&text, prefix->ip);
	if (prefix->length == 128)
		return;
	text_add(&text, "/");
	text_add_number(&text, prefix->length - shortest);
}

static const struct {
	const char *word;
	uint32_t cid;
} cid_words[] = {
	{"any", CID_ANY},
	{"hypervisor", CID_HYPERVISOR},
	{"local", CID_LOCAL},
	{"host", CID_HOST},
	{"parent", CID_PARENT},
};

bool cid_parse(const char *text, size_t length, uint32_t *cid)
{
	if (number_parse(text, length, CID_ANY - 1, cid))
		return true;
	for (size_t i = 0; i < sizeof cid_words / sizeof *cid_words; i++) {
		if (strlen(cid_words[i].word) == length && memcmp(cid_words[i].word, text, length) == 0) {
			*cid = cid_words[i].cid;
			return true;
		}
	}
	return false;
}

void endpoint_format(const struct endpoint *endpoint, char *to, size_t size)
{
	struct text text = text_in(to, size);
	if (endpoint->cid == CID_ANY)
		text_add(&text, "any");
	else
		text_add_number(&text, endpoint->cid);
	text_add(&text, ":");
	if (endpoint->port == PORT_ANY)
		text_add(&text, "*");
	else
		text_add_number(&text, endpoint->port);
}

bool ranges_reserve(const struct ranges *ranges, const struct address *address)
{
	return prefix_contains(&ranges->peers, address->ip) || prefix_contains(&ranges->names, address->ip) ||
	       prefix_contains(&ranges->peers6, address->ip) || prefix_contains(&ranges->names6, address->ip);
}

static uint16_t port_shown(uint32_t port)
{
	if (port_is_marked(port, PORT_MARK_IPV4) || port_is_marked(port, PORT_MARK_IPV6))
		return (uint16_t)port;
	return (uint16_t)(port <= UINT16_MAX ? port : 1024 + port % (UINT16_MAX + 1 - 1024));
}

struct address endpoint_shown(const struct endpoint *endpoint, int family, const struct ranges *ranges)
{
	struct address shown = {.port = port_shown(endpoint->port)};
	const struct prefix *peers = family == AF_INET ? &ranges->peers : &ranges->peers6;
	if (endpoint->cid == CID_LOCAL) {
		if (family == AF_INET)
			return address_ipv4(INADDR_LOOPBACK, shown.port);
		memcpy(shown.ip, ipv6_loopback, sizeof shown.ip);
		return shown;
	}
	uint32_t host_bits = family == AF_INET ? UINT32_MAX >> (peers->length - IPV4_BITS) : UINT32_MAX;
	memcpy(shown.ip, peers->ip, sizeof shown.ip);
	put32(shown.ip + 12, get32(peers->ip + 12) | (endpoint->cid & host_bits));
	return shown;
}
