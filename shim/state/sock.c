/* SPDX-License-Identifier: MIT */
#include "sock.h"

#include <string.h>

void claim_reset(struct claim *claim)
{
	*claim = (struct claim){.bound = false};
}

void claim_give_up(struct claim *claim)
{
	claim->tried = claim->name.port;
	claim->name.port = 0;
	claim->bound = false;
}

void report_reset(struct report *report, int error)
{
	atomic_store(&report->error, error);
	atomic_store(&report->connected, false);
	atomic_store(&report->aborted, false);
	atomic_store(&report->broken, false);
}

void shut_reset(struct shut *shut)
{
	atomic_store(&shut->read, false);
	atomic_store(&shut->write, false);
	atomic_store(&shut->read_kept, false);
	atomic_store(&shut->listener, false);
}

/* Each field is reset separately, never the record as bytes: the link belongs to the pool, and a late
 * fd_hold() may read the references. */
void sock_reset(struct sock *sock, uint32_t number, int family)
{
	sock->number = number;
	sock->family = (uint8_t)family;
	sock->accepted = sock->used = sock->overflowed = sock->owner = false;
	sock->bound_by = 0;
	atomic_store(&sock->shares, false);
	sock->twin_seen = 0;
	atomic_store(&sock->inode, 0);
	atomic_store(&sock->pins, 0);
	atomic_store(&sock->keepers, 0);
	atomic_store(&sock->swaps, 0);
	atomic_store(&sock->swapped, 0);
	atomic_store(&sock->attempting, 0);
	atomic_store(&sock->cancelled, false);
	atomic_store(&sock->orphaned, false);
	atomic_store(&sock->fresh, -1);
	atomic_store(&sock->accepting, 0);
	atomic_store(&sock->blocks, false);
	claim_reset(&sock->claim);
	report_reset(&sock->report, 0);
	shut_reset(&sock->shut);
	atomic_store(&sock->door.fd, -1);
	atomic_store(&sock->door.sock, NULL);
	atomic_store(&sock->door.last, false);
	atomic_store(&sock->rule, NULL);
	atomic_store(&sock->transport, NULL);
	atomic_store(&sock->sends_apart, false);
	sock->local = sock->peer = (struct endpoint){0};
	memset(&sock->asked, 0, sizeof sock->asked);
	sock->scope = 0;
	atomic_store(&sock->stood_in, false);
	atomic_store(&sock->may_reset, false);
	atomic_store(&sock->greeting, 0);
	atomic_store(&sock->partial, 0);
	atomic_store(&sock->options.first, 0);
	sock->options.datagram = false;
	for (int i = 0; i < REGISTRATIONS; i++)
		sock->registrations[i].epfd = -1;
	set_state(sock, STATE_IP);
	atomic_store(&sock->references, 1);
}

void sock_lead(struct sock *sock, const struct rule *rule, const struct transport *transport)
{
	sock->rule = rule;
	sock->transport = transport;
	sock->sends_apart = transport->answered_here || (rule && rule->chunk);
}
