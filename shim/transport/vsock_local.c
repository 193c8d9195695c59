/* SPDX-License-Identifier: MIT */
#include "vsock_local.h"

#include "system/errno.h"
#include "system/forks.h"
#include "system/kernel.h"
#include "transport.h"

#include <linux/vm_sockets.h>
#include <stdatomic.h>

enum answer { NO, YES, NOBODY_ASKED };

/* Asked until it is so: the module may be loaded at any time. bind() sends nothing. */
static enum answer cid_1_loops(void)
{
	static _Atomic bool known;
	if (atomic_load_explicit(&known, memory_order_relaxed))
		return YES;
	struct sockaddr_vm local = {
		.svm_family = AF_VSOCK, .svm_cid = CID_LOCAL, .svm_port = VMADDR_PORT_ANY};
	forks_hold_off();
	int probe = libc.socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool loops = probe >= 0 && libc.bind(probe, (struct sockaddr *)&local, sizeof local) == 0;
	if (probe >= 0)
		close_quietly(probe);
	forks_let();
	if (loops)
		atomic_store(&known, true);
	return probe < 0 ? NOBODY_ASKED : loops ? YES : NO;
}

static bool own_cid_may_loop(void)
{
	static _Atomic int known;
	return kernel_was_before(&known, 5, 6);
}

static uint32_t looping_own_cid(void)
{
	uint32_t own = own_cid_may_loop() ? transport_vsock.own_cid(CID_ANY) : CID_ANY;
	return own > CID_HOST ? own : CID_ANY; /* a host's, 2, isn't looped */
}

uint32_t vsock_local_cid(void)
{
	KEEP_ERRNO;
	return cid_1_loops() == YES ? CID_LOCAL : looping_own_cid();
}

bool vsock_needs_door(void)
{
	static _Atomic bool own_loops; /* once it does, it does */
	KEEP_ERRNO;
	if (atomic_load_explicit(&own_loops, memory_order_relaxed) || cid_1_loops() != NO)
		return false;
	bool loops = looping_own_cid() != CID_ANY;
	atomic_store(&own_loops, loops);
	return !loops;
}

bool vsock_is_local(uint32_t cid)
{
	static _Atomic uint32_t own; /* 0: not asked yet */
	if (cid == CID_LOCAL)
		return true;
	if (cid <= CID_HOST || cid == CID_ANY || !own_cid_may_loop())
		return false;
	uint32_t known = atomic_load_explicit(&own, memory_order_relaxed);
	if (!known)
		atomic_store(&own, known = vsock_local_cid());
	return cid == known;
}
