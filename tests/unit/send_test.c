/* SPDX-License-Identifier: MIT */
/* A rule's chunk=: what the program writes at once goes out in pieces, and the program can't tell. */
#include "emulated.h"
#include "socket/stream.h"
#include "state/fd.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum { CHUNK = 4096, WHOLE = 100001 };

static struct libc real;
static int writes;
static size_t largest;

static size_t size_of(const struct msghdr *message)
{
	size_t size = 0;
	for (size_t i = 0; i < (size_t)message->msg_iovlen; i++)
		size += message->msg_iov[i].iov_len;
	return size;
}

static void note(size_t size)
{
	writes++;
	largest = size > largest ? size : largest;
}

static ssize_t noted_send(int fd, const void *data, size_t size, int flags)
{
	note(size);
	return real.send(fd, data, size, flags);
}

static ssize_t noted_sendmsg(int fd, const struct msghdr *message, int flags)
{
	note(size_of(message));
	return real.sendmsg(fd, message, flags);
}

/* A connection by a rule: this end is a socket of ours, *far the other. */
static int connection(uint32_t chunk, int *far)
{
	static struct rule rule;
	int pair[2];
	rule = (struct rule){.side = SIDE_CONNECT, .chunk = chunk};
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	struct sock *sock = fd_make(pair[0], AF_INET);
	assert_non_null(sock);
	sock_lead(sock, &rule, &transport_unix);
	set_state(sock, STATE_CONNECTED);
	fd_enter(pair[0], sock);
	*far = pair[1];
	writes = 0;
	largest = 0;
	return pair[0];
}

struct reader {
	int fd;
	size_t size;
	char bytes[WHOLE + 1];
};

static void *read_all(void *context)
{
	struct reader *reader = context;
	ssize_t got;
	while ((got = real.recv(reader->fd, reader->bytes + reader->size, sizeof reader->bytes - reader->size,
			0)) > 0)
		reader->size += (size_t)got;
	return NULL;
}

static char text[WHOLE];

static void fill(void)
{
	for (size_t i = 0; i < WHOLE; i++)
		text[i] = (char)(i * 7 + i / 251);
}

static void close_both(int fd, int far)
{
	close(fd);
	close(far);
}

/* Whatever it is written with, in parts that begin and end anywhere. */
static void all_of_it_arrives_in_pieces(void **state)
{
	(void)state;
	static struct reader reader;
	struct iovec parts[40];
	fill();
	for (int way = 0; way < 3; way++) {
		int far, fd = connection(CHUNK, &far), count = 0;
		size_t at = 0;
		pthread_t thread;
		for (; at < WHOLE && count < 39; at += parts[count++].iov_len)
			parts[count] =
				(struct iovec){text + at, count % 5 == 3 ? 0 : (size_t)count * 131 % 5000};
		parts[count++] = (struct iovec){text + at, WHOLE - at};
		reader = (struct reader){.fd = far};
		assert_int_equal(pthread_create(&thread, NULL, read_all, &reader), 0);
		errno = 77;
		ssize_t sent = way == 0	  ? send(fd, text, WHOLE, 0)
			       : way == 1 ? write(fd, text, WHOLE)
					  : writev(fd, parts, count);
		assert_int_equal(sent, WHOLE);
		assert_int_equal(errno, 77);
		close(fd);
		pthread_join(thread, NULL);
		close(far);
		assert_int_equal(reader.size, WHOLE);
		assert_memory_equal(reader.bytes, text, WHOLE);
		assert_true(largest <= CHUNK);
		assert_true(writes >= WHOLE / CHUNK);
	}
}

static void a_full_buffer_takes_what_it_has_room_for(void **state)
{
	(void)state;
	static char big[4 << 20], got[64 << 10];
	int far, fd = connection(CHUNK, &far);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	errno = 77;
	ssize_t sent = send(fd, big, sizeof big, 0), all = 0, part;
	assert_true(sent > CHUNK && sent < (ssize_t)sizeof big);
	assert_int_equal(errno, 77);
	assert_int_equal(send(fd, big, sizeof big, 0), -1);
	assert_int_equal(errno, EAGAIN);
	while ((part = real.recv(far, got, sizeof got, MSG_DONTWAIT)) > 0)
		all += part;
	assert_int_equal(all, sent);
	assert_int_equal(send(fd, "", 0, 0), 0);
	close_both(fd, far);
}

/* It is blocked: a handler would do no harm, except to qemu-user's threads on i386. */
static bool pipe_came(void)
{
	sigset_t waiting;
	sigpending(&waiting);
	return sigismember(&waiting, SIGPIPE);
}

static void *close_after_some(void *context)
{
	static char some[3 * CHUNK];
	int fd = *(int *)context;
	ssize_t got = real.recv(fd, some, sizeof some, MSG_WAITALL);
	(void)got;
	close(fd);
	return NULL;
}

/* What had gone out counts, and the signal comes with the next write only, as TCP has it. */
static void a_peer_that_closes_in_the_middle_is_no_signal(void **state)
{
	(void)state;
	static char big[8 << 20];
	int far, fd = connection(CHUNK, &far);
	pthread_t thread;
	sigset_t blocked;
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGPIPE);
	sigprocmask(SIG_BLOCK, &blocked, NULL);
	assert_int_equal(pthread_create(&thread, NULL, close_after_some, &far), 0);
	ssize_t sent = send(fd, big, sizeof big, 0);
	pthread_join(thread, NULL);
	assert_true(sent >= 3 * CHUNK);
	assert_false(pipe_came());
	while (send(fd, big, 1, 0) == 1)
		;
	assert_int_equal(errno, EPIPE);
	assert_true(pipe_came());
	signal(SIGPIPE, SIG_IGN); /* which takes it away */
	sigprocmask(SIG_UNBLOCK, &blocked, NULL);
	signal(SIGPIPE, SIG_DFL);
	close(fd);
}

static void without_a_limit_it_is_one_write(void **state)
{
	(void)state;
	int far, fd = connection(0, &far);
	assert_int_equal(send(fd, text, 3 * CHUNK, 0), 3 * CHUNK);
	assert_int_equal(writes, 1);
	assert_int_equal(largest, 3 * CHUNK);
	close_both(fd, far);
}

static int resets; /* so many more calls fail with it */

static ssize_t reset_send(int fd, const void *data, size_t size, int flags)
{
	note(size);
	if (resets-- <= 0)
		return real.send(fd, data, size, flags);
	errno = ECONNRESET;
	return -1;
}

/* It may have been sent to a stand-in, which is hung up when the connection is put in its place: then again,
 * and once; otherwise it is the peer's. */
static void a_reset_is_tried_again_only_where_a_stand_in_was(void **state)
{
	(void)state;
	for (int stood_in = 0; stood_in < 2; stood_in++) {
		int far, fd = connection(0, &far);
		fd_sock(fd)->stood_in = stood_in;
		libc.send = reset_send;
		resets = 1;
		errno = 77;
		ssize_t sent = send(fd, text, CHUNK, 0);
		libc.send = noted_send;
		assert_int_equal(sent, stood_in ? CHUNK : -1);
		assert_int_equal(errno, stood_in ? 77 : ECONNRESET);
		assert_int_equal(writes, stood_in ? 2 : 1);
		close_both(fd, far);
	}
}

static int note_what_is_sent(void **state)
{
	(void)state;
	libc_start();
	fd_start();
	real = libc;
	libc.send = noted_send;
	libc.sendmsg = noted_sendmsg;
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_of_it_arrives_in_pieces),
		cmocka_unit_test(a_full_buffer_takes_what_it_has_room_for),
		cmocka_unit_test(a_peer_that_closes_in_the_middle_is_no_signal),
		cmocka_unit_test(without_a_limit_it_is_one_write),
		cmocka_unit_test(a_reset_is_tried_again_only_where_a_stand_in_was),
	};
	return cmocka_run_group_tests(tests, note_what_is_sent, NULL);
}
