/* SPDX-License-Identifier: MIT */
#include "fd.h"

#include "door.h"
#include "partial.h"
#include "system/clock.h"
#include "system/errno.h"
#include "system/pool.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

_Atomic uint32_t fd_index[FD_LIMIT]; /* zero pages until touched; 0: not tracked, else the sock's number */
static _Atomic uint32_t highest;     /* no fd above it was ever tracked */
static struct pool socks = {.size = sizeof(struct sock), .chunk = 256};

static struct sock *at(uint32_t number)
{
	return pool_at(&socks, number);
}

static void release(uint32_t number)
{
	struct sock *sock = at(number);
	if (atomic_fetch_sub(&sock->references, 1) != 1)
		return;
	if (sock->door.fd >= 0)
		door_close(sock);
	options_forget(&sock->options);
	partial_forget(sock->partial);
	pool_release(&socks, number);
}

bool fd_hold(int fd, struct sock *sock)
{
	uint32_t references = atomic_load(&sock->references);
	do {
		if (!references)
			return false;
	} while (!atomic_compare_exchange_weak(&sock->references, &references, references + 1));
	if (fd_sock(fd) == sock)
		return true;
	fd_release(sock); /* it has become another's */
	return false;
}

void fd_release(struct sock *sock)
{
	release(sock->number);
}

struct sock *fd_hold_any(int fd)
{
	struct sock *sock = in_vfork_child ? NULL : fd_sock(fd);
	return sock && fd_hold(fd, sock) ? sock : NULL;
}

void fd_greeting_begin(struct sock *sock)
{
	atomic_store(&sock->greeting, GREETING);
}

void fd_greeting_end(struct sock *sock)
{
	atomic_store(&sock->greeting, GREETED);
}

/* It is held for some system calls; a signal handler of the thread that holds it would wait in vain. */
enum { PATIENCE_MS = 100 };

bool fd_greeting_lock(struct sock *sock)
{
	KEEP_ERRNO;
	int64_t began = now_ms();
	do {
		uint8_t free = GREETING;
		if (atomic_compare_exchange_strong(&sock->greeting, &free, GREETING_LOCKED))
			return true;
		if (free == GREETED)
			return false;
		sched_yield();
	} while (now_ms() - began < PATIENCE_MS);
	return false;
}

void fd_greeting_unlock(struct sock *sock)
{
	uint8_t locked = GREETING_LOCKED;
	atomic_compare_exchange_strong(&sock->greeting, &locked, GREETING);
}

bool fd_greets(const struct sock *sock)
{
	uint8_t greeting = atomic_load(&sock->greeting);
	if (greeting != GREETING_LOCKED)
		return greeting != GREETED;
	KEEP_ERRNO;
	for (int64_t began = now_ms(); greeting == GREETING_LOCKED && now_ms() - began < PATIENCE_MS;) {
		sched_yield();
		greeting = atomic_load(&sock->greeting);
	}
	return greeting != GREETED;
}

static void count_up_to(int fd)
{
	uint32_t seen = atomic_load_explicit(&highest, memory_order_relaxed);
	while (seen < (uint32_t)fd && !atomic_compare_exchange_weak(&highest, &seen, (uint32_t)fd))
		;
}

static void enter(int fd, uint32_t index)
{
	count_up_to(fd);
	uint32_t stale = atomic_exchange(&fd_index[fd], index);
	if (stale)
		release(stale);
}

HOT struct sock *fd_sock(int fd)
{
	if ((unsigned)fd >= FD_LIMIT)
		return NULL;
	uint32_t index = atomic_load_explicit(&fd_index[fd], memory_order_acquire);
	return index ? at(index) : NULL;
}

static _Atomic bool exhausted; /* once there was no memory for an entry */

bool fd_is_beyond_us(int fd)
{
	return (unsigned)fd >= FD_LIMIT || in_vfork_child || atomic_load(&exhausted);
}

struct sock *fd_make(int fd, int family)
{
	if ((unsigned)fd >= FD_LIMIT || in_vfork_child)
		return NULL;
	uint32_t index = pool_take(&socks);
	if (!index) {
		atomic_store(&exhausted, true);
		fd_forget(fd);
		return NULL;
	}
	struct sock *sock = at(index);
	sock_reset(sock, index, family);
	return sock;
}

void fd_enter(int fd, const struct sock *sock)
{
	enter(fd, sock->number);
}

uint64_t fd_inode(int fd)
{
	struct stat file;
	KEEP_ERRNO;
	return fstat(fd, &file) == 0 ? file.st_ino : 0;
}

/* Is another file on the number than the one that was adopted there? First the file, then the record, which
 * forgets the inode before it is replaced (swap_beside()). */
static bool is_another(int fd, const struct sock *sock)
{
	if (!atomic_load(&sock->inode))
		return false;
	uint64_t now = fd_inode(fd), inode = atomic_load(&sock->inode);
	return inode && now != inode;
}

/* A thread that closes the number from here on finds the entry; one that has closed it before has changed the
 * file. */
struct sock *fd_adopt(int fd, struct sock *sock)
{
	uint32_t there = 0, index = sock->number;
	count_up_to(fd);
	atomic_fetch_add(&sock->references, 1); /* the table's */
	if (!atomic_compare_exchange_strong(&fd_index[fd], &there, index)) {
		release(index);
	} else if (is_another(fd, sock)) {
		there = index;
		if (atomic_compare_exchange_strong(&fd_index[fd], &there, 0))
			release(index);
	}
	release(index);
	return fd_sock(fd);
}

struct sock *fd_open(int fd, int family)
{
	struct sock *sock = fd_make(fd, family);
	if (sock)
		fd_enter(fd, sock);
	return sock;
}

struct sock *fd_open_datagram(int fd, int family)
{
	struct sock *sock = fd_make(fd, family);
	if (sock) {
		sock->options.datagram = true;
		fd_enter(fd, sock);
	}
	return sock;
}

void fd_open_foreign(int fd)
{
	struct sock *sock = fd_make(fd, AF_VSOCK);
	if (sock) {
		set_state(sock, STATE_FOREIGN);
		fd_enter(fd, sock);
	}
}

bool fd_is_foreign(int fd)
{
	const struct sock *sock = fd_sock(fd);
	return sock && atomic_load(&sock->state) == STATE_FOREIGN;
}

/* Takes the number's entry out of the table, with its reference. 0: there is none. */
static uint32_t take_out(int fd)
{
	return fd_tracked(fd) && !in_vfork_child ? atomic_exchange(&fd_index[fd], 0) : 0;
}

void fd_forget(int fd)
{
	uint32_t index = take_out(fd);
	if (index)
		release(index);
}

/* One side writes `pins` and then looks at the table, the other writes the table and then looks at `pins`: at
 * least one of them sees the other. */
bool fd_pin(int fd, struct sock *sock)
{
	atomic_fetch_add(&sock->pins, 1);
	if (fd_sock(fd) == sock && !is_another(fd, sock))
		return true;
	fd_unpin(sock);
	return false;
}

void fd_unpin(struct sock *sock)
{
	atomic_fetch_sub(&sock->pins, 1);
}

/* No lock: a signal handler that closes what the code below it has pinned must not wait for ever. */
static bool await_none(const _Atomic uint8_t *count)
{
	if (!atomic_load(count))
		return true;
	KEEP_ERRNO;
	for (int64_t began = now_ms(); atomic_load(count) && now_ms() - began < PATIENCE_MS;)
		sched_yield();
	return !atomic_load(count);
}

/* As for pins: one side writes `keepers` and then looks at `swaps`, the other the reverse. Those who keep
 * give way. */
static void await_turn(struct sock *sock)
{
	bool over = true;
	atomic_fetch_add(&sock->keepers, 1);
	while (over && atomic_load(&sock->swaps)) {
		atomic_fetch_sub(&sock->keepers, 1);
		over = await_none(&sock->swaps);
		atomic_fetch_add(&sock->keepers, 1);
	}
}

struct sock *fd_keep(int fd)
{
	struct sock *sock = fd_hold_any(fd);
	if (!sock)
		return NULL;
	await_turn(sock);
	if (fd_pin(fd, sock))
		return sock;
	atomic_fetch_sub(&sock->keepers, 1);
	fd_release(sock);
	return NULL;
}

void fd_unkeep(struct sock *sock)
{
	fd_unpin(sock);
	atomic_fetch_sub(&sock->keepers, 1);
	fd_release(sock);
}

void fd_alias(struct sock *kept, int number)
{
	if (kept && (unsigned)number < FD_LIMIT) {
		atomic_fetch_add(&kept->references, 1);
		enter(number, kept->number);
	} else {
		fd_forget(number);
	}
	if (kept)
		fd_unkeep(kept);
}

void fd_swap_begin(struct sock *sock)
{
	atomic_fetch_add(&sock->swaps, 1);
	await_none(&sock->keepers);
}

void fd_swap_end(struct sock *sock)
{
	atomic_fetch_add(&sock->swapped, 1);
	atomic_fetch_sub(&sock->swaps, 1);
}

static struct sock *take(int fd)
{
	uint32_t index = take_out(fd);
	struct sock *sock = index ? at(index) : NULL;
	if (sock)
		await_none(&sock->pins);
	return sock;
}

struct sock *fd_take(int fd, uint8_t *swapped)
{
	struct sock *sock = fd_sock(fd);
	*swapped = sock ? atomic_load(&sock->swapped) : 0;
	return take(fd);
}

void fd_leave(int fd)
{
	struct sock *sock = take(fd);
	if (sock)
		fd_release(sock);
}

/* First the entry, then the look at the counts: a replacement that hasn't seen the one is seen by the other.
 */
void fd_give_back(int fd, struct sock *sock, uint8_t swapped)
{
	atomic_fetch_add(&sock->references, 1);
	enter(fd, sock->number);
	if (atomic_load(&sock->swaps) || atomic_load(&sock->swapped) != swapped)
		fd_leave(fd);
	fd_release(sock);
}

int fd_dup(int fd, struct sock *sock)
{
	if (!fd_pin(fd, sock))
		return fail(EBADF);
	int number = libc.fcntl(fd, F_DUPFD_CLOEXEC, NULL);
	fd_unpin(sock);
	return number;
}

int fd_set_aside(int fd)
{
	int high = libc.fcntl(fd, F_DUPFD_CLOEXEC, (void *)FD_ASIDE);
	if (high < 0)
		return fd;
	libc.close(fd);
	return high;
}

int fd_highest(void)
{
	return (int)atomic_load(&highest);
}

static pid_t process;

static void note_process(void)
{
	process = getpid();
}

void fd_start(void)
{
	note_process();
	pthread_atfork(NULL, NULL, note_process);
}

pid_t fd_process(void)
{
	return process;
}

void fd_each(const struct sock *sock, void (*visit)(int fd, void *context), void *context)
{
	int end = (int)atomic_load(&highest);
	for (int fd = 0; fd <= end; fd++)
		if (fd_tracked(fd) && (!sock || fd_sock(fd) == sock))
			visit(fd, context);
}

int fd_find(bool (*matches)(const struct sock *sock, const void *context), const void *context)
{
	int end = (int)atomic_load(&highest);
	for (int fd = 0; fd <= end; fd++) {
		struct sock *sock = fd_sock(fd);
		if (sock && matches(sock, context))
			return fd;
	}
	return -1;
}

static bool is_it(const struct sock *sock, const void *context)
{
	return sock == context;
}

int fd_of(int fd, const struct sock *sock)
{
	return fd_sock(fd) == sock ? fd : fd_find(is_it, sock);
}

struct sock *fd_find_held(
	bool (*matches)(const struct sock *sock, const void *context), const void *context, int *fd)
{
	int end = fd_highest();
	for (*fd = 0; *fd <= end; ++*fd) {
		struct sock *sock = fd_sock(*fd);
		if (!sock || !matches(sock, context) || !fd_hold(*fd, sock))
			continue;
		if (matches(sock, context)) /* it may have become another's in between */
			return sock;
		fd_release(sock);
	}
	return NULL;
}
