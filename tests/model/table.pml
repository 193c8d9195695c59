/* SPDX-License-Identifier: MIT */
/* The protocol of the table of fds, a step for each atomic operation or system call, in the order of the source.
 *
 * Theory of operation. Two numbers, at first a socket on the first, and on the second nothing, a dup, another
 * socket, or one that was inherited, which the table doesn't know. Each of three threads makes one call, any:
 * socket(), the opening of another file (no hook sees it), close(), dup(), dup2(), a call that replaces the socket
 * and that adopts it first if it isn't known (connect()), a close() by a child of vfork(), or fork(). The
 * inlines have the names of what they stand for: fd_*, take_out, enter, release in shim/state/fd.c; swap_in and
 * put_dup in shim/state/swap.c; hook_* in shim/hook/fd.c and stream.c; pool_* as one step each, which pool.pml
 * proves. find is fd_sock(). A loop of compare-and-exchange that can only succeed or find 0 is one step.
 *
 * Properties: whoever holds a record uses it in the life that it had on the number (USE); dup3() and the
 * registrations of a swap meet the record's own file; when no call is under way, each entry leads to the record
 * of its number's file, and all counts are those of the entries (AGREES, end()): no close and no entry is lost.
 * What a child of fork() has is looked at in the moment of the fork (AGREES_IN_CHILD): it has one thread, and so
 * goes on from there in order.
 *
 * What is taken for granted: each number is closed once (may_close), by a thread that has been given it, though
 * others may use it late; one call at a time replaces a socket (called); waits end before their 100 ms; atomics
 * are sequentially consistent; inodes aren't used again. And `closing`: a close() or dup2() that has begun, which
 * has a few instructions to go, is through before another thread's adoption of the number, which has asked the
 * kernel before that began, enters it. What isn't here: the greeter, and fds that libc closes without our seeing it.
 *
 * A BUG_... leaves out one precaution; `run` shows that spin then finds a fault. */
#ifndef NUMBERS
#define NUMBERS 2
#endif
#ifdef FIRST /* these three calls, and not any */
#define SCENARIO a = FIRST; b = SECOND; c = THIRD;
#else
#define SCENARIO skip;
#endif
#ifdef BUG_HOLD_REVIVES
#undef BUG_HOLD_REVIVES
#define BUG_HOLD_REVIVES && false
#define BUG_REVIVING || true
#else
#define BUG_HOLD_REVIVES
#define BUG_REVIVING
#endif
#define THREADS 3
#define RECORDS 6 /* from 1: one for each number, one that each thread may hold, and a fresh one */
#define FILES 10  /* from 1 */

/* What a thread may do, in the order of kinds; the second of each pair is for the second number. */
#define SOCKET 0
#define OTHER 1
#define CLOSE 2
#define DUP 4
#define DUP2 6
#define CONNECT 8
#define VFORK 10
#define FORK 12
#define CALLS 13

/* the kernel */
byte file_at[NUMBERS];
bool inet[FILES];

/* the table and its records */
byte entry[NUMBERS];
byte references[RECORDS], pins[RECORDS], keepers[RECORDS], swaps[RECORDS], swapped[RECORDS];
bool in_use[RECORDS];
byte inode[RECORDS]; /* a file; 0: it wasn't adopted, or was replaced since */

byte forks, holders; /* shim/system/forks.c */

/* ghosts */
byte stands_for[RECORDS];
bool called[RECORDS];
bool may_close[NUMBERS], closing[NUMBERS], unknown[NUMBERS];
byte fresh_of[THREADS], old_of[THREADS], sees[THREADS];
bool stale[THREADS];
byte working;

#define USED(f) (file_at[0] == f || file_at[1] == f || \
	stands_for[1] == f || stands_for[2] == f || stands_for[3] == f || stands_for[4] == f || stands_for[5] == f || \
	fresh_of[0] == f || fresh_of[1] == f || fresh_of[2] == f || old_of[0] == f || old_of[1] == f || old_of[2] == f)

inline new_file(variable, is_inet)
{
	i = 1;
	do
	:: USED(i) -> i++
	:: else -> break
	od;
	variable = i;
	inet[i] = is_inet;
	i = 0
}

inline lowest_number(variable)
{
	variable = 0;
	do
	:: variable < NUMBERS && file_at[variable] -> variable++
	:: else -> break
	od
}

inline pool_take(s)
{
	d_step {
		s = 1;
		do
		:: in_use[s] -> s++
		:: else -> break
		od;
		in_use[s] = true;
		assert(references[s] == 0);
	}
}

inline pool_release(s)
{
	d_step {
		assert(in_use[s] && references[s] == 0);
		in_use[s] = false;
		stands_for[s] = 0;
		inode[s] = 0;
		called[s] = false;
		stale[0] = stale[0] || sees[0] == s;
		stale[1] = stale[1] || sees[1] == s;
		stale[2] = stale[2] || sees[2] == s;
	}
}

inline release(s)
{
	d_step {
		assert(in_use[s] && references[s] > 0);
		references[s]--;
		last = references[s] == 0;
	}
	if
	:: last -> pool_release(s)
	:: else
	fi;
	last = false
}

inline find(fd, s) /* fd_sock() */
{
	d_step {
		s = entry[fd];
		sees[me] = s;
		stale[me] = false;
	}
}

inline fd_hold(fd, s, ok)
{
	if
	:: d_step { references[s] == 0 BUG_HOLD_REVIVES -> ok = false }
	:: d_step { references[s] > 0 BUG_REVIVING -> references[s]++; ok = true }
	fi;
	if
	:: ok ->
#ifndef BUG_HOLD_BLIND
		if
		:: d_step { entry[fd] == s -> stale[me] = false }
		:: d_step { entry[fd] != s -> ok = false }
		fi;
		if
		:: !ok -> release(s)
		:: else
		fi
#endif
	:: else
	fi
}

/* The entry goes if it is still this record's, which the caller holds. */
inline withdraw(fd, s)
{
	if
	:: d_step { entry[fd] == s -> entry[fd] = 0 } release(s)
	:: entry[fd] != s
	fi
}

/* Is what stands on the number another file than the one that was adopted there? First the file, then the
 * record, which forgets the inode before it is replaced. */
inline is_another(fd, s, ok)
{
	file = file_at[fd];
	ok = inode[s] != 0 && file != inode[s];
	file = 0
}

#define USE(s) assert(in_use[s] && references[s] > 0 && !stale[me])

inline enter(fd, s)
{
	d_step {
		assert(in_use[s]);
		gone = entry[fd];
		entry[fd] = s;
	}
	if
	:: gone -> release(gone)
	:: else
	fi;
	gone = 0
}

inline take_out(fd, s)
{
	if
	:: entry[fd] == 0 -> s = 0
	:: entry[fd] != 0 -> d_step { s = entry[fd]; entry[fd] = 0 }
	fi
}

inline fd_forget(fd)
{
	take_out(fd, gone);
	if
	:: gone -> release(gone)
	:: else
	fi;
	gone = 0
}

inline fd_take(fd, s)
{
	take_out(fd, s);
	if
#ifndef BUG_CLOSED_WHILE_PINNED
	:: s -> pins[s] == 0
#endif
	:: else
	fi
}

inline fd_leave(fd)
{
	fd_take(fd, gone);
	if
	:: gone -> release(gone)
	:: else
	fi;
	gone = 0
}

inline fd_pin(fd, s, ok)
{
	USE(s);
	pins[s]++;
#ifndef BUG_PIN_UNCHECKED
	ok = entry[fd] == s;
#else
	ok = true;
#endif
#ifndef BUG_ADOPTED_UNCHECKED
	if
	:: ok -> is_another(fd, s, another); ok = !another; another = false
	:: else
	fi;
#endif
	if
	:: !ok -> pins[s]--
	:: else
	fi
}

/* ---- hooks ---- */

inline publish(fd)
{
	may_close[fd] = true
}

inline hook_socket()
{
	d_step {
		lowest_number(fd);
		if
		:: fd < NUMBERS ->
			new_file(file_at[fd], true);
			unknown[fd] = false
		:: else
		fi
	}
	if
	:: fd < NUMBERS ->
		pool_take(s);
		d_step {
			pins[s] = 0;
			swapped[s] = 0;
			stands_for[s] = file_at[fd];
			references[s] = 1
		}
		enter(fd, s);
		publish(fd)
	:: else
	fi
}

inline other_file()
{
	d_step {
		lowest_number(fd);
		if
		:: fd < NUMBERS ->
			new_file(file_at[fd], false);
			unknown[fd] = false;
			publish(fd)
		:: else
		fi
	}
}

inline libc_close(fd)
{
	d_step {
		assert(file_at[fd]);
		file_at[fd] = 0
	}
}

inline hook_close(fd)
{
#ifdef BUG_CLOSED_FIRST
	libc_close(fd);
#endif
	if
	:: entry[fd] == 0
	:: entry[fd] != 0 ->
		fd_leave(fd)
	fi;
#ifndef BUG_CLOSED_FIRST
	libc_close(fd)
#endif
}

inline fd_keep(fd, s) /* 0: NULL */
{
	find(fd, s);
	if
	:: s -> fd_hold(fd, s, ok)
	:: else -> ok = false
	fi;
	if
	:: ok ->
#ifndef BUG_DUP_UNKEPT
		keepers[s]++;
		do
		:: swaps[s] == 0 -> break
		:: swaps[s] != 0 -> keepers[s]--; swaps[s] == 0; keepers[s]++
		od;
#endif
		fd_pin(fd, s, ok);
		if
		:: !ok ->
#ifndef BUG_DUP_UNKEPT
			keepers[s]--;
#endif
			release(s)
		:: else
		fi
	:: else
	fi;
	if
	:: !ok -> s = 0
	:: else
	fi
}

inline fd_unkeep(s)
{
	pins[s]--;
#ifndef BUG_DUP_UNKEPT
	keepers[s]--;
#endif
	release(s)
}

inline fd_alias(s, number) /* number NUMBERS: -1 */
{
	if
	:: s && number < NUMBERS -> references[s]++; enter(number, s)
	:: !s && number < NUMBERS -> fd_forget(number)
	:: else
	fi;
	if
	:: s -> fd_unkeep(s)
	:: else
	fi
}

inline libc_dup(fd, number)
{
	d_step {
		lowest_number(number);
		if
		:: number < NUMBERS && file_at[fd] ->
			file_at[number] = file_at[fd];
			unknown[number] = s == 0
		:: else -> number = NUMBERS
		fi
	}
}

inline hook_dup(fd)
{
	if
	:: entry[fd] != 0 -> fd_keep(fd, s); libc_dup(fd, number); fd_alias(s, number)
	:: entry[fd] == 0 -> libc_dup(fd, number); fd_alias(0, number)
	fi;
	if
	:: number < NUMBERS -> publish(number)
	:: else
	fi
}

inline give_back(fd, s) /* fd_give_back() */
{
	references[s]++;
	enter(fd, s);
	if
	:: swaps[s] == 0 && swapped[s] == seen
#ifndef BUG_GIVEN_BACK_BLINDLY
	:: swaps[s] != 0 || swapped[s] != seen -> unknown[fd] = true; fd_leave(fd)
#else
	:: swaps[s] != 0 || swapped[s] != seen
#endif
	fi;
	release(s)
}

inline hook_dup2(fd, number)
{
	if
	:: d_step { entry[fd] == 0 && entry[number] == 0 -> /* neither_tracked(), and dup2() at once */
		if
		:: file_at[fd] ->
			file_at[number] = file_at[fd];
			unknown[number] = true
		:: else
		fi;
		neither = true }
	:: entry[fd] != 0 || entry[number] != 0 ->
		d_step { before = entry[number]; seen = swapped[before] }
		fd_take(number, before);
		fd_keep(fd, s)
	fi;
	d_step { /* libc.dup2() */
		if
		:: neither
		:: !neither && file_at[fd] ->
			file_at[number] = file_at[fd];
			unknown[number] = s == 0;
			done = true
		:: else
		fi
	}
	if
	:: done -> fd_alias(s, number)
	:: !done && s -> fd_unkeep(s)
	:: else
	fi;
	if
	:: !done && before -> give_back(number, before)
	:: done && before -> release(before)
	:: else
	fi;
	d_step { before = 0; done = false; seen = 0; neither = false; closing[number] = false }
	if
	:: file_at[number] != 0 -> publish(number)
	:: else
	fi
}

inline vfork_child_closes(fd) /* its own fd: take_out() finds in_vfork_child */
{
#ifdef BUG_VFORK_CHILD_WRITES
	fd_leave(fd)
#else
	skip
#endif
}

inline put_dup(dup)
{
	if
	:: file_at[dup] == old_of[me] -> /* fstat() */
		d_step {
			assert(file_at[dup] == old_of[me]);
			file_at[dup] = fresh_of[me]
		}
	:: file_at[dup] != old_of[me] -> fd_forget(dup)
	fi
}

inline forks_hold_off()
{
	holders++;
	do
	:: forks == 0 -> break
	:: forks != 0 -> holders--; forks == 0; holders++
	od
}

inline swap_in(fd, s)
{
	forks_hold_off();
	atomic { new_file(fresh_of[me], true) }
	USE(s);
#ifndef BUG_DUP_UNKEPT
	swaps[s]++;
	keepers[s] == 0;
#endif
	shared = references[s] > 2;
	ok = true;
#ifdef BUG_SUSPEND_UNPINNED
	assert(file_at[fd] == 0 || file_at[fd] == stands_for[s]); /* registrations_suspend() */
#endif
	fd_pin(fd, s, ok);
	if
	:: shared ->
		d_step {
			old_of[me] = file_at[fd];
			shared = old_of[me] != 0
		}
	:: else
	fi;
	if
	:: ok ->
#ifndef BUG_INODE_LATE
		inode[s] = 0;
#endif
		d_step {
			assert(file_at[fd] == stands_for[s]);
			file_at[fd] = fresh_of[me];
			stands_for[s] = fresh_of[me]
		}
#ifdef BUG_INODE_LATE
		inode[s] = 0;
#endif
		if
		:: shared ->
			number = 0;
			do
			:: number < NUMBERS ->
				if
				:: number != fd && entry[number] == s -> put_dup(number)
				:: else
				fi;
				number++
			:: else -> break
			od;
			number = 0
		:: else
		fi;
		pins[s]--
	:: else
	fi;
#ifndef BUG_DUP_UNKEPT
	swapped[s]++;
	swaps[s]--;
#endif
	d_step {
		old_of[me] = 0;
		fresh_of[me] = 0;
		shared = false
	}
	holders--
}

/* What a call on a number without an entry makes of a socket that it finds there: stream_of(), fd_adopt(). A
 * reference more than the table's keeps the record until it is known to be the right one. */
inline adopt(fd, s)
{
	pool_take(s);
	d_step {
		pins[s] = 0;
		swapped[s] = 0;
		stands_for[s] = old_of[me];
		inode[s] = old_of[me];
		references[s] = 2
	}
#ifdef BUG_ADOPTED_OVER
	enter(fd, s);
#else
	if
	:: d_step { entry[fd] == 0 && !closing[fd] ->
			entry[fd] = s;
			unknown[fd] = unknown[fd] && file_at[fd] != inode[s] }
#endif
#ifndef BUG_ADOPTED_BLINDLY
		is_another(fd, s, another);
		if
		:: another -> withdraw(fd, s)
		:: else
		fi;
		another = false;
#endif
#ifndef BUG_ADOPTED_OVER
	:: entry[fd] != 0 ->
		references[s]--
	fi;
#endif
	release(s);
	find(fd, s)
}

inline hook_connect(fd)
{
	do
	:: find(fd, s);
		if
		:: s == 0 ->
			d_step { /* the kernel is asked */
				if
				:: unknown[fd] && may_close[fd] && inet[file_at[fd]] -> old_of[me] = file_at[fd]
				:: else
				fi
			}
			if
			:: old_of[me] -> adopt(fd, s); old_of[me] = 0
			:: else
			fi
		:: else
		fi;
		if
		:: s == 0 -> break
		:: else -> fd_hold(fd, s, ok)
		fi;
		if
		:: ok -> break
		:: else
		fi
	od;
	if
	:: s ->
		if
		:: d_step { !called[s] -> called[s] = true }
			swap_in(fd, s);
			called[s] = false
		:: called[s]
		fi;
		release(s)
	:: else
	fi
}

/* What a child has in the moment of fork(): the socket of each entry, or one that is known to be another, and
 * none that was to replace one. Its other threads are gone, and what they held is let go (forget_threads()). */
#define AGREES_IN_CHILD(n) (entry[n] == 0 || stands_for[entry[n]] == file_at[n] || \
	(inode[entry[n]] != 0 && inode[entry[n]] != file_at[n]))

inline hook_fork()
{
#ifndef BUG_FORK_UNGUARDED
	forks++;
	holders == 0;
#endif
	d_step {
		assert(AGREES_IN_CHILD(0) && AGREES_IN_CHILD(1));
		assert(fresh_of[0] == 0 && fresh_of[1] == 0 && fresh_of[2] == 0)
	}
#ifndef BUG_FORK_UNGUARDED
	forks--
#endif
}

#define AGREES(n) ((entry[n] == 0 && (!inet[file_at[n]] || unknown[n])) || (entry[n] && stands_for[entry[n]] == file_at[n]))
#define ENTRIES(s) ((entry[0] == s) + (entry[1] == s))

inline end()
{
	d_step {
		call = CALLS; s = 0; fd = 0; number = 0; ok = false;
		sees[me] = 0;
		stale[me] = false;
		working--;
		if
		:: working == 0 ->
			assert(AGREES(0) && AGREES(1));
			i = 1;
			do
			:: i < RECORDS -> assert(references[i] == ENTRIES(i) && pins[i] == 0 && keepers[i] == 0 && swaps[i] == 0 && in_use[i] == (references[i] > 0)); i++
			:: else -> break
			od;
			i = 0
		:: else
		fi
	}
}

proctype thread(byte me; byte call; byte then)
{
	byte i, s, fd, number, gone, before, seen, file;
	bool ok, last, shared, done, neither, another;
	do
	:: atomic { call == SOCKET -> working++ } hook_socket(); end()
	:: atomic { call == OTHER -> working++ } other_file(); end()
	:: atomic { (call == CLOSE || call == CLOSE + 1) && may_close[call & 1] -> working++; fd = call & 1; may_close[fd] = false; closing[fd] = true }
		hook_close(fd); closing[fd] = false; end()
	:: atomic { call == DUP || call == DUP + 1 -> working++; fd = call & 1 } hook_dup(fd); end()
	:: atomic { (call == DUP2 || call == DUP2 + 1) && may_close[call & 1] ->
		working++; number = call & 1; fd = 1 - number; may_close[number] = false; closing[number] = true } hook_dup2(fd, number); end()
	:: atomic { call == CONNECT || call == CONNECT + 1 -> working++; fd = call & 1 } hook_connect(fd); end()
	:: atomic { (call == VFORK || call == VFORK + 1) && may_close[call & 1] -> working++; fd = call & 1 }
		vfork_child_closes(fd); end()
	:: atomic { call == FORK -> working++ } hook_fork(); end()
	:: call == CALLS && then == CALLS -> break
	:: atomic { call == CALLS && then != CALLS -> call = then; then = CALLS }
	:: atomic { call != CALLS && working == 0 -> call = CALLS } /* what it waits for may never come */
	od
}

init {
	byte a = 0, b = 0, c = 0, second = CALLS;
	atomic {
		in_use[1] = true;
		references[1] = 1;
		stands_for[1] = 1;
		inet[1] = true;
		file_at[0] = 1;
		entry[0] = 1;
		may_close[0] = true;
		if
		:: true
		:: file_at[1] = 1; entry[1] = 1; references[1] = 2; may_close[1] = true
		:: file_at[1] = 2; inet[2] = true; entry[1] = 2; references[2] = 1; in_use[2] = true; stands_for[2] = 2; may_close[1] = true
		:: file_at[1] = 2; inet[2] = true; unknown[1] = true; may_close[1] = true
		fi;
		do /* a <= b <= c: which thread does it makes no difference */
		:: a < CALLS - 1 -> a++
		:: break
		od;
		b = a;
		do
		:: b < CALLS - 1 -> b++
		:: break
		od;
		c = b;
		do
		:: c < CALLS - 1 -> c++
		:: break
		od;
		SCENARIO
		run thread(0, a, CALLS);
		run thread(1, b, second);
		run thread(2, c, CALLS)
	}
}
