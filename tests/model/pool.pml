/* SPDX-License-Identifier: MIT */
/* The free list of shim/system/pool.c, one step for each atomic operation: three threads, each of which takes a
 * record and releases it, twice. Property: no record is given to two threads, and none is lost. The number of
 * rounds is bounded, so the count against ABA, 32 bits wide in the code, doesn't come round here either.
 *
 * -DBUG_NO_COUNT: without that count. */
#define RECORDS 4
#define THREADS 3
#define ROUNDS 2

#ifdef BUG_NO_COUNT
#define SAME_COUNT true
#else
#define SAME_COUNT (top_count == count)
#endif

byte link[RECORDS]; /* of a record: the next free one; 0: none */
byte top_index, top_count;
byte used;
bool taken[RECORDS];
byte ended;

inline pool_take(index) /* pool_take() */
{
	d_step { index = top_index; count = top_count }
	do
	:: index == 0 -> break
	:: index != 0 ->
		rest = link[index];
		if
		:: d_step { top_index == index && SAME_COUNT -> top_index = rest; top_count = count + 1 } break
		:: d_step { !(top_index == index && SAME_COUNT) -> index = top_index; count = top_count }
		fi
	od;
	if
	:: index == 0 -> d_step { used++; index = used; assert(used < RECORDS) } /* the loop on `used` */
	:: else
	fi
}

inline pool_release(index) /* pool_release() */
{
	d_step { rest = top_index; count = top_count }
	do
	:: link[index] = rest;
		if
		:: d_step { top_index == rest && SAME_COUNT -> top_index = index; top_count = count + 1 } break
		:: d_step { !(top_index == rest && SAME_COUNT) -> rest = top_index; count = top_count }
		fi
	od
}

active [THREADS] proctype thread()
{
	byte mine, other, rest, count, round;
	do
	:: round < ROUNDS ->
		pool_take(mine);
		skip;
		d_step { assert(!taken[mine]); taken[mine] = true }
		d_step { assert(taken[mine]); taken[mine] = false }
		pool_release(mine);
		round++
	:: else -> break
	od;
	skip;
	d_step {
		ended++;
		if
		:: ended == THREADS -> /* each record is in the list, once */
			mine = top_index;
			other = 0;
			do
			:: mine && other <= used -> other++; mine = link[mine]
			:: else -> break
			od;
			assert(other == used)
		:: else
		fi
	}
}
