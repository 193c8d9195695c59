/* SPDX-License-Identifier: MIT */
#include "emulated.h"
#include "transport/ports.h"
#include "transport/transport_unix.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>

static const struct transport *const carrier = &transport_unix;

/* With these emulated CIDs, and this own one. */
static void be(uint32_t cid)
{
	transport_unix_start(&(struct settings){.emulated = folder, .cid = cid});
}

static int open_socket(void)
{
	int fd = carrier->open(SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	return fd;
}

static struct place place_of(uint32_t cid, uint32_t port)
{
	struct place place;
	memset(&place, 0xaa, sizeof place);
	carrier->place(&(struct endpoint){cid, port}, &place);
	return place;
}

static const char *path_of(const struct place *place)
{
	return ((const struct sockaddr_un *)&place->sockaddr)->sun_path;
}

static void assert_place(uint32_t cid, uint32_t port, const char *name)
{
	char expected[128];
	struct place place = place_of(cid, port);
	snprintf(expected, sizeof expected, "%s/%s", folder, name);
	assert_int_equal(((struct sockaddr_un *)&place.sockaddr)->sun_family, AF_UNIX);
	assert_string_equal(path_of(&place), expected);
	assert_int_equal(place.length, offsetof(struct sockaddr_un, sun_path) + strlen(expected) + 1);
}

static void assert_endpoint(const struct sockaddr *address, socklen_t length, uint32_t cid, uint32_t port)
{
	struct endpoint endpoint = {77, 77};
	carrier->endpoint(address, length, &endpoint);
	assert_int_equal(endpoint.cid, cid);
	assert_int_equal(endpoint.port, port);
}

static void assert_name(
	int fd, int (*ask)(int fd, struct sockaddr *address, socklen_t *length), uint32_t cid, uint32_t port)
{
	struct sockaddr_storage name;
	socklen_t length = sizeof name;
	assert_int_equal(ask(fd, (struct sockaddr *)&name, &length), 0);
	assert_true(transport_unix_is_ours((struct sockaddr *)&name, length));
	assert_endpoint((struct sockaddr *)&name, length, cid, port);
}

static int listener(uint32_t cid, uint32_t port)
{
	int fd = open_socket();
	struct place place = place_of(cid, port);
	assert_int_equal(carrier->bind(fd, &place), 0);
	assert_int_equal(libc.listen(fd, 5), 0);
	return fd;
}

static void a_server_has_a_file_named_after_its_cid_and_port(void **state)
{
	(void)state;
	be(4);
	assert_place(3, 8443, "3.8443");
	assert_place(CID_LOCAL, 1, "4.1"); /* to itself an end is local */
	assert_place(CID_ANY, 1, "4.1");
	assert_place(4, 1, "4.1");
	assert_place(0, 0, "0.0");
	assert_place(4294967294u, 4294967294u, "4294967294.4294967294");
}

static void both_ends_see_true_endpoints(void **state)
{
	(void)state;
	be(4);
	int server = listener(CID_ANY, 5000);
	assert_name(server, libc.getsockname, 4, 5000);
	be(7); /* another process, with another CID */
	int client = open_socket();
	struct place place = place_of(4, 5000);
	assert_int_equal(carrier->bind_client(client, 40001, &(struct endpoint){4, 5000}), 0);
	assert_int_equal(carrier->connect(client, &place, 0), 0);
	int accepted = libc.accept4(server, NULL, NULL, 0);
	assert_true(accepted >= 0);
	assert_name(client, libc.getsockname, 7, 40001);
	assert_name(client, libc.getpeername, 4, 5000);
	be(4);
	assert_name(accepted, libc.getpeername, 7, 40001);
	assert_name(accepted, libc.getsockname, 4, 5000);
	assert_int_equal(carrier->own_cid(7), 4);
	libc.close(accepted);
	libc.close(client);
	libc.close(server);
}

static void a_client_of_its_own_machine_is_local(void **state)
{
	(void)state;
	be(4);
	static const uint32_t self[] = {CID_LOCAL, 4};
	for (int i = 0; i < 2; i++) {
		int client = open_socket();
		assert_int_equal(carrier->bind_client(client, 40001, &(struct endpoint){self[i], 5000}), 0);
		assert_name(client, libc.getsockname, CID_LOCAL, 40001);
		assert_int_equal(carrier->own_cid(self[i]), CID_LOCAL);
		libc.close(client);
	}
}

static void a_client_port_is_taken_once_and_free_when_its_socket_ends(void **state)
{
	(void)state;
	be(4);
	struct endpoint peer = {3, 1};
	int first = open_socket(), second = open_socket();
	assert_int_equal(carrier->bind_client(first, 40002, &peer), 0);
	assert_int_equal(carrier->bind_client(second, 40002, &peer), -1);
	assert_int_equal(errno, EADDRINUSE);
	be(5); /* another machine's port is another */
	assert_int_equal(carrier->bind_client(second, 40002, &peer), 0);
	libc.close(first);
	libc.close(second);
	be(4);
	first = open_socket();
	assert_int_equal(carrier->bind_client(first, 40002, &peer), 0);
	libc.close(first);
}

static void a_live_server_keeps_its_place_and_is_not_woken(void **state)
{
	(void)state;
	be(4);
	int server = listener(4, 5001), second = open_socket();
	struct place place = place_of(4, 5001);
	struct stat before, after;
	assert_int_equal(stat(path_of(&place), &before), 0);
	assert_int_equal(carrier->bind(second, &place), -1);
	assert_int_equal(errno, EADDRINUSE);
	assert_int_equal(stat(path_of(&place), &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	struct pollfd wake = {.fd = server, .events = POLLIN};
	assert_int_equal(poll(&wake, 1, 0), 0);
	libc.close(second);
	libc.close(server);
}

static void a_server_that_is_bound_and_does_not_listen_keeps_its_place_too(void **state)
{
	(void)state;
	be(4);
	int first = open_socket(), second = open_socket();
	struct place place = place_of(4, 5002);
	assert_int_equal(carrier->bind(first, &place), 0);
	assert_int_equal(carrier->bind(second, &place), -1);
	assert_int_equal(errno, EADDRINUSE);
	libc.close(first);
	libc.close(second);
}

static int count_entries(void)
{
	int count = 0;
	DIR *list = opendir(folder);
	assert_non_null(list);
	while (readdir(list))
		count++;
	closedir(list);
	return count;
}

static void a_stale_file_is_replaced_and_nothing_is_left_beside_it(void **state)
{
	(void)state;
	be(4);
	libc.close(listener(4, 5003));
	int files = count_entries(), fds = count_fds();
	for (int i = 0; i < 3; i++) {
		int server = listener(4, 5003), client = open_socket();
		struct place place = place_of(4, 5003);
		assert_name(server, libc.getsockname, 4, 5003); /* the kernel still says .4.5003.PID */
		assert_int_equal(carrier->connect(client, &place, 0), 0);
		libc.close(client);
		libc.close(server);
		assert_int_equal(count_entries(), files);
		assert_int_equal(count_fds(), fds);
	}
}

/* What a program that has closed its standard input opens has the number 0. */
static void the_lock_may_have_any_number(void **state)
{
	(void)state;
	be(4);
	int input = libc.fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, (void *)10L);
	libc.close(listener(4, 5003));
	int server = open_socket();
	struct place place = place_of(4, 5003);
	libc.close(STDIN_FILENO);
	errno = EINVAL;
	assert_int_equal(carrier->bind(server, &place), 0);
	assert_int_equal(libc.fcntl(STDIN_FILENO, F_GETFD, NULL), -1);
	libc.dup2(input, STDIN_FILENO);
	libc.close(input);
	libc.close(server);
}

static void a_stale_file_at_the_longest_path_is_replaced(void **state)
{
	(void)state;
	char path[108];
	struct place place;
	memset(path, 'x', sizeof path);
	memcpy(path, folder, strlen(folder));
	path[strlen(folder)] = '/';
	path[sizeof path - 1] = '\0';
	transport_unix_path(path, &place);
	assert_int_equal(place.length, sizeof(struct sockaddr_un));
	for (int i = 0; i < 2; i++) {
		int server = open_socket(), client = open_socket();
		assert_int_equal(carrier->bind(server, &place), 0);
		assert_int_equal(libc.listen(server, 5), 0);
		assert_int_equal(carrier->connect(client, &place, 0), 0);
		libc.close(client);
		libc.close(server);
	}
}

/* connect() says ECONNREFUSED of any file that is no socket. */
static void a_file_that_is_no_socket_is_never_replaced(void **state)
{
	(void)state;
	char path[100], text[8] = "";
	struct place place;
	snprintf(path, sizeof path, "%s/precious", folder);
	int file = open(path, O_CREAT | O_EXCL | O_WRONLY, 0600), fd = open_socket();
	assert_int_equal(write(file, "data", 4), 4);
	close(file);
	transport_unix_path(path, &place);
	int files = count_entries(), result = carrier->bind(fd, &place), error = errno;
	libc.close(fd);
	file = open(path, O_RDONLY);
	ssize_t size = file < 0 ? -1 : read(file, text, sizeof text);
	if (file >= 0)
		close(file);
	unlink(path);
	assert_int_equal(size, 4);
	assert_int_equal(result, -1);
	assert_int_equal(error, EADDRINUSE);
	assert_int_equal(count_entries(), files - 1);
}

static void a_directory_is_never_replaced(void **state)
{
	(void)state;
	char path[100];
	struct place place;
	snprintf(path, sizeof path, "%s/folder", folder);
	assert_int_equal(mkdir(path, 0700), 0);
	transport_unix_path(path, &place);
	int fd = open_socket(), files = count_entries(), result = carrier->bind(fd, &place), error = errno;
	libc.close(fd);
	int left = count_entries();
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(result, -1);
	assert_int_equal(error, EADDRINUSE);
	assert_int_equal(left, files);
}

static void a_directory_that_is_missing_is_an_address_not_available(void **state)
{
	(void)state;
	char path[100];
	struct place place;
	snprintf(path, sizeof path, "%s/none/socket", folder);
	transport_unix_path(path, &place);
	int fd = open_socket();
	assert_int_equal(carrier->bind(fd, &place), -1);
	assert_int_equal(errno, EADDRNOTAVAIL);
	libc.close(fd);
}

static void everybody_may_connect_whatever_the_umask(void **state)
{
	(void)state;
	static const mode_t masks[] = {0077, 0777, 0000, 0022};
	be(4);
	for (uint32_t i = 0; i < 4; i++)
		for (int again = 0; again < 2; again++) { /* over a stale file too */
			mode_t before = umask(masks[i]);
			struct place place = place_of(4, 5100 + i);
			struct stat made;
			libc.close(listener(4, 5100 + i));
			assert_int_equal(umask(before), masks[i]);
			assert_int_equal(stat(path_of(&place), &made), 0);
			assert_int_equal(made.st_mode & 07777, 0666);
		}
}

static void connect_fails_as_tcp_does(void **state)
{
	(void)state;
	be(4);
	struct place place = place_of(4, 5999); /* nobody was ever bound there */
	int fd = open_socket();
	assert_int_equal(carrier->connect(fd, &place, 0), -1);
	assert_int_equal(errno, ECONNREFUSED);
	libc.close(listener(4, 5200)); /* nobody is any more */
	place = place_of(4, 5200);
	assert_int_equal(carrier->connect(fd, &place, 0), -1);
	assert_int_equal(errno, ECONNREFUSED);
	int bound = open_socket(); /* bound, but doesn't listen */
	place = place_of(4, 5201);
	assert_int_equal(carrier->bind(bound, &place), 0);
	assert_int_equal(carrier->connect(fd, &place, 0), -1);
	assert_int_equal(errno, ECONNREFUSED);
	libc.close(bound);
	place = place_of(4, 5202); /* another kind of socket */
	bound = libc.socket(AF_UNIX, SOCK_DGRAM, 0);
	assert_int_equal(libc.bind(bound, (struct sockaddr *)&place.sockaddr, place.length), 0);
	assert_int_equal(carrier->connect(fd, &place, 0), -1);
	assert_int_equal(errno, ECONNREFUSED);
	libc.close(bound);
	libc.close(fd);
}

static void a_full_backlog_is_a_timeout(void **state)
{
	(void)state;
	be(4);
	int server = open_socket(), clients[8], used = 0, result;
	struct place place = place_of(4, 5300);
	assert_int_equal(carrier->bind(server, &place), 0);
	assert_int_equal(libc.listen(server, 1), 0);
	do {
		clients[used] = carrier->open(SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		result = carrier->connect(clients[used++], &place, 0);
	} while (result == 0 && used < 8);
	assert_int_equal(result, -1);
	assert_int_equal(errno, ETIMEDOUT);
	while (used)
		libc.close(clients[--used]);
	libc.close(server);
}

/* Takes the only place, and returns how long the next client waits, in milliseconds. */
static long wait_for_a_place(const struct place *place, uint32_t timeout_ms)
{
	struct timespec before, after;
	int client = carrier->open(SOCK_CLOEXEC, 0);
	clock_gettime(CLOCK_MONOTONIC, &before);
	assert_int_equal(carrier->connect(client, place, timeout_ms), -1);
	assert_int_equal(errno, ETIMEDOUT);
	clock_gettime(CLOCK_MONOTONIC, &after);
	libc.close(client);
	return (after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000;
}

static void a_client_of_a_path_waits_no_longer_than_its_rule_says(void **state)
{
	(void)state;
	char path[] = "/tmp/ip2vsock-backlog-XXXXXX";
	assert_true(mkdtemp(path));
	char name[64];
	snprintf(name, sizeof name, "%s/socket", path);
	struct place place;
	transport_unix_path(name, &place);
	int server = open_socket(), client = carrier->open(SOCK_CLOEXEC, 0);
	assert_int_equal(libc.bind(server, (struct sockaddr *)&place.sockaddr, place.length), 0);
	assert_int_equal(libc.listen(server, 0), 0);
	assert_int_equal(carrier->connect(client, &place, 0), 0);
	assert_in_range(wait_for_a_place(&place, 300), 250, 1500);
	assert_in_range(wait_for_a_place(&place, 0), 1900, 10000);
	libc.close(client);
	libc.close(server);
	unlink(name);
	rmdir(path);
}

static void a_port_says_the_family(void **state)
{
	(void)state;
	static const uint16_t of_programs[] = {1024, 5000, 5001, 32767, 32768, 32769, 60999, 61000, 65535};
	static const uint32_t of_ipv4[] = {
		1, 512, 1023, 5001, 32768, 65536, 0x40000001, 0x69360001, UINT32_MAX};
	for (size_t i = 0; i < sizeof of_programs / sizeof *of_programs; i++) {
		for (enum port_kind kind = PORT_OF_IPV4; kind <= PORT_OF_IPV6; kind++) {
			struct endpoint peer = {7, ports_marked(of_programs[i], kind)};
			assert_int_equal(ports_of_ipv4(peer.port), kind == PORT_OF_IPV4);
			assert_int_equal(
				endpoint_shown(&peer, AF_INET, &ranges_default).port, of_programs[i]);
		}
	}
	for (size_t i = 0; i < sizeof of_ipv4 / sizeof *of_ipv4; i++)
		assert_true(ports_of_ipv4(of_ipv4[i])); /* a native client's, too */
	assert_int_equal(ports_marked(513, PORT_OF_IPV6), 513);
	struct endpoint native = {7, 0x69340000 | 513}; /* which needs no privilege */
	assert_int_not_equal(endpoint_shown(&native, AF_INET, &ranges_default).port, 513);
}

static void a_refused_socket_is_hung_up_at_once(void **state)
{
	(void)state;
	int fds = count_fds(), fd = transport_unix_refused(SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct pollfd all = {.fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP};
	assert_int_equal(poll(&all, 1, 0), 1);
	assert_int_equal(all.revents, POLLIN | POLLOUT | POLLERR | POLLHUP | POLLRDHUP);
	assert_int_equal(libc.fcntl(fd, F_GETFD, NULL), FD_CLOEXEC);
	assert_true(libc.fcntl(fd, F_GETFL, NULL) & O_NONBLOCK);
	assert_int_equal(count_fds(), fds + 1);
	libc.close(fd);
}

/* ---- names of peers ---- */

/* In a block of exactly its length: a sanitizer sees a byte more. */
static void check_name(const void *path, size_t size, bool ours, uint32_t cid, uint32_t port)
{
	socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
	struct sockaddr *address = malloc(length);
	assert_non_null(address);
	address->sa_family = AF_UNIX;
	memcpy((char *)address + offsetof(struct sockaddr_un, sun_path), path, size);
	bool is_ours = transport_unix_is_ours(address, length);
	struct endpoint endpoint = {77, 77};
	carrier->endpoint(address, length, &endpoint);
	free(address);
	if (is_ours != ours || endpoint.cid != cid || endpoint.port != port)
		fail_msg("\"%s\" of %zu bytes: %d %u %u", (const char *)path + !*(const char *)path, size,
			is_ours, endpoint.cid, endpoint.port);
}
#define ABSTRACT(text, ...) check_name("\0" text, sizeof text, __VA_ARGS__)

static void odd_names_are_local_with_a_made_up_port(void **state)
{
	(void)state;
	be(4);
	check_name("", 0, false, CID_LOCAL, PORT_ANY); /* no name */
	ABSTRACT("ip2vsock/3.40000/1.2", true, 3, 40000);
	ABSTRACT("ip2vsock/3.40000", true, 3, 40000);
	ABSTRACT("ip2vsock/4294967295.4294967295", true, CID_ANY, PORT_ANY);
	ABSTRACT("ip2vsock/4294967296.1", true, CID_LOCAL, PORT_ANY);
	ABSTRACT("ip2vsock/1.4294967296", true, CID_LOCAL, PORT_ANY);
	ABSTRACT("ip2vsock/99999999999999999999999.1", true, CID_LOCAL, PORT_ANY);
	ABSTRACT("ip2vsock/3.", true, CID_LOCAL, PORT_ANY);
	ABSTRACT("ip2vsock/.5", true, CID_LOCAL, PORT_ANY);
	ABSTRACT("ip2vsock/3", true, CID_LOCAL, PORT_ANY);
	ABSTRACT("ip2vsock/-3.5", true, CID_LOCAL, PORT_ANY);
	ABSTRACT("ip2vsock/ 3.5", true, CID_LOCAL, PORT_ANY);
	ABSTRACT("ip2vsock/", false, CID_LOCAL, PORT_ANY);
	ABSTRACT("ip2vsock", false, CID_LOCAL, PORT_ANY);
	ABSTRACT("ip2vsocx/3.5", false, CID_LOCAL, PORT_ANY);
	ABSTRACT("/org/bluez", false, CID_LOCAL, PORT_ANY);
	check_name("/run/other.sock", sizeof "/run/other.sock", false, CID_LOCAL, PORT_ANY);
	check_name("relative", sizeof "relative", false, CID_LOCAL, PORT_ANY);
}

static void paths_are_ours_in_our_directory_only(void **state)
{
	(void)state;
	static const struct {
		const char *behind;
		bool ours;
		uint32_t cid, port;
	} table[] = {
		{"/3.80", true, 3, 80},
		{"/.3.80.1234", true, 3, 80},
		{"/3.x", true, CID_LOCAL, PORT_ANY},
		{"/..3.80", true, CID_LOCAL, PORT_ANY},
		{"", false, CID_LOCAL, PORT_ANY},
		{"x/3.80", false, CID_LOCAL, PORT_ANY},
		{"/", true, CID_LOCAL, PORT_ANY},
		{"/.", true, CID_LOCAL, PORT_ANY},
	};
	be(4);
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		char path[108];
		snprintf(path, sizeof path, "%s%s", folder, table[i].behind);
		check_name(path, strlen(path) + 1, table[i].ours, table[i].cid, table[i].port);
		/* and without its NUL */
		check_name(path, strlen(path), table[i].ours, table[i].cid, table[i].port);
	}
}

static void any_bytes_are_a_name_that_does_no_harm(void **state)
{
	(void)state;
	be(4);
	srand(20240601);
	for (int i = 0; i < 200000; i++) {
		size_t size = (size_t)rand() % sizeof((struct sockaddr_un *)0)->sun_path;
		socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
		char *block = malloc(length);
		assert_non_null(block);
		static const char likely[] = "0123456789./\0ip2vsock";
		for (size_t j = 0; j < length; j++)
			block[j] = (char)(rand() % 4 ? likely[(size_t)rand() % sizeof likely] : rand());
		struct sockaddr *address = (struct sockaddr *)block;
		address->sa_family = AF_UNIX;
		char *path = block + offsetof(struct sockaddr_un, sun_path);
		const char *start = rand() % 2 ? "\0ip2vsock/" : folder;
		size_t prefix = *start ? strlen(start) : 1 + strlen(start + 1);
		if (rand() % 4)
			memcpy(path, start, prefix < size ? prefix : size);
		struct endpoint endpoint = {77, 77};
		bool ours = transport_unix_is_ours(address, length);
		carrier->endpoint(address, length, &endpoint);
		if (!ours && (endpoint.cid != CID_LOCAL || endpoint.port != PORT_ANY))
			fail_msg("round %d: a stranger is %u.%u", i, endpoint.cid, endpoint.port);
		free(block);
	}
}

static void without_emulated_cids_no_name_is_ours(void **state)
{
	(void)state;
	transport_unix_start(&(struct settings){.emulated = NULL, .cid = CID_LOCAL});
	ABSTRACT("ip2vsock/3.40000/1.2", false, CID_LOCAL, PORT_ANY);
	check_name("/3.80", sizeof "/3.80", false, CID_LOCAL, PORT_ANY);
}

static int (*bind_of_libc)(int fd, const struct sockaddr *address, socklen_t length);
static char victim[128];

/* Somebody who may write to the directory acts at the worst moment. */
static int bind_and_be_replaced(int fd, const struct sockaddr *address, socklen_t length)
{
	int result = bind_of_libc(fd, address, length);
	const char *path = ((const struct sockaddr_un *)address)->sun_path;
	if (result == 0 && (unlink(path) < 0 || symlink(victim, path) < 0))
		return -1;
	return result;
}

static void the_mode_of_no_other_file_is_changed(void **state)
{
	(void)state;
	struct stat file;
	struct place place = place_of(4, 1234);
	be(4);
	snprintf(victim, sizeof victim, "%s/victim", folder);
	libc.close(open(victim, O_CREAT | O_WRONLY, 0600));
	int fd = open_socket();
	bind_of_libc = libc.bind;
	libc.bind = bind_and_be_replaced;
	int result = carrier->bind(fd, &place);
	libc.bind = bind_of_libc;
	assert_int_equal(result, 0);
	assert_int_equal(stat(victim, &file), 0);
	assert_int_equal(file.st_mode & 0777, 0600);
	libc.close(fd);
}

/* Where all ports of 16 bits are taken, a client still says who it is: an unnamed one would look local. */
static void a_client_without_a_port_gets_one_above(void **state)
{
	(void)state;
	be(4);
	int first = open_socket(), second = open_socket();
	struct sockaddr_storage name;
	socklen_t length = sizeof name;
	struct endpoint one, other;
	assert_int_equal(carrier->bind_client(first, PORT_ANY, &(struct endpoint){3, 5000}), 0);
	assert_int_equal(carrier->bind_client(second, PORT_ANY, &(struct endpoint){3, 5000}), 0);
	assert_int_equal(libc.getsockname(first, (struct sockaddr *)&name, &length), 0);
	carrier->endpoint((struct sockaddr *)&name, length, &one);
	length = sizeof name;
	assert_int_equal(libc.getsockname(second, (struct sockaddr *)&name, &length), 0);
	carrier->endpoint((struct sockaddr *)&name, length, &other);
	assert_int_equal(one.cid, 4);
	assert_int_equal(other.cid, 4);
	assert_true(one.port > UINT16_MAX && one.port != PORT_ANY && other.port > UINT16_MAX);
	assert_true(one.port != other.port);
	libc.close(first);
	libc.close(second);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_client_without_a_port_gets_one_above),
		cmocka_unit_test(the_mode_of_no_other_file_is_changed),
		cmocka_unit_test(a_server_has_a_file_named_after_its_cid_and_port),
		cmocka_unit_test(both_ends_see_true_endpoints),
		cmocka_unit_test(a_client_of_its_own_machine_is_local),
		cmocka_unit_test(a_client_port_is_taken_once_and_free_when_its_socket_ends),
		cmocka_unit_test(a_live_server_keeps_its_place_and_is_not_woken),
		cmocka_unit_test(a_server_that_is_bound_and_does_not_listen_keeps_its_place_too),
		cmocka_unit_test(a_stale_file_is_replaced_and_nothing_is_left_beside_it),
		cmocka_unit_test(the_lock_may_have_any_number),
		cmocka_unit_test(a_stale_file_at_the_longest_path_is_replaced),
		cmocka_unit_test(a_file_that_is_no_socket_is_never_replaced),
		cmocka_unit_test(a_directory_is_never_replaced),
		cmocka_unit_test(a_directory_that_is_missing_is_an_address_not_available),
		cmocka_unit_test(everybody_may_connect_whatever_the_umask),
		cmocka_unit_test(connect_fails_as_tcp_does),
		cmocka_unit_test(a_port_says_the_family),
		cmocka_unit_test(a_full_backlog_is_a_timeout),
		cmocka_unit_test(a_client_of_a_path_waits_no_longer_than_its_rule_says),
		cmocka_unit_test(a_refused_socket_is_hung_up_at_once),
		cmocka_unit_test(odd_names_are_local_with_a_made_up_port),
		cmocka_unit_test(paths_are_ours_in_our_directory_only),
		cmocka_unit_test(any_bytes_are_a_name_that_does_no_harm),
		cmocka_unit_test(without_emulated_cids_no_name_is_ours),
	};
	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
