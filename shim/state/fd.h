/* SPDX-License-Identifier: MIT */
/* What the kernel doesn't know about the program's TCP sockets: a cache beside the kernel, indexed by fd
 * number.
 *
 * Async-signal-safe throughout, no lock, no malloc: entries live in pools that are never given back, so that
 * a reader that races with a close() (the program's own bug) reads something stale but never faults. A vfork
 * child shares its parent's memory, but not its fds: it changes nothing here. Errno is untouched. */
#ifndef IP2VSOCK_FD_H
#define IP2VSOCK_FD_H

#include "sock.h"
#include "system/cancel.h"

/* fd numbers beyond this are never mapped: connect() there fails with EMFILE. */
enum { FD_LIMIT = 1 << 20 };
extern _Atomic uint32_t fd_index[FD_LIMIT];

/* The one load and one branch that a hook costs on any other fd. */
static inline bool fd_tracked(int fd)
{
	/* cppcheck-suppress negativeIndex ; as unsigned it is beyond the limit */
	return (unsigned)fd < FD_LIMIT && atomic_load_explicit(&fd_index[fd], memory_order_relaxed) != 0;
}

/* While a task (socket/greeter.h) is to put another socket in this one's place, the program's own calls that
 * register it with epoll wait for the moment that this takes, and the task for them. Those that close its
 * number, or put another file there, wait for the task's pin. */
enum greeting_state { GREETED, GREETING, GREETING_LOCKED };
void fd_greeting_begin(struct sock *sock);
void fd_greeting_end(struct sock *sock);
/* false: there is no task, and nothing to unlock. */
bool fd_greeting_lock(struct sock *sock);
void fd_greeting_unlock(struct sock *sock);
/* Is a task to put another socket in its place still? Waits for the moment that this takes: what the program
 * polls may be that other socket already. */
bool fd_greets(const struct sock *sock);

struct sock *fd_sock(int fd); /* NULL: not tracked */

/* A new record in STATE_IP, one reference, which fd_enter() gives to the table; what other threads may ask
 * for as soon as it is there is filled in between. NULL: out of memory, and whatever stood there is
 * forgotten. */
struct sock *fd_make(int fd, int family);
void fd_enter(int fd, const struct sock *sock); /* a stale record that stands there goes */
/* The record, with its inode, of a file that was found on a number without an entry, and that other threads
 * may find at the same time, or close. Returns what stands there then: this record, or another's; NULL: it is
 * another file's number by now. */
struct sock *fd_adopt(int fd, struct sock *sock);
/* Of what is on the number, 0: unknown. */
uint64_t fd_inode(int fd);
struct sock *fd_open(int fd, int family);	   /* both */
void fd_open_foreign(int fd);			   /* the program's own AF_VSOCK socket */
struct sock *fd_open_datagram(int fd, int family); /* as fd_open(): a UDP socket */
bool fd_is_foreign(int fd);
bool fd_is_beyond_us(int fd); /* it may have no entry though it is a socket of ours */

/* Keeps a sock while a call on its fd waits, though another thread may close that. false: it is gone already.
 */
bool fd_hold(int fd, struct sock *sock);
void fd_release(struct sock *sock);
/* The sock of fd, held. NULL: not tracked, or closed at this moment, or this is a vfork child, which changes
 * nothing. */
struct sock *fd_hold_any(int fd);

/* The caller holds the sock. Until fd_unpin() no thread that closes one of its numbers, or puts another file
 * there, gets further than to say so (fd_leave(), fd_take()): what is done to the number in between is done
 * to this socket. Short: the others wait. false: the number is no longer this sock's; nothing is pinned. */
bool fd_pin(int fd, struct sock *sock);
void fd_unpin(struct sock *sock);
/* A duplicate of fd, CLOEXEC, that is sure to be this sock's, which the caller holds. -1: EBADF, EMFILE. */
int fd_dup(int fd, struct sock *sock);

/* Moves fd, CLOEXEC, out of the way of the numbers that the program gets next, and may use by number. */
enum { FD_ASIDE = 512 };
int fd_set_aside(int fd);

/* The sock of fd, held and pinned, and not replaced until fd_alias() or fd_unkeep(): what is done to the
 * number in between is done to one description of it. Short, too; waits for a replacement that is under way.
 * NULL: not tracked, or closed at this moment. */
struct sock *fd_keep(int fd);
void fd_unkeep(struct sock *sock);
/* number is now a dup of what fd_keep() has returned (NULL: of another file), which is let go; -1: no dup was
 * made. */
void fd_alias(struct sock *kept, int number);
/* Between these, for the caller, who holds the sock, alone: it is replaced on all its numbers. Waits for
 * those who keep it. */
void fd_swap_begin(struct sock *sock);
void fd_swap_end(struct sock *sock);

void fd_forget(int fd); /* found stale, or IP's from here on */
void fd_leave(int fd);	/* about to be closed: as fd_forget(), once nobody pins it */
/* Another file is about to be put on the number: fd_leave(), but the reference is the caller's, to
 * fd_release() once that is done or to give back if it failed. NULL: not tracked. *swapped is for
 * fd_give_back(), which forgets the number if the sock has been replaced meanwhile without it. */
struct sock *fd_take(int fd, uint8_t *swapped);
void fd_give_back(int fd, struct sock *sock, uint8_t swapped);

/* Calls visit for each fd of this process that has this sock (NULL: any). */
void fd_each(const struct sock *sock, void (*visit)(int fd, void *context), void *context);
/* fd, or another number of sock if that has become another's; -1: it has none. */
int fd_of(int fd, const struct sock *sock);
/* The first fd whose sock `matches`, -1: none. */
int fd_find(bool (*matches)(const struct sock *sock, const void *context), const void *context);
/* The same, held, and its number in *fd; NULL: none. */
struct sock *fd_find_held(
	bool (*matches)(const struct sock *sock, const void *context), const void *context, int *fd);

int fd_highest(void); /* no fd above it is tracked */

/* The process that this table belongs to; known without a system call. */
void fd_start(void);
pid_t fd_process(void);

#endif
