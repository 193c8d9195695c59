/* SPDX-License-Identifier: MIT */
#include "forks.h"

#include "clock.h"
#include "errno.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>

enum { PATIENCE_MS = 1000 }; /* a machine may be busy */

static _Atomic uint32_t forks;	 /* under way */
static _Atomic uint32_t holders; /* threads that hold them off */
static _Atomic uint32_t lost;	 /* of these, as it seems: they have jumped out of the call */
/* Of this thread: the parts that it is in, and its fork(). A signal handler within waits for neither. */
static __thread unsigned depth __attribute__((tls_model("initial-exec")));

bool forks_under_way(void)
{
	return atomic_load(&forks) != 0;
}

/* One side writes `holders` and then looks at `forks`, the other the reverse: at least one of them sees the
 * other. Those who hold off give way. */
void forks_hold_off(void)
{
	if (depth++)
		return;
	atomic_fetch_add(&holders, 1);
	if (!forks_under_way())
		return;
	KEEP_ERRNO;
	for (int64_t began = now_ms(); forks_under_way() && now_ms() - began < PATIENCE_MS;) {
		atomic_fetch_sub(&holders, 1);
		sched_yield();
		atomic_fetch_add(&holders, 1);
	}
}

void forks_let(void)
{
	if (--depth == 0)
		atomic_fetch_sub(&holders, 1);
}

static void await_others(uint32_t own)
{
	KEEP_ERRNO;
	uint32_t others = atomic_load(&holders) - own;
	if (others < atomic_load(&lost)) /* they were only slow */
		atomic_store(&lost, others);
	for (int64_t began = now_ms(); others > atomic_load(&lost) && now_ms() - began < PATIENCE_MS;) {
		sched_yield();
		others = atomic_load(&holders) - own;
	}
	if (others > atomic_load(&lost))
		atomic_store(&lost, others);
}

void forks_before(void)
{
	atomic_fetch_add(&forks, 1);
	await_others(depth++ != 0);
}

void forks_after(void)
{
	depth--;
	atomic_fetch_sub(&forks, 1);
}

void forks_in_child(void)
{
	depth--;
	atomic_store(&forks, 0);
	atomic_store(&holders, depth != 0);
	atomic_store(&lost, 0);
}
