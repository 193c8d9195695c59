/* SPDX-License-Identifier: MIT */
/* Sockets to the map's name server, UDP's and TCP's, and libc's resolver functions. The program that links
 * the library's objects is the client: its own calls are the hooks. */
#include "build_map.h"
#include "core/dns.h"
#include "core/names.h"
#include "emulated.h"
#include "resolver/resolve.h"
#include "state/fd.h"
#include "system/log.h"
#include "transport/ports.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <resolv.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/un.h>
#include <sys/wait.h>

static int set_up(void **state)
{
	(void)state;
	fd_start();
	ports_start();
	return 0;
}

static int use_map(void **state)
{
	(void)state;
	shim = (struct settings){.ranges = ranges_default};
	shim.map = map_of("api.test:443=3:1,*.glob.test:*=3:1,10.99.0.1:443=3:1,localhost:443=3:1,127.0.0.9:"
			  "53=direct,[fd00::9]:53=direct,*:53=names");
	shim_rules = *map_summary(shim.map);
	log_limit = LOG_OFF;
	return 0;
}

static uint8_t query[DNS_QUESTION];

static size_t make_query(const char *name, uint16_t id)
{
	size_t size = dns_question(name, ns_c_in, ns_t_a, query);
	assert_true(size > 0);
	query[0] = (uint8_t)(id >> 8);
	query[1] = (uint8_t)id;
	return size;
}

/* Is this the answer to that query, with api.test's address? */
static void check(const uint8_t *answer, ssize_t size, uint16_t id)
{
	static const uint8_t address[] = {198, 18, 0, 1};
	assert_true(size > NS_HFIXEDSZ);
	assert_int_equal(answer[0] << 8 | answer[1], id);
	assert_int_equal(answer[3] & 15, ns_r_noerror);
	assert_memory_equal(answer + size - sizeof address, address, sizeof address);
}

static struct sockaddr_in at(const char *ip, uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
	assert_int_equal(inet_pton(AF_INET, ip, &address.sin_addr), 1);
	return address;
}

static void assert_at(const struct sockaddr_in *got, const char *ip, uint16_t port)
{
	struct sockaddr_in expected = at(ip, port);
	assert_int_equal(got->sin_family, AF_INET);
	assert_int_equal(got->sin_addr.s_addr, expected.sin_addr.s_addr);
	assert_int_equal(got->sin_port, expected.sin_port);
}

static int int_option(int fd, int level, int name)
{
	int value = -4242;
	socklen_t length = sizeof value;
	assert_int_equal(getsockopt(fd, level, name, &value, &length), 0);
	return value;
}

static int connected(int type, const char *ip)
{
	struct sockaddr_in server = at(ip, 53);
	int fd = socket(AF_INET, type, 0);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&server, sizeof server), 0);
	return fd;
}

static void a_connected_udp_socket_is_answered(void **state)
{
	(void)state;
	uint8_t answer[DNS_ANSWER] = {0};
	struct sockaddr_in from = {0};
	socklen_t length = sizeof from;
	int before = count_fds(), fd = connected(SOCK_DGRAM, "192.0.2.1");
	assert_int_equal(count_fds(), before + 1);
	size_t size = make_query("api.test", 1);
	assert_int_equal(write(fd, query, size), size);
	check(answer, read(fd, answer, sizeof answer), 1);
	size = make_query("api.test", 2);
	assert_int_equal(send(fd, query, size, MSG_NOSIGNAL), size);
	check(answer, recvfrom(fd, answer, sizeof answer, 0, (struct sockaddr *)&from, &length), 2);
	assert_int_equal(length, sizeof from);
	assert_at(&from, "192.0.2.1", 53);
	assert_int_equal(recv(fd, answer, sizeof answer, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(recv(fd, answer, sizeof answer, MSG_ERRQUEUE), -1);
	assert_int_equal(errno, EAGAIN);
	close(fd);
	assert_int_equal(count_fds(), before);
}

static void it_looks_like_udp(void **state)
{
	(void)state;
	struct sockaddr_in name = {0};
	socklen_t length = sizeof name;
	int fd = connected(SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, "192.0.2.1");
	assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(int_option(fd, SOL_SOCKET, SO_TYPE), SOCK_DGRAM);
	assert_int_equal(int_option(fd, SOL_SOCKET, SO_DOMAIN), AF_INET);
	assert_int_equal(int_option(fd, SOL_SOCKET, SO_PROTOCOL), IPPROTO_UDP);
	assert_int_equal(int_option(fd, SOL_SOCKET, SO_ERROR), 0);
	assert_int_equal(int_option(fd, IPPROTO_IP, IP_TTL), 64);
	int one = 1;
	length = sizeof one;
	assert_int_equal(setsockopt(fd, IPPROTO_IP, IP_RECVERR, &one, sizeof one), 0);
	assert_int_equal(int_option(fd, IPPROTO_IP, IP_RECVERR), 1);
	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, &length), -1);
	assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one), -1);
	length = sizeof name;
	assert_int_equal(getpeername(fd, (struct sockaddr *)&name, &length), 0);
	assert_at(&name, "192.0.2.1", 53);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &length), 0);
	assert_int_equal(name.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	assert_int_not_equal(name.sin_port, 0);
	assert_int_equal(listen(fd, 1), -1);
	assert_int_equal(errno, EOPNOTSUPP);
	assert_int_equal(accept(fd, NULL, NULL), -1);
	assert_int_equal(errno, EOPNOTSUPP);
	close(fd);
}

static void datagrams_with_an_address_are_answered_from_there(void **state)
{
	(void)state;
	uint8_t answers[2][DNS_ANSWER];
	struct sockaddr_in servers[] = {at("192.0.2.1", 53), at("192.0.2.2", 53)}, from[2] = {0};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, IPPROTO_UDP);
	for (int i = 0; i < 2; i++) {
		size_t size = make_query("api.test", (uint16_t)i);
		socklen_t length = sizeof from[i];
		assert_int_equal(
			sendto(fd, query, size, 0, (struct sockaddr *)&servers[i], sizeof servers[i]), size);
		check(answers[i],
			recvfrom(fd, answers[i], DNS_ANSWER, 0, (struct sockaddr *)&from[i], &length), i);
		assert_memory_equal(&from[i], &servers[i], sizeof from[i]);
	}
	assert_int_equal(getpeername(fd, (struct sockaddr *)&from[0], &(socklen_t){sizeof from[0]}), -1);
	assert_int_equal(errno, ENOTCONN);

	size_t size = make_query("api.test", 7);
	struct iovec whole = {query, size}, into[2];
	struct mmsghdr out[2] = {{.msg_len = 0}}, in[2] = {{.msg_len = 0}};
	for (int i = 0; i < 2; i++) {
		into[i] = (struct iovec){answers[i], DNS_ANSWER};
		out[i].msg_hdr = (struct msghdr){.msg_name = &servers[1],
			.msg_namelen = sizeof *servers,
			.msg_iov = &whole,
			.msg_iovlen = 1};
		in[i].msg_hdr = (struct msghdr){.msg_name = &from[i],
			.msg_namelen = sizeof *from,
			.msg_iov = &into[i],
			.msg_iovlen = 1};
	}
	close(fd);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, IPPROTO_UDP); /* of which nothing is known yet */
	assert_int_equal(sendmmsg(fd, out, 2, 0), 2);
	assert_int_equal(recvmmsg(fd, in, 2, 0, NULL), 2);
	for (int i = 0; i < 2; i++) {
		check(answers[i], in[i].msg_len, 7);
		assert_int_equal(in[i].msg_hdr.msg_namelen, sizeof *from);
		assert_at(&from[i], "192.0.2.2", 53);
	}
	assert_int_equal(sendmsg(fd, &out[0].msg_hdr, 0), size);
	memset(from, 0, sizeof from);
	in[0].msg_hdr.msg_namelen = sizeof *from;
	check(answers[0], recvmsg(fd, &in[0].msg_hdr, 0), 7);
	assert_at(&from[0], "192.0.2.2", 53);
	close(fd);
}

/* Each has its sender's address, and more than one call returns are left for the next. */
static void as_many_answers_as_are_asked_for_come_at_once(void **state)
{
	(void)state;
	enum { ASKED = 100 };
	static uint8_t answers[ASKED][DNS_ANSWER];
	static struct mmsghdr in[ASKED];
	struct iovec into[ASKED];
	struct sockaddr_in from[ASKED];
	int fd = connected(SOCK_DGRAM, "192.0.2.1"), got = 0;
	size_t size = make_query("api.test", 1);
	for (int i = 0; i < ASKED; i++) {
		assert_int_equal(send(fd, query, size, 0), size);
		into[i] = (struct iovec){answers[i], DNS_ANSWER};
		in[i] = (struct mmsghdr){.msg_hdr = {&from[i], sizeof *from, &into[i], 1, NULL, 0, 0}};
	}
	while (got < ASKED) {
		int part = recvmmsg(fd, in + got, (unsigned)(ASKED - got), MSG_DONTWAIT, NULL);
		assert_in_range(part, 1, ASKED - got);
		for (int last = got + part; got < last; got++) {
			check(answers[got], in[got].msg_len, 1);
			assert_int_equal(in[got].msg_hdr.msg_namelen, sizeof *from);
			assert_at(&from[got], "192.0.2.1", 53);
		}
	}
	close(fd);
}

static void a_scope_is_kept(void **state)
{
	(void)state;
	struct sockaddr_in6 server = {AF_INET6, htons(53), 0, {{{0xfe, 0x80, [15] = 1}}}, 1}, peer = {0};
	struct {
		struct sockaddr_in6 address;
		uint32_t more;
	} longer = {server, 0};
	socklen_t lengths[] = {sizeof server, sizeof longer};
	for (int i = 0; i < 2; i++) {
		socklen_t length = sizeof peer;
		int fd = socket(AF_INET6, SOCK_DGRAM, 0);
		assert_int_equal(connect(fd, (struct sockaddr *)&longer, lengths[i]), 0);
		assert_int_equal(getpeername(fd, (struct sockaddr *)&peer, &length), 0);
		assert_memory_equal(&peer, &server, sizeof peer);
		close(fd);
	}
}

static bool a_signal_comes_of(int fd)
{
	sigset_t waiting, pipe;
	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	sigprocmask(SIG_BLOCK, &pipe, NULL);
	assert_int_equal(send(fd, "x", 1, 0), -1);
	assert_int_equal(errno, EPIPE);
	sigpending(&waiting);
	signal(SIGPIPE, SIG_IGN); /* which takes it away */
	sigprocmask(SIG_UNBLOCK, &pipe, NULL);
	signal(SIGPIPE, SIG_DFL);
	return sigismember(&waiting, SIGPIPE);
}

static void after_shutdown_only_tcp_has_a_signal(void **state)
{
	(void)state;
	int fds[] = {connected(SOCK_STREAM, "192.0.2.1"), connected(SOCK_DGRAM, "192.0.2.1")};
	for (int i = 0; i < 2; i++) {
		assert_int_equal(shutdown(fds[i], SHUT_WR), 0);
		assert_int_equal(a_signal_comes_of(fds[i]), i == 0);
		close(fds[i]);
	}
}

/* ---- the log ---- */

static void ask_for_what_there_is(void)
{
	uint8_t answer[DNS_ANSWER] = {0};
	size_t size = make_query("api.test", 1);
	int fd = connected(SOCK_DGRAM, "192.0.2.1");
	assert_int_equal(send(fd, query, size, 0), size);
	check(answer, recv(fd, answer, sizeof answer, 0), 1);
	close(fd);
}

static void send_where_udp_is_not_carried(void)
{
	struct sockaddr_in there = at("198.18.0.1", 443);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(sendto(fd, "q", 1, 0, (struct sockaddr *)&there, sizeof there), -1);
	close(fd);
}

static void the_log_says_what_went_wrong_and_nothing_else(void **state)
{
	(void)state;
	assert_string_equal(log_of(LOG_ERROR, ask_for_what_there_is), "");
	assert_string_equal(log_of(LOG_ERROR, send_where_udp_is_not_carried),
		"ip2vsock: 198.18.0.1:443 is api.test: UDP isn't carried, and it never goes over IP\n");
}

static struct libc kernel;
static int stranger, asker; /* the program's socket */

/* A stranger is faster, and sends an answer and an fd. */
static int connect_too_late(int fd, const struct sockaddr *address, socklen_t length)
{
	int saved = errno;
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {{0}};
	char fake[] = "fake";
	struct iovec part = {fake, sizeof fake};
	struct sockaddr_storage to;
	socklen_t size = sizeof to;
	if (address->sa_family != AF_UNIX)
		return kernel.connect(fd, address, length);
	int family = 0;
	socklen_t room = sizeof family;
	assert_int_equal(kernel.getsockopt(asker, SOL_SOCKET, SO_DOMAIN, &family, &room), 0);
	assert_int_equal(family, AF_INET); /* no other thread finds the new one on its number */
	assert_int_equal(kernel.getsockname(fd, (struct sockaddr *)&to, &size), 0);
	struct msghdr message = {.msg_name = &to,
		.msg_namelen = size,
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof control};
	struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
	*rights = (struct cmsghdr){
		.cmsg_len = CMSG_LEN(sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
	memcpy(CMSG_DATA(rights), &stranger, sizeof stranger);
	assert_int_equal(kernel.sendmsg(stranger, &message, 0), sizeof fake);
	assert_int_equal(kernel.sendto(stranger, "", 0, 0, (struct sockaddr *)&to, size), 0);
	assert_int_equal(kernel.connect(fd, address, length), 0);
	assert_int_equal(kernel.sendto(stranger, fake, sizeof fake, 0, (struct sockaddr *)&to, size), -1);
	assert_int_equal(errno, EPERM);
	errno = saved;
	return 0;
}

static void nobody_else_answers(void **state)
{
	static const int types[] = {SOCK_DGRAM, SOCK_STREAM};
	(void)state;
	kernel = libc;
	stranger = libc.socket(AF_UNIX, SOCK_DGRAM, 0);
	for (size_t i = 0; i < 2; i++) {
		char answer[8];
		struct sockaddr_in server = at("192.0.2.1", 53);
		asker = socket(AF_INET, types[i], 0);
		libc.connect = connect_too_late;
		errno = 77;
		assert_int_equal(connect(asker, (struct sockaddr *)&server, sizeof server), 0);
		libc.connect = kernel.connect;
		assert_int_equal(errno, 77);
		assert_int_equal(recv(asker, answer, sizeof answer, MSG_DONTWAIT), -1);
		assert_int_equal(errno, EAGAIN);
		close(asker);
	}
	libc.close(stranger);
}

static void wherever_a_name_server_is_it_is_here(void **state)
{
	(void)state;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct endpoint endpoint = {77, 77};
	transport_names.endpoint((struct sockaddr *)&address, sizeof address, &endpoint);
	assert_int_equal(endpoint.cid, CID_LOCAL);
	assert_int_equal(endpoint.port, PORT_ANY);
}

static void registrations_with_epoll_stay(void **state)
{
	(void)state;
	struct sockaddr_in server = at("192.0.2.1", 53);
	int epoll = epoll_create1(EPOLL_CLOEXEC), fd = socket(AF_INET, SOCK_DGRAM, 0), dup_of_fd = dup(fd);
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = 4242}, got;
	uint8_t answer[DNS_ANSWER] = {0};
	assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), 0);
	size_t size = make_query("api.test", 1);
	assert_int_equal(sendto(fd, query, size, 0, (struct sockaddr *)&server, sizeof server), size);
	assert_int_equal(epoll_wait(epoll, &got, 1, 1000), 1);
	assert_int_equal(got.data.u64, 4242);
	check(answer, recv(dup_of_fd, answer, sizeof answer, 0), 1);
	assert_int_equal(epoll_wait(epoll, &got, 1, 0), 0);
	close(fd);
	close(dup_of_fd);
	close(epoll);
}

static void what_is_no_name_servers_stays_with_ip(void **state)
{
	(void)state;
	struct sockaddr_in name, mapped = at("192.0.2.1", 53), tcp_only = at("10.99.0.1", 443),
				 ours = at("198.18.0.1", 443);
	socklen_t length = sizeof name;
	char byte = 'x';
	int receiver = libc.socket(AF_INET, SOCK_DGRAM, 0), fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in there = at("127.0.0.1", 0);
	assert_int_equal(libc.bind(receiver, (struct sockaddr *)&there, sizeof there), 0);
	assert_int_equal(libc.getsockname(receiver, (struct sockaddr *)&there, &length), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&mapped, sizeof mapped), 0);
	/* and back again: a datagram arrives, over IP */
	assert_int_equal(connect(fd, (struct sockaddr *)&there, sizeof there), 0);
	assert_int_equal(send(fd, "q", 1, 0), 1);
	assert_int_equal(libc.recv(receiver, &byte, 1, 0), 1);
	assert_int_equal(byte, 'q');
	/* connected once more, though it was no longer kept track of; then unconnected */
	assert_int_equal(connect(fd, (struct sockaddr *)&mapped, sizeof mapped), 0);
	assert_true(fd_tracked(fd));
	assert_int_equal(connect(fd, &(struct sockaddr){.sa_family = AF_UNSPEC}, sizeof there), 0);
	assert_int_equal(getpeername(fd, (struct sockaddr *)&name, &length), -1);
	assert_int_equal(sendto(fd, "r", 1, 0, (struct sockaddr *)&there, sizeof there), 1);
	assert_int_equal(libc.recv(receiver, &byte, 1, 0), 1);
	assert_int_equal(byte, 'r');
	/* our own ranges are nobody's, and rules for TCP don't concern UDP */
	assert_int_equal(sendto(fd, "q", 1, 0, (struct sockaddr *)&ours, sizeof ours), -1);
	assert_int_equal(errno, EHOSTUNREACH);
	assert_int_equal(connect(fd, (struct sockaddr *)&ours, sizeof ours), -1);
	assert_int_equal(errno, EHOSTUNREACH);
	(void)connect(fd, (struct sockaddr *)&tcp_only, sizeof tcp_only);
	int domain = 0;
	length = sizeof domain;
	assert_int_equal(libc.getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length), 0);
	assert_int_equal(domain, AF_INET);
	close(fd);
	close(receiver);
}

/* ---- TCP ---- */

static size_t frame(uint8_t *to, const char *name, uint16_t id)
{
	size_t size = make_query(name, id);
	to[0] = (uint8_t)(size >> 8);
	to[1] = (uint8_t)size;
	memcpy(to + 2, query, size);
	return size + 2;
}

static void expect_answer(int fd, uint16_t id)
{
	uint8_t length[2], answer[DNS_ANSWER] = {0};
	assert_int_equal(read(fd, length, 2), 2);
	assert_int_equal(read(fd, answer, sizeof answer), length[0] << 8 | length[1]);
	check(answer, length[0] << 8 | length[1], id);
}

static void a_query_over_tcp_may_come_in_any_pieces(void **state)
{
	(void)state;
	uint8_t bytes[2 * DNS_QUESTION];
	int fd = connected(SOCK_STREAM, "192.0.2.1");
	size_t size = frame(bytes, "api.test", 5);
	for (size_t first = 1; first < size; first++) {
		assert_int_equal(send(fd, bytes, first, 0), first);
		assert_int_equal(recv(fd, bytes + size, 1, MSG_DONTWAIT), -1);
		assert_int_equal(send(fd, bytes + first, size - first, 0), size - first);
		expect_answer(fd, 5);
	}
	for (size_t i = 0; i < size; i++)
		assert_int_equal(write(fd, bytes + i, 1), 1);
	expect_answer(fd, 5);
	struct iovec parts[] = {{bytes, 2}, {bytes + 2, 3}, {bytes + 5, size - 5}, {bytes, size}};
	assert_int_equal(writev(fd, parts, 4), 2 * size);
	expect_answer(fd, 5);
	expect_answer(fd, 5);
	close(fd);
}

static void it_looks_like_tcp(void **state)
{
	(void)state;
	struct sockaddr_in server = at("192.0.2.1", 53), name = {0};
	socklen_t length = sizeof name;
	uint8_t bytes[DNS_QUESTION + 2];
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&server, sizeof server), -1);
	assert_int_equal(errno, EINPROGRESS);
	struct pollfd ready = {.fd = fd, .events = POLLIN | POLLOUT};
	assert_int_equal(poll(&ready, 1, 1000), 1);
	assert_int_equal(ready.revents, POLLOUT);
	assert_int_equal(int_option(fd, SOL_SOCKET, SO_ERROR), 0);
	assert_int_equal(int_option(fd, SOL_SOCKET, SO_TYPE), SOCK_STREAM);
	assert_int_equal(int_option(fd, SOL_SOCKET, SO_PROTOCOL), IPPROTO_TCP);
	assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)), 0);
	assert_int_equal(getpeername(fd, (struct sockaddr *)&name, &length), 0);
	assert_at(&name, "192.0.2.1", 53);
	size_t size = frame(bytes, "api.test", 5);
	assert_int_equal(send(fd, bytes, size, 0), size);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	expect_answer(fd, 5);
	assert_int_equal(recv(fd, bytes, sizeof bytes, 0), 0);
	assert_int_equal(send(fd, bytes, size, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, EPIPE);
	close(fd);
}

static void a_query_that_is_too_long_is_malformed_and_the_next_is_not(void **state)
{
	(void)state;
	static uint8_t bytes[2 + 60000];
	uint8_t answer[DNS_ANSWER] = {0};
	int fd = connected(SOCK_STREAM, "192.0.2.1");
	bytes[0] = 60000 >> 8;
	bytes[1] = 60000 & 0xff;
	bytes[7] = 1;
	for (size_t sent = 0; sent < sizeof bytes;) {
		size_t part = sizeof bytes - sent < 7777 ? sizeof bytes - sent : 7777;
		assert_int_equal(send(fd, bytes + sent, part, 0), part);
		sent += part;
	}
	assert_int_equal(read(fd, answer, 2), 2);
	assert_int_equal(read(fd, answer, sizeof answer), NS_HFIXEDSZ);
	assert_int_equal(answer[3] & 15, ns_r_formerr);
	size_t size = frame(bytes, "api.test", 5);
	assert_int_equal(send(fd, bytes, size, 0), size);
	expect_answer(fd, 5);
	close(fd);
}

/* As many as the queue of a UDP socket of default size holds. */
static void a_burst_of_udp_queries_loses_nothing(void **state)
{
	(void)state;
	enum { BURST = 256, WRITABLE = 100 };
	uint8_t answer[DNS_ANSWER] = {0};
	int fd = connected(SOCK_DGRAM, "192.0.2.1");
	size_t size = make_query("api.test", 1);
	for (int i = 0; i < BURST; i++) {
		struct pollfd ready = {.fd = fd, .events = POLLOUT};
		if (i < WRITABLE)
			assert_int_equal(poll(&ready, 1, 0), 1);
		assert_int_equal(send(fd, query, size, 0), size);
	}
	for (int i = 0; i < BURST; i++)
		check(answer, recv(fd, answer, sizeof answer, MSG_DONTWAIT), 1);
	close(fd);
}

static void unread_answers_make_tcp_wait_and_udp_lose(void **state)
{
	(void)state;
	uint8_t bytes[DNS_QUESTION + 2], answer[DNS_ANSWER] = {0};
	uint16_t sent = 0, read_back = 0;
	int fd = connected(SOCK_STREAM, "192.0.2.1");
	size_t size;
	ioctl(fd, FIONBIO, &(int){1});
	size_t done = 0;
	for (;;) {
		size = frame(bytes, "api.test", sent);
		ssize_t part = send(fd, bytes + done, size - done, 0);
		if (part < 0)
			break;
		done += (size_t)part;
		if (done == size) {
			done = 0;
			sent++;
		}
	}
	assert_int_equal(errno, EAGAIN);
	assert_true(sent > 20);
	for (; read_back < sent; read_back++)
		expect_answer(fd, read_back);
	assert_int_equal(send(fd, bytes + done, size - done, 0), size - done);
	expect_answer(fd, sent);
	close(fd);

	fd = connected(SOCK_DGRAM, "192.0.2.1");
	size = make_query("api.test", 1);
	for (int i = 0; i < 5000; i++)
		assert_int_equal(send(fd, query, size, 0), size);
	assert_true(recv(fd, answer, sizeof answer, MSG_DONTWAIT) > 0);
	close(fd);
}

/* ---- libc's own client ---- */

static void res_query_and_its_kin_are_answered(void **state)
{
	(void)state;
	uint8_t answer[DNS_ANSWER] = {0};
	res_init();
	check(answer, res_query("api.test", ns_c_in, ns_t_a, answer, sizeof answer), 0);
	check(answer, res_search("api.test", ns_c_in, ns_t_a, answer, sizeof answer), 0);
	check(answer, res_querydomain("api", "test", ns_c_in, ns_t_a, answer, sizeof answer), 0);
	size_t size = make_query("api.test", 77);
	check(answer, res_send(query, (int)size, answer, sizeof answer), 77);
	assert_int_equal(res_query("api.test", ns_c_in, ns_t_mx, answer, sizeof answer), -1);
	assert_int_equal(h_errno, NO_DATA);
	assert_int_equal(res_query("unknown.test", ns_c_in, ns_t_a, answer, sizeof answer), -1);
	assert_int_equal(h_errno, HOST_NOT_FOUND);
	assert_int_equal(res_query("a..b", ns_c_in, ns_t_a, answer, sizeof answer), -1);
	assert_int_equal(h_errno, NO_RECOVERY);
#ifdef __GLIBC__
	struct __res_state own = {.options = 0};
	assert_int_equal(res_ninit(&own), 0);
	check(answer, res_nquery(&own, "api.test", ns_c_in, ns_t_a, answer, sizeof answer), 0);
	check(answer, res_nsend(&own, query, (int)size, answer, sizeof answer), 77);
	check(answer, res_nquerydomain(&own, "api", "test", ns_c_in, ns_t_a, answer, sizeof answer), 0);
	own.options |= RES_DNSRCH;
	own.dnsrch[0] = (char *)"test";
	own.dnsrch[1] = (char *)"other"; /* not asked any more */
	own.dnsrch[2] = NULL;
	check(answer, res_nsearch(&own, "api", ns_c_in, ns_t_a, answer, sizeof answer), 0);
	/* none that it has read: the one of the configuration, or this machine */
	struct sockaddr_in6 six = {AF_INET6, htons(53), 0, {{{0xfd, [15] = 9}}}, 0}, *none = NULL;
	struct sockaddr_in no_address = {.sin_family = AF_UNSPEC};
	own.nsaddr_list[0] = no_address;
	for (int i = 0; i < 2; i++) {
		own.nscount = i;
		own._u._ext.nsaddrs[0] = i ? none : &six;
		check(answer, res_nquery(&own, "api.test", ns_c_in, ns_t_a, answer, sizeof answer), 0);
	}
	own._u._ext.nsaddrs[0] = none;
	/* another name server, of which the map knows nothing: libc asks that one, which isn't there */
	own.nsaddr_list[0] = at("127.0.0.9", 53);
	own.nscount = own.retry = own.retrans = 1;
	assert_int_equal(res_nquery(&own, "api.test", ns_c_in, ns_t_a, answer, sizeof answer), -1);
	res_nclose(&own);
#endif
}

/* glibc refuses unknown flags of getnameinfo(), and its getaddrinfo() copies the requested flags into every
 * entry; musl does neither, and returns the canonical name unasked. */
static bool is_glibc(void)
{
	struct addrinfo hints = {.ai_flags = AI_NUMERICHOST, .ai_family = AF_INET}, *list;
	assert_int_equal(getaddrinfo("127.0.0.1", NULL, &hints, &list), 0);
	bool returns_flags = list->ai_flags, returns_name = list->ai_canonname;
	freeaddrinfo(list);
	assert_int_not_equal(returns_flags, returns_name);
	return returns_flags;
}

static void check_list(struct addrinfo *list, const char *ip, const char *canonical, int flags)
{
	char host[NI_MAXHOST];
	assert_int_equal(list->ai_flags, is_glibc() ? flags : 0);
	assert_int_equal(
		getnameinfo(list->ai_addr, list->ai_addrlen, host, sizeof host, NULL, 0, NI_NUMERICHOST), 0);
	assert_string_equal(host, ip);
	if (flags & AI_CANONNAME || !is_glibc())
		assert_string_equal(list->ai_canonname, canonical);
	else
		assert_null(list->ai_canonname);
	freeaddrinfo(list);
}

/* What port 443 is called: without /etc/services, as on a minimal system, no service has a name. */
static const char *https(void)
{
	return getservbyname("https", "tcp") ? "https" : "443";
}

static void getaddrinfo_has_the_canonical_name(void **state)
{
	(void)state;
	struct addrinfo hints = {.ai_flags = AI_CANONNAME, .ai_socktype = SOCK_STREAM}, *list;
	char longest[254];
	memset(longest, 'x', sizeof longest);
	for (size_t i = 50; i < sizeof longest; i += 51)
		longest[i] = '.';
	strcpy(longest + 243, ".glob.test");
	static const char *const names[] = {"api.test", "API.Test.", "a.glob.test"}, *const expected[] = {
											     "api.test",
											     "API.Test",
											     "a.glob.test"};
	for (size_t i = 0; i <= sizeof names / sizeof *names; i++) {
		const char *name = i < sizeof names / sizeof *names ? names[i] : longest,
			   *canonical = name == longest ? longest : expected[i];
		bool glob = strstr(name, "glob");
		hints.ai_family = AF_UNSPEC;
		assert_int_equal(getaddrinfo(name, "443", &hints, &list), 0);
		assert_null(list->ai_next);
		check_list(list, glob ? "198.18.0.2" : "198.18.0.1", canonical, AI_CANONNAME);
		hints.ai_family = AF_INET6;
		assert_int_equal(getaddrinfo(name, https(), &hints, &list), 0);
		assert_int_equal(((struct sockaddr_in6 *)list->ai_addr)->sin6_scope_id, 0);
		assert_int_equal(((struct sockaddr_in6 *)list->ai_addr)->sin6_port, htons(443));
		check_list(
			list, glob ? "fd76:736f:636b:1::2" : "fd76:736f:636b:1::1", canonical, AI_CANONNAME);
	}
}

static void getaddrinfo_takes_all_its_flags(void **state)
{
	(void)state;
	struct addrinfo *list;
	const struct {
		const char *host, *service;
		int family, flags, error;
		const char *ip;
	} cases[] = {
		{"api.test", NULL, AF_UNSPEC, 0, 0, "198.18.0.1"},
		{"api.test", "443", AF_UNSPEC, AI_ADDRCONFIG | AI_PASSIVE, 0, "198.18.0.1"},
		{"api.test", "0", AF_UNSPEC, 0, 0, "198.18.0.1"}, /* no port is asked */
		{"api.test", "443", AF_INET6, AI_ADDRCONFIG | AI_V4MAPPED | AI_ALL, 0, "fd76:736f:636b:1::1"},
		{"api.test", https(), AF_INET, 0, 0, "198.18.0.1"},
		{"api.test", "https", AF_INET, AI_NUMERICSERV, EAI_NONAME, NULL},
		{"api.test", "443", AF_INET, AI_NUMERICSERV, 0, "198.18.0.1"},
		{"api.test", "443", AF_INET, AI_NUMERICHOST, EAI_NONAME, NULL},
		{"api.test", "no-such-service", AF_INET, 0, EAI_SERVICE, NULL},
		{"api.test", "443", AF_INET, 1 << 30, EAI_BADFLAGS, NULL},
		{"api.test", "443", AF_UNIX, 0, EAI_FAMILY, NULL},
		{"10.99.0.1", "443", AF_INET, AI_ADDRCONFIG | AI_NUMERICHOST, 0, "10.99.0.1"},
		{"198.18.0.1", "443", AF_INET, AI_ADDRCONFIG, 0, "198.18.0.1"},
		{"localhost", "443", AF_INET, AI_ADDRCONFIG, 0, "127.0.0.1"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct addrinfo hints = {
			.ai_family = cases[i].family, .ai_flags = cases[i].flags, .ai_socktype = SOCK_STREAM};
		int error = getaddrinfo(cases[i].host, cases[i].service, &hints, &list);
		if (error != cases[i].error)
			fail_msg("case %zu: %s", i, error ? gai_strerror(error) : "no error");
		if (!error)
			check_list(list, cases[i].ip, cases[i].host, cases[i].flags);
	}
	assert_int_equal(getaddrinfo("api.test", "443", NULL, &list), 0);
	check_list(list, "198.18.0.1", "api.test", AI_V4MAPPED | AI_ADDRCONFIG);
}

/* AI_ADDRCONFIG hides even numbers from a machine that has no address: not those that the map takes. */
static int return_flags_without_network(void)
{
	struct addrinfo hints = {.ai_family = AF_INET, .ai_flags = AI_ADDRCONFIG, .ai_socktype = SOCK_STREAM},
			*list;
	if (unshare(getuid() ? CLONE_NEWUSER | CLONE_NEWNET : CLONE_NEWNET) < 0)
		return 77;
	if (getaddrinfo("10.99.0.1", "443", &hints, &list) != 0)
		return 1;
	int flags = list->ai_flags;
	freeaddrinfo(list);
	return flags == (is_glibc() ? AI_ADDRCONFIG : 0) ? 0 : 2;
}

static void getaddrinfo_returns_flags_without_network(void **state)
{
	(void)state;
	pid_t child = fork();
	if (!child)
		_exit(return_flags_without_network());
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	if (status == 77 << 8)
		skip();
	assert_int_equal(status, 0);
}

#ifdef __GLIBC__
static struct gaicb *left[3];

static int note_left(int mode, struct gaicb **list, int count, struct sigevent *event)
{
	(void)mode;
	(void)event;
	memcpy(left, list, (size_t)count * sizeof *list);
	return 0;
}
#endif

static void getaddrinfo_a_answers_at_once(void **state)
{
	(void)state;
#ifdef __GLIBC__
	struct gaicb mapped = {.ar_name = "api.test", .ar_service = "443"},
		     wrong = {.ar_name = "api.test", .ar_service = "no-such-service"},
		     other = {.ar_name = "127.0.0.1"};
	struct gaicb *list[] = {&mapped, &wrong, &other};
	for (int mode = GAI_WAIT; mode <= GAI_NOWAIT; mode++) {
		assert_int_equal(getaddrinfo_a(mode, list, 2, NULL), 0);
		assert_int_equal(gai_error(&mapped), 0);
		assert_int_equal(gai_error(&wrong), EAI_SERVICE);
		check_list(mapped.ar_result, "198.18.0.1", NULL, AI_V4MAPPED | AI_ADDRCONFIG);
	}
	struct libc whole = libc;
	libc.getaddrinfo_a = note_left; /* libc's would leave a thread of its own */
	assert_int_equal(getaddrinfo_a(GAI_WAIT, list, 3, NULL), 0);
	libc = whole;
	freeaddrinfo(mapped.ar_result);
	assert_null(left[0]);
	assert_null(left[1]);
	assert_ptr_equal(left[2], &other);
#else
	skip();
#endif
}

static void the_elders_answer_too(void **state)
{
	(void)state;
	static const uint8_t ipv4[] = {198, 18, 0, 1};
	struct hostent *found = gethostbyname("api.test"), entry;
	char room[512], own[256] = "";
	int error;
	assert_non_null(found);
	assert_string_equal(found->h_name, "api.test");
	assert_memory_equal(found->h_addr_list[0], ipv4, 4);
	assert_null(found->h_addr_list[1]);
	assert_null(found->h_aliases[0]);
	found = gethostbyaddr(ipv4, 4, AF_INET);
	assert_non_null(found);
	assert_string_equal(found->h_name, "api.test");
	found = gethostbyname2("api.test", AF_INET6);
	assert_non_null(found);
	assert_int_equal(found->h_length, 16);
	assert_null(gethostbyname2("api.test", AF_UNIX));
	assert_int_equal(gethostbyname_r("api.test", &entry, room, sizeof room, &found, &error), 0);
	assert_ptr_equal(found, &entry);
	assert_int_equal(
		gethostbyname2_r("api.test", AF_INET6, &entry, room, sizeof room, &found, &error), 0);
	assert_int_equal(entry.h_addrtype, AF_INET6);
	assert_int_equal(gethostbyname_r("api.test", &entry, room, 8, &found, &error), ERANGE);
	assert_null(found);
	assert_int_equal(error, NETDB_INTERNAL);
	assert_int_equal(errno, ERANGE);
	assert_string_equal(gethostbyname("API.test.")->h_name, "API.test");
	assert_null(gethostbyaddr("\xc6\x12\x00\x02", 4, AF_INET)); /* a pattern */
	assert_int_equal(h_errno, HOST_NOT_FOUND);
	assert_int_equal(gethostname(own, sizeof own - 1), 0);
	assert_non_null(gethostbyname(own));
	assert_non_null(gethostbyname2("localhost", AF_INET));
}

static int knows_nobody(
	const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
	(void)node, (void)service, (void)hints, (void)found;
	return EAI_NONAME;
}

/* As in an image without /etc/hosts. */
static void a_machine_knows_itself_where_libc_does_not(void **state)
{
	(void)state;
	char own[256] = "";
	assert_int_equal(gethostname(own, sizeof own - 1), 0);
	__typeof__(libc.getaddrinfo) real = libc.getaddrinfo;
	libc.getaddrinfo = knows_nobody;
	bool known[] = {resolve_is_own("localhost", AF_INET), resolve_is_own("LocalHost", AF_INET6),
		resolve_is_own(own, AF_INET6), resolve_is_own("api.test", AF_INET),
		resolve_is_own("localhosts", AF_INET), resolve_is_own("a", AF_INET),
		resolve_is_own("localhost", AF_UNIX)};
	libc.getaddrinfo = real;
	static const bool expected[] = {true, true, true, false, false, false, false};
	assert_memory_equal(known, expected, sizeof known);
}

static struct hostent libcs; /* answer, where it has one */
static bool libc_has_one;

static struct hostent *libcs_by_name(const char *name)
{
	(void)name;
	return libc_has_one ? &libcs : NULL;
}

static struct hostent *libcs_by_name2(const char *name, int family)
{
	(void)name, (void)family;
	return libc_has_one ? &libcs : NULL;
}

static int libcs_status;

static int libcs_by_name_r(
	const char *name, struct hostent *entry, char *room, size_t size, struct hostent **found, int *error)
{
	(void)name, (void)entry, (void)room, (void)size;
	*found = libc_has_one ? &libcs : NULL;
	*error = HOST_NOT_FOUND;
	return libcs_status;
}

static int libcs_by_name2_r(const char *name, int family, struct hostent *entry, char *room, size_t size,
	struct hostent **found, int *error)
{
	(void)family;
	return libcs_by_name_r(name, entry, room, size, found, error);
}

/* What libc finds is the answer; what it doesn't is still this machine, if that is its name. */
static void the_elders_know_the_machine_too(void **state)
{
	(void)state;
	static const uint8_t loopback[] = {127, 0, 0, 1};
	struct hostent entry, *found[4];
	char room[512];
	int error, status[2];
	struct libc real = libc;
	libc.getaddrinfo = knows_nobody;
	libc.gethostbyname = libcs_by_name;
	libc.gethostbyname2 = libcs_by_name2;
	libc.gethostbyname_r = libcs_by_name_r;
	libc.gethostbyname2_r = libcs_by_name2_r;
	for (int i = 0; i < 4; i++) {
		const char *name = i == 1 ? "elsewhere" : "localhost";
		libc_has_one = i == 2;
		libcs_status = i == 3 ? ERANGE : 0;
		h_errno = 77;
		found[0] = gethostbyname(name);
		found[1] = gethostbyname2(name, AF_INET);
		status[0] = gethostbyname_r(name, &entry, room, sizeof room, &found[2], &error);
		status[1] = gethostbyname2_r(name, AF_INET, &entry, room, sizeof room, &found[3], &error);
		for (int way = 0; way < 4; way++) {
			bool ours = i == 0 || (i == 3 && way < 2);
			if (!ours)
				assert_ptr_equal(found[way], i == 2 ? &libcs : NULL);
			else
				assert_memory_equal(found[way]->h_addr_list[0], loopback, 4);
			if (way >= 2)
				assert_int_equal(status[way - 2], libcs_status);
		}
		assert_int_equal(h_errno, 77);
	}
	libc = real;
}

static int name_of(const char *ip, size_t host_size, char *service, socklen_t service_size, int flags)
{
	struct sockaddr_in address = at(ip, 443);
	char host[NI_MAXHOST] = "";
	int error = getnameinfo((struct sockaddr *)&address, sizeof address, host, (socklen_t)host_size,
		service, service_size, flags);
	if (!error && host_size && !(flags & NI_NUMERICHOST))
		assert_string_equal(host, "api.test");
	return error;
}

static int error_of_new_name(int number)
{
	char name[32], buffer[1024];
	struct hostent entry, *found = &entry;
	int error = -42;
	snprintf(name, sizeof name, "h%d.full", number);
	int result = gethostbyname_r(name, &entry, buffer, sizeof buffer, &found, &error);
	return result ? found ? -43 : error : 0;
}

/* In a child: what is full is full for all maps of the process. */
static void more_names_than_there_is_room_for_are_an_error(void **state)
{
	(void)state;
	int status;
	pid_t child = fork();
	if (child == 0) {
		int count = 0, error = 0;
		struct addrinfo *list = NULL;
		shim.map = map_of("*.full:1=unix:/run/{host}");
		shim_rules = *map_summary(shim.map);
		while (count < 20000 && (error = error_of_new_name(count)) == 0)
			count++;
		if (count < 10000 || count > NAMES_DYNAMIC_LIMIT || error != NO_RECOVERY)
			_exit(1);
		if (getaddrinfo("one.more.full", "1", NULL, &list) != EAI_FAIL)
			_exit(2);
		_exit(error_of_new_name(0)); /* that one is known */
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void getnameinfo_takes_all_its_flags(void **state)
{
	(void)state;
	enum { NAME = sizeof "api.test" }; /* shorter than the address as text */
	char service[8] = "";
	assert_int_equal(name_of("198.18.0.1", NAME, NULL, 0, 0), 0);
	assert_int_equal(name_of("198.18.0.1", NAME, NULL, 0, NI_NAMEREQD), 0);
	assert_int_equal(name_of("198.18.0.1", NAME - 1, NULL, 0, 0), EAI_OVERFLOW);
	assert_int_equal(name_of("198.18.0.1", NAME, service, sizeof service, 0), 0);
	assert_string_equal(service, https());
	assert_int_equal(name_of("198.18.0.1", NAME, service, 3, NI_NUMERICSERV), EAI_OVERFLOW);
	assert_int_equal(name_of("198.18.0.1", NAME, service, 4, NI_NUMERICSERV), 0);
	assert_string_equal(service, "443");
	assert_int_equal(name_of("198.18.0.1", 0, service, sizeof service, NI_NAMEREQD), 0);
	assert_int_equal(name_of("198.18.0.1", NAME, NULL, 0, NI_NUMERICHOST), EAI_OVERFLOW);
	assert_int_equal(name_of("198.18.0.1", NI_MAXHOST, NULL, 0, NI_NUMERICHOST), 0);
	assert_int_equal(name_of("198.18.0.1", NI_MAXHOST, NULL, 0, 1 << 30), is_glibc() ? EAI_BADFLAGS : 0);
	assert_int_equal(name_of("100.64.0.3", NI_MAXHOST, NULL, 0, NI_NAMEREQD), EAI_NONAME);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, use_map, free_maps)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_log_says_what_went_wrong_and_nothing_else), /* some things are said once */
		TEST(a_connected_udp_socket_is_answered),
		TEST(it_looks_like_udp),
		TEST(datagrams_with_an_address_are_answered_from_there),
		TEST(as_many_answers_as_are_asked_for_come_at_once),
		TEST(a_scope_is_kept),
		TEST(after_shutdown_only_tcp_has_a_signal),
		TEST(nobody_else_answers),
		TEST(wherever_a_name_server_is_it_is_here),
		TEST(registrations_with_epoll_stay),
		TEST(what_is_no_name_servers_stays_with_ip),
		TEST(a_query_over_tcp_may_come_in_any_pieces),
		TEST(it_looks_like_tcp),
		TEST(a_query_that_is_too_long_is_malformed_and_the_next_is_not),
		TEST(a_burst_of_udp_queries_loses_nothing),
		TEST(unread_answers_make_tcp_wait_and_udp_lose),
		TEST(res_query_and_its_kin_are_answered),
		TEST(getaddrinfo_has_the_canonical_name),
		TEST(getaddrinfo_takes_all_its_flags),
		TEST(getaddrinfo_returns_flags_without_network),
		TEST(getaddrinfo_a_answers_at_once),
		TEST(the_elders_answer_too),
		TEST(a_machine_knows_itself_where_libc_does_not),
		TEST(the_elders_know_the_machine_too),
		TEST(more_names_than_there_is_room_for_are_an_error),
		TEST(getnameinfo_takes_all_its_flags),
	};
	return cmocka_run_group_tests(tests, set_up, NULL);
}
