/* SPDX-License-Identifier: MIT */
/* What is the same for every carrier, asked of one that says what the test wants. */
#include "emulated.h"
#include "transport/dial.h"
#include "transport/options.h"
#include "transport/ports.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>

static struct endpoint carriers; /* this end's */

static void say_endpoint(const struct sockaddr *address, socklen_t length, struct endpoint *endpoint)
{
	(void)address, (void)length;
	*endpoint = carriers;
}

static bool say_yes(const struct sockaddr *name, socklen_t length, const struct place *place)
{
	(void)name, (void)length, (void)place;
	return true;
}

static uint32_t say_7(uint32_t peer_cid)
{
	(void)peer_cid;
	return 7;
}

static const struct transport carrier = {
	.family = AF_UNIX, .endpoint = say_endpoint, .is_at = say_yes, .own_cid = say_7};

static void this_end_has_an_address(void **state)
{
	(void)state;
	enum { OWN = 40000, KNOWN = 50000 };
	static const struct {
		const char *claimed; /* by bind() */
		uint16_t port;
		struct endpoint carriers;
		uint32_t peer;
		const char *shown;
		int shown_port;
	} table[] = {
		{"10.0.0.1", 80, {5, OWN}, 3, "10.0.0.1", 80},
		{"0.0.0.0", 0, {5, OWN}, 3, "100.64.0.5", OWN},
		{"0.0.0.0", 80, {5, OWN}, 3, "100.64.0.5", 80}, /* the map may have changed the port */
		{"10.0.0.1", 0, {5, OWN}, 3, "10.0.0.1", OWN},
		{"0.0.0.0", 0, {5, PORT_ANY}, 3, "100.64.0.5", KNOWN},
		{"0.0.0.0", 0, {CID_ANY, OWN}, 3, "100.64.0.7", OWN},
		{"0.0.0.0", 0, {5, OWN}, CID_LOCAL, "127.0.0.1", OWN},
		{"0.0.0.0", 0, {5, OWN}, 5, "127.0.0.1", OWN},
		{"0.0.0.0", 0, {CID_ANY, PORT_ANY}, 7, "127.0.0.1", KNOWN},
	};
	int fd = libc.socket(AF_UNIX, SOCK_STREAM, 0);
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct in_addr ip;
		char text[ADDRESS_PORT_TEXT], expected[ADDRESS_PORT_TEXT];
		const struct endpoint local = {CID_ANY, KNOWN}, peer = {table[i].peer, 80};
		inet_pton(AF_INET, table[i].claimed, &ip);
		const struct address claimed = address_ipv4(ntohl(ip.s_addr), table[i].port);
		carriers = table[i].carriers;
		const struct address own =
			transport_own_address(fd, &carrier, &claimed, &local, &peer, AF_INET);
		address_port_format(&own, text, sizeof text);
		snprintf(expected, sizeof expected, "%s:%d", table[i].shown, table[i].shown_port);
		assert_string_equal(text, expected);
	}
	libc.close(fd);
}

static void a_socket_is_at_a_place_of_its_own_carrier(void **state)
{
	(void)state;
	static const struct place anywhere;
	struct transport cannot_say = carrier;
	cannot_say.is_at = NULL;
	int fd = libc.socket(AF_UNIX, SOCK_STREAM, 0), other = libc.socket(AF_INET, SOCK_STREAM, 0);
	assert_true(transport_is_at(fd, &carrier, &anywhere));
	assert_false(transport_is_at(other, &carrier, &anywhere));
	assert_false(transport_is_at(fd, &cannot_say, &anywhere));
	libc.close(other);
	libc.close(fd);
	assert_false(transport_is_at(fd, &carrier, &anywhere));
}

/* ---- a client's port ---- */

static struct {
	int in_use;	/* so many are taken */
	int error;	/* or binding fails */
	uint32_t bound; /* the last that was tried */
} binder;

static int bind_a_client(int fd, uint32_t port, const struct endpoint *peer)
{
	(void)fd, (void)peer;
	binder.bound = port;
	errno = binder.error ? binder.error : EADDRINUSE;
	return port != PORT_ANY && (binder.error || binder.in_use-- > 0) ? -1 : 0;
}

static int choose_port(int in_use, int error, uint16_t wanted, uint32_t *chosen)
{
	const struct transport transport = {.bind_client = bind_a_client};
	binder.in_use = in_use;
	binder.error = error;
	errno = 77;
	return dial_bind(-1, &transport, &(struct endpoint){3, 80}, PORT_OF_IPV4, wanted, chosen);
}

static void a_client_gets_the_next_port_that_is_free(void **state)
{
	(void)state;
	uint32_t chosen = 0;
	for (int in_use = 0; in_use < 4; in_use++) {
		assert_int_equal(choose_port(in_use, 0, 40000, &chosen), 0);
		assert_int_equal(errno, 77);
		assert_int_equal(chosen, binder.bound);
		if (in_use == 0)
			assert_int_equal(chosen, ports_marked(40000, PORT_OF_IPV4));
		else
			assert_int_not_equal(chosen, ports_marked(40000, PORT_OF_IPV4));
	}
}

static void where_none_is_to_be_had_the_carrier_chooses(void **state)
{
	(void)state;
	uint32_t chosen = 4242;
	assert_int_equal(choose_port(1 << 20, 0, 0, &chosen), 0);
	assert_int_equal(binder.bound, PORT_ANY);
	assert_int_equal(choose_port(0, EACCES, 0, &chosen), 0);
	assert_int_equal(binder.bound, PORT_ANY);
	assert_int_equal(chosen, 4242);
	assert_int_equal(errno, 77);
}

/* A child of fork() doesn't get the ports again that its parent has. */
static void ports_are_counted_together_with_children(void **state)
{
	(void)state;
	uint16_t ports[5], childs = 0;
	int ends[2], status;
	ports_start();
	ports[0] = ports_next(PORT_OF_IPV4);
	assert_int_equal(pipe(ends), 0);
	pid_t child = fork();
	if (child == 0) {
		childs = ports_next(PORT_OF_IPV4);
		_exit(write(ends[1], &childs, sizeof childs) == sizeof childs ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(read(ends[0], &childs, sizeof childs), sizeof childs);
	for (int i = 1; i < 5; i++) {
		ports[i] = ports_next(i % 2 ? PORT_OF_IPV6 : PORT_OF_IPV4);
		assert_int_not_equal(ports[i] / 2, childs / 2);
		assert_in_range(ports[i], 32768, 60999);
		assert_int_equal(ports[i] % 2, i % 2);
	}
	assert_int_not_equal(childs / 2, ports[0] / 2);
	close(ends[0]);
	close(ends[1]);
}

/* struct tcp_zerocopy_receive of <linux/tcp.h>, as much of it as the program knows. */
static void of_a_receipt_without_copies_as_much_is_written_as_there_is_room(void **state)
{
	(void)state;
	enum { HINT = 12, QUEUE = 16, END = 20, SIZE = 40, UNREAD = 4242, UNTOUCHED = 0x55555555 };
	for (socklen_t length = HINT; length <= SIZE; length++) {
		uint8_t value[SIZE];
		int hint, queue;
		memset(value, 0x55, sizeof value);
		errno = 77;
		assert_int_equal(options_zerocopy(0, false, value, &length, UNREAD), 0);
		memcpy(&hint, value + HINT, sizeof hint);
		memcpy(&queue, value + QUEUE, sizeof queue);
		assert_int_equal(hint, length >= QUEUE ? UNREAD : UNTOUCHED);
		assert_int_equal(queue, length >= END ? UNREAD : UNTOUCHED);
		for (int i = 0; i < SIZE; i++)
			if (i < HINT || i >= END)
				assert_int_equal(value[i], 0x55);
		assert_int_equal(options_zerocopy(-1, false, value, &length, 1), -1);
		assert_int_equal(errno, 77);
	}
}

static void a_listener_has_nothing_to_receive(void **state)
{
	(void)state;
	uint64_t value[5] = {4096};
	socklen_t length = sizeof value;
	assert_int_equal(options_zerocopy(0, false, value, &length, 1), 0);
	errno = 0;
	assert_int_equal(options_zerocopy(0, true, value, &length, 1), -1);
	assert_int_equal(errno, ENOTCONN);
	errno = EINVAL;
	assert_int_equal(options_zerocopy(-1, true, value, &length, 1), -1);
	assert_int_equal(errno, ENOTCONN);
	value[0] = 4097;
	errno = EINVAL;
	assert_int_equal(options_zerocopy(-1, true, value, &length, 1), -1);
	assert_int_equal(errno, EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(this_end_has_an_address),
		cmocka_unit_test(a_socket_is_at_a_place_of_its_own_carrier),
		cmocka_unit_test(a_client_gets_the_next_port_that_is_free),
		cmocka_unit_test(where_none_is_to_be_had_the_carrier_chooses),
		cmocka_unit_test(ports_are_counted_together_with_children),
		cmocka_unit_test(of_a_receipt_without_copies_as_much_is_written_as_there_is_room),
		cmocka_unit_test(a_listener_has_nothing_to_receive),
	};
	libc_start();
	shim = (struct settings){.ranges = ranges_default};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
