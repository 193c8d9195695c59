/* SPDX-License-Identifier: MIT */
/* Records are used again: nothing of what they held before is left in them, and none is lost. */
#include "core/map.h"
#include "state/partial.h"
#include "state/sock.h"

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* As if each field had been set. */
static struct sock used(void)
{
	struct sock sock;
	memset(&sock, 0x01, sizeof sock);
	return sock;
}

static bool is_zero(const void *bytes, size_t size)
{
	const char *at = bytes;
	while (size && !*at)
		at++, size--;
	return size == 0;
}

static void assert_nothing_waits(const struct sock *sock)
{
	assert_int_equal(sock->attempting, 0);
	assert_false(sock->cancelled);
	assert_false(sock->orphaned);
	assert_int_equal(sock->fresh, -1);
	assert_int_equal(sock->accepting, 0);
	assert_int_equal(sock->pins, 0);
	assert_int_equal(sock->keepers, 0);
	assert_int_equal(sock->swaps, 0);
	assert_int_equal(sock->swapped, 0);
	assert_int_equal(sock->greeting, 0);
}

static void assert_leads_nowhere(const struct sock *sock)
{
	assert_null(sock->rule);
	assert_null(sock->transport);
	assert_false(sock->sends_apart);
	assert_true(is_zero(&sock->local, sizeof sock->local));
	assert_true(is_zero(&sock->peer, sizeof sock->peer));
	assert_true(is_zero(&sock->asked, sizeof sock->asked));
	assert_int_equal(sock->scope, 0);
}

static void assert_has_no_past(const struct sock *sock)
{
	assert_false(sock->accepted || sock->used || sock->overflowed || sock->owner);
	assert_false(sock->shares);
	assert_int_equal(sock->twin_seen, 0);
	assert_false(sock->blocks);
	assert_false(sock->stood_in);
	assert_false(sock->may_reset);
	assert_int_equal(sock->partial, 0);
	assert_int_equal(sock->options.first, 0);
	assert_false(sock->options.datagram);
	for (int i = 0; i < REGISTRATIONS; i++)
		assert_int_equal(sock->registrations[i].epfd, -1);
}

static void a_record_that_is_used_again_is_as_new(void **state)
{
	(void)state;
	struct sock sock = used();
	uint32_t link = sock.link;
	sock_reset(&sock, 7, AF_INET6);
	assert_int_equal(sock.number, 7);
	assert_int_equal(sock.family, AF_INET6);
	assert_int_equal(sock.state, STATE_IP);
	assert_int_equal(sock.references, 1);
	assert_int_equal(sock.link, link); /* the pool's */
	assert_nothing_waits(&sock);
	assert_leads_nowhere(&sock);
	assert_has_no_past(&sock);
}

static void nothing_is_claimed_reported_or_shut_on_it(void **state)
{
	(void)state;
	struct sock sock = used();
	sock_reset(&sock, 7, AF_INET);
	assert_false(sock.claim.bound || sock.claim.any_port || sock.claim.had_address);
	assert_int_equal(sock.claim.name.port, 0);
	assert_int_equal(sock.claim.tried, 0);
	assert_int_equal(sock.report.error, 0);
	assert_false(sock.report.connected || sock.report.aborted || sock.report.broken);
	assert_false(sock.shut.read || sock.shut.write || sock.shut.read_kept || sock.shut.listener);
}

static void an_error_is_all_that_is_reported(void **state)
{
	(void)state;
	struct sock sock = used();
	report_reset(&sock.report, ECONNREFUSED);
	assert_int_equal(sock.report.error, ECONNREFUSED);
	assert_false(sock.report.connected || sock.report.aborted || sock.report.broken);
}

static void a_port_that_is_given_up_is_shown_still(void **state)
{
	(void)state;
	struct claim claim = {.bound = true, .any_port = true, .name = address_ipv4(INADDR_LOOPBACK, 4711)};
	claim_give_up(&claim);
	assert_false(claim.bound);
	assert_int_equal(claim.tried, 4711);
	assert_int_equal(claim.name.port, 0);
	assert_true(claim.any_port);
}

static void what_is_sent_goes_apart_where_a_rule_cuts_it(void **state)
{
	(void)state;
	static const struct rule whole = {.side = SIDE_CONNECT}, cut = {.side = SIDE_CONNECT, .chunk = 4096};
	struct sock sock;
	sock_reset(&sock, 7, AF_INET);
	sock_lead(&sock, &cut, &transport_unix);
	assert_true(sock.sends_apart);
	sock_lead(&sock, &whole, &transport_unix);
	assert_false(sock.sends_apart);
	assert_ptr_equal(sock.rule, &whole);
	assert_ptr_equal(sock.transport, &transport_unix);
	sock_lead(&sock, NULL, &transport_unix);
	assert_false(sock.sends_apart);
	sock_lead(&sock, NULL, &transport_names);
	assert_true(sock.sends_apart);
}

static void a_query_in_part_that_is_forgotten_makes_room(void **state)
{
	(void)state;
	uint32_t first = partial_take(), second = partial_take();
	assert_int_not_equal(first, 0);
	assert_int_not_equal(first, second);
	assert_ptr_not_equal(partial_at(first), partial_at(second));
	partial_forget(first);
	partial_forget(0);
	assert_int_equal(partial_take(), first);
	partial_forget(first);
	partial_forget(second);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_record_that_is_used_again_is_as_new),
		cmocka_unit_test(nothing_is_claimed_reported_or_shut_on_it),
		cmocka_unit_test(an_error_is_all_that_is_reported),
		cmocka_unit_test(a_port_that_is_given_up_is_shown_still),
		cmocka_unit_test(what_is_sent_goes_apart_where_a_rule_cuts_it),
		cmocka_unit_test(a_query_in_part_that_is_forgotten_makes_room),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
