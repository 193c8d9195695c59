/* SPDX-License-Identifier: MIT */
/* Both kinds of address, and the conversion between them: a vsock endpoint is a CID and a port; an IP address
 * is what the program sees. Pure: no system call, no allocation, no errno; safe in any thread and signal
 * handler. Ports and CIDs are in host byte order everywhere. */
#ifndef IP2VSOCK_ENDPOINT_H
#define IP2VSOCK_ENDPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* The well-known CIDs, and the wildcards of CID and port, as in include/uapi/linux/vm_sockets.h since
 * Linux 5.6. CID_PARENT is the parent instance of an AWS Nitro enclave. */
enum { CID_HYPERVISOR = 0, CID_LOCAL = 1, CID_HOST = 2, CID_PARENT = 3 };
#define CID_ANY UINT32_MAX
#define PORT_ANY UINT32_MAX

struct endpoint {
	uint32_t cid;
	uint32_t port;
};

/* An IP address and a TCP port. IPv4 is kept in its v4-mapped form, so that one comparison serves both. */
struct address {
	uint8_t ip[16]; /* network byte order */
	uint16_t port;
};

/* false: it isn't AF_INET or AF_INET6, or it is shorter than the kernel accepts (an IPv6 one may lack its
 * scope, as in RFC 2133). Doesn't read beyond `length`. */
bool address_from_sockaddr(struct address *address, const struct sockaddr *from, socklen_t length);

/* Writes a sockaddr of `family` (AF_INET or AF_INET6) and returns its length. For AF_INET, an IPv6 address
 * that has no IPv4 form is written as 0.0.0.0. Flow label and scope are 0. */
socklen_t address_to_sockaddr(const struct address *address, int family, struct sockaddr_storage *to);

struct address address_ipv4(uint32_t ip, uint16_t port); /* ip in host byte order */
bool address_is_ipv4(const struct address *address);
uint32_t address_ip4(const struct address *address);	 /* host byte order; 0 unless address_is_ipv4 */
bool address_is_loopback(const struct address *address); /* 127/8 and ::1 */
bool address_is_wildcard(const struct address *address); /* 0.0.0.0, :: and ::ffff:0.0.0.0 */

void address_wildcard_to_loopback(struct address *address); /* TCP connects there for 0.0.0.0 and :: */

/* A CIDR block of the 16-byte form: an IPv4 /n is a /(96 + n). IPv4 and IPv6 are separate: a block shorter
 * than /96 contains IPv6 addresses only, so ::/0 is "every IPv6 address". */
struct prefix {
	uint8_t ip[16];
	uint8_t length; /* bits, 0 to 128 */
};

bool prefix_contains(const struct prefix *prefix, const uint8_t ip[16]);
bool prefix_overlaps(const struct prefix *a, const struct prefix *b);
void prefix_mask(struct prefix *prefix); /* clears the bits beyond its length */

/* Parses "10.0.0.0/8", "10.1.2.3", "fd00::/8" or "::1", without brackets. false: it is none of these, or has
 * bits set beyond the prefix length. `text` need not end in NUL. */
bool prefix_parse(struct prefix *prefix, const char *text, size_t length);

enum { PREFIX_TEXT = 50 };
void prefix_format(
	const struct prefix *prefix, char *text, size_t size); /* "10.0.0.0/8", "10.1.2.3", "fd00::/8" */

/* Writes an address as text ("10.1.2.3", "::1"; a v4-mapped one as IPv4), cut to size, always with NUL. */
enum { ADDRESS_TEXT = 46 };
void address_format(const struct address *address, char *text, size_t size);
/* The same with the port: "10.1.2.3:443", "[::1]:443". */
enum { ADDRESS_PORT_TEXT = ADDRESS_TEXT + 8 };
void address_port_format(const struct address *address, char *text, size_t size);
/* Parses a CID as people write it: a number, hypervisor, local, host or parent; "any" is CID_ANY. */
bool cid_parse(const char *text, size_t length, uint32_t *cid);

/* Writes "3:8443" or "any:8443". Only the wildcards "any" and "*" are written as words; it never writes
 * "local:*". */
enum { ENDPOINT_TEXT = 24 };
void endpoint_format(const struct endpoint *endpoint, char *text, size_t size);

/* The reserved ranges: the addresses in which CIDs are shown (peers), and those to which mapped names resolve
 * (names). The IPv4 ranges can be moved (IP2VSOCK_PEERS, IP2VSOCK_NAMES); the IPv6 ranges are
 * fd76:736f:636b::/64 (peers) and fd76:736f:636b:1::/64 (names), both inside RANGE6 fd76:736f:636b::/48. */
struct ranges {
	struct prefix peers, names;   /* IPv4: default 100.64.0.0/10 and 198.18.0.0/15 */
	struct prefix peers6, names6; /* IPv6, fixed */
};
extern const struct ranges ranges_default;
bool ranges_reserve(const struct ranges *ranges, const struct address *address); /* is it in one of them? */

/* The upper half of a client's vsock port that isn't itself to say its family (transport/ports.h); the lower
 * half is its TCP port, from 1024 on. */
enum { PORT_MARK_IPV4 = 0x6934, PORT_MARK_IPV6 = 0x6936, PORT_MARK_LEAST = 1024 };
static inline bool port_is_marked(uint32_t port, uint32_t mark)
{
	return port >> 16 == mark && (port & UINT16_MAX) >= PORT_MARK_LEAST;
}

/* The address in `family` (AF_INET or AF_INET6) by which a program sees a vsock endpoint: the local CID as
 * 127.0.0.1 or ::1, and any other as peers + CID, folded (to its low bits) if the IPv4 range is too small. A
 * port above 65535 is folded to 1024..65535, or is what its mark says. The same endpoint always has the same
 * address. */
struct address endpoint_shown(const struct endpoint *endpoint, int family, const struct ranges *ranges);

#endif
