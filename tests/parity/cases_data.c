/* SPDX-License-Identifier: MIT */
/* Data: flags of send and recv, half-close, signals, the end of a connection, large and small amounts. */
#include "parity.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

static long do_sendmsg(
	const char *name, int fd, const char *a, const char *b, const struct addr *to, int flags)
{
	struct iovec parts[2] = {{(char *)a, strlen(a)}, {(char *)b, strlen(b)}};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
	struct addr copy;
	if (to) {
		copy = *to;
		message.msg_name = &copy.storage;
		message.msg_namelen = copy.length;
	}
	begin("sendmsg(%s, \"%s\" \"%s\"%s%s)", name, a, b, to ? ", " : "", to ? addr_text(to) : "");
	return finish(sendmsg(fd, &message, flags));
}
#define SENDMSG(fd, a, b, to, flags) do_sendmsg(#fd, fd, a, b, to, flags)

static long do_recvmsg(const char *name, int fd, size_t first, size_t second, int flags)
{
	char a[64] = "", b[64] = "";
	char control[64];
	struct sockaddr_storage from;
	memset(&from, 0xa5, sizeof(from));
	struct iovec parts[2] = {{a, first}, {b, second}};
	struct msghdr message = {.msg_iov = parts,
		.msg_iovlen = 2,
		.msg_name = &from,
		.msg_namelen = sizeof(from),
		.msg_control = control,
		.msg_controllen = sizeof(control),
		.msg_flags = -1};
	begin("recvmsg(%s, %zu + %zu)", name, first, second);
	ssize_t got = recvmsg(fd, &message, flags);
	if (got >= 0)
		finish_note(" %s%s%s, flags %x, name of %d, control of %d", bytes_text(a, strnlen(a, first)),
			second ? " " : "", second ? bytes_text(b, strnlen(b, second)) : "", message.msg_flags,
			(int)message.msg_namelen, (int)message.msg_controllen);
	return finish(got);
}
#define RECVMSG(fd, first, second, flags) do_recvmsg(#fd, fd, first, second, flags)

CASE_EACH(data_send_recv, "bytes go both ways with send, recv, write and read")
{
	struct pair p = pair();
	SEND(p.client, "question", 0);
	RECV(p.server, 100, 0);
	WRITE(p.server, "answer");
	READ(p.client, 100);
}

CASE(data_stream, "it is a stream: writes join, reads split")
{
	struct pair p = pair();
	SEND(p.client, "one", 0);
	SEND(p.client, "two", 0);
	SEND(p.client, "three", 0);
	settle();
	RECV(p.server, 4, 0);
	RECV(p.server, 100, MSG_WAITALL | MSG_DONTWAIT);
}

CASE(data_vectors, "writev and readv, sendmsg and recvmsg")
{
	struct pair p = pair();
	char a[3], b[20];
	struct iovec out[] = {{"abc", 3}, {"", 0}, {"defgh", 5}}, in[] = {{a, 3}, {b, 20}};
	begin("writev");
	finish(writev(p.client, out, 3));
	begin("readv");
	long got = finish(readv(p.server, in, 2));
	record("%s %s", bytes_text(a, 3), bytes_text(b, got - 3));
	SENDMSG(p.client, "first", "second", NULL, 0);
	RECVMSG(p.server, 4, 30, 0);
}

CASE(data_zero_length, "a send of nothing is 0 and arrives as nothing, a recv of nothing is 0")
{
	struct pair p = pair();
	SEND(p.client, "", 0);
	WRITE(p.client, "");
	POLL(p.server);
	SEND(p.client, "x", 0);
	RECV(p.server, 0, 0);
	RECV(p.server, 10, 0);
	begin("recv(p.server, 0, MSG_DONTWAIT), nothing there");
	finish(recv(p.server, NULL, 0, MSG_DONTWAIT));
	begin("read(p.server, NULL, 0)");
	finish(read(p.server, NULL, 0));

	struct iovec parts[] = {{"a", 1}, {"b", 0}, {"c", 1}};
	struct mmsghdr messages[3] = {0};
	for (int i = 0; i < 3; i++)
		messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
	begin("sendmmsg of 1, 0 and 1 bytes");
	finish(sendmmsg(p.client, messages, 3, 0));
	settle();
	RECV(p.server, 10, 0);
}

CASE(data_bad_buffers, "a buffer that can't be read or written is EFAULT, and nothing is lost")
{
	struct pair p = pair();
	begin("send(an unmapped page)");
	finish(send(p.client, (void *)4096, 10, 0));
	SEND(p.client, "kept", 0);
	settle();
	begin("recv(an unmapped page)");
	finish(recv(p.server, (void *)4096, 10, 0));
	RECV(p.server, 10, 0);
}

static void send_nowhere(int fd, void *nowhere, int flags)
{
	struct iovec part = {"lost", 4};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	begin("sendmsg(nowhere, %x)", flags);
	finish(sendmsg(fd, nowhere, flags));
	begin("sendmmsg(nowhere, %x)", flags);
	finish(sendmmsg(fd, nowhere, 1, flags));
	begin("sendmmsg(nowhere, %x), none", flags);
	finish(sendmmsg(fd, nowhere, 0, flags));
	message.msg_iov = nowhere;
	begin("sendmsg(parts nowhere, %x)", flags);
	finish(sendmsg(fd, &message, flags));
	struct mmsghdr one = {.msg_hdr = message};
	begin("sendmmsg(parts nowhere, %x)", flags);
	finish(sendmmsg(fd, &one, 1, flags));
	message.msg_iov = &part;
	if (!nowhere)
		return;
	message.msg_name = nowhere;
	message.msg_namelen = 16;
	begin("sendto(nowhere, %x)", flags);
	finish(sendto(fd, "lost", 4, flags, nowhere, 16));
	begin("sendmsg(name nowhere, %x)", flags);
	finish(sendmsg(fd, &message, flags));
	message.msg_name = NULL;
	message.msg_control = nowhere;
	message.msg_controllen = CMSG_SPACE(4);
	begin("sendmsg(control nowhere, %x)", flags);
	finish(sendmsg(fd, &message, flags));
}

static void receive_nowhere(int fd, void *nowhere, int flags)
{
	struct sockaddr_in name;
	struct msghdr message = {
		.msg_name = &name, .msg_namelen = sizeof name, .msg_iov = nowhere, .msg_iovlen = 1};
	begin("recvmsg(nowhere, %x)", flags);
	finish(recvmsg(fd, nowhere, flags));
	begin("recvmmsg(nowhere, %x)", flags);
	finish(recvmmsg(fd, nowhere, 1, flags, NULL));
	begin("recvmsg(parts nowhere, %x)", flags);
	finish(recvmsg(fd, &message, flags));
}

CASE(data_bad_messages, "a message where no program has memory is EFAULT, not a crash, and nothing is lost")
{
	void *const nowhere[] = {NULL, (void *)4096, (void *)-1};
	struct pair p = pair();
	int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	SEND(p.client, "kept", 0);
	settle();
	for (int i = 0; i < 3; i++) {
		send_nowhere(p.client, nowhere[i], 0);
		send_nowhere(p.client, nowhere[i], MSG_NOSIGNAL);
		send_nowhere(udp, nowhere[i], 0);
		receive_nowhere(p.server, nowhere[i], MSG_DONTWAIT);
		receive_nowhere(p.server, nowhere[i], MSG_WAITALL);
		receive_nowhere(p.server, nowhere[i], MSG_TRUNC);
	}
	RECV(p.server, 100, 0);
	settle();
	RECV(p.server, 100, MSG_DONTWAIT);
	for (int i = 0; i < 3; i++) {
		char byte;
		struct sockaddr_in from;
		SEND(p.client, "y", 0);
		settle();
		begin("recvfrom(length nowhere)");
		finish(recvfrom(p.server, &byte, 1, MSG_DONTWAIT, (struct sockaddr *)&from, nowhere[i]));
		begin("getsockname(length nowhere)");
		finish(getsockname(p.client, (struct sockaddr *)&from, nowhere[i]));
		begin("getpeername(length nowhere)");
		finish(getpeername(p.client, (struct sockaddr *)&from, nowhere[i]));
		begin("writev(parts nowhere)");
		finish(writev(p.client, nowhere[i], 2));
	}
}

CASE(data_address_of_no_length, "an address of no length may be anywhere")
{
	void *const nowhere[] = {(void *)4096, (void *)-1};
	struct pair p = pair();
	for (int i = 0; i < 2; i++) {
		struct iovec part = {"x", 1};
		struct msghdr message = {.msg_name = nowhere[i], .msg_iov = &part, .msg_iovlen = 1};
		begin("sendto(nowhere, of length 0)");
		finish(sendto(p.client, "x", 1, 0, nowhere[i], 0));
		begin("sendmsg(name nowhere, of length 0)");
		finish(sendmsg(p.client, &message, 0));
	}
	settle();
	RECV(p.server, 100, 0);
}

CASE(data_recv_null_trunc, "recv(NULL, n, MSG_TRUNC) throws n bytes away")
{
	struct pair p = pair();
	SEND(p.client, "discard me, keep me", 0);
	settle();
	begin("recv(p.server, NULL, 12, MSG_TRUNC)");
	finish(recv(p.server, NULL, 12, MSG_TRUNC));
	RECV(p.server, 100, 0);
}

CASE(data_recv_null_trunc_large, "recv(NULL, 100000, MSG_TRUNC | MSG_WAITALL) throws that away")
{
	struct pair p = pair();
	pid_t pid = child();
	if (!pid) {
		send_all(p.client, 100000);
		SEND(p.client, "tail", 0);
		done();
	}
	wait_for(pid);
	begin("recv(p.server, NULL, 100000, MSG_TRUNC | MSG_WAITALL)");
	finish(recv(p.server, NULL, 100000, MSG_TRUNC | MSG_WAITALL));
	RECV(p.server, 100, 0);
}

CASE(data_trunc_buffer, "MSG_TRUNC with a buffer counts bytes and leaves the buffer alone")
{
	struct pair p = pair();
	SEND(p.client, "abcdef", 0);
	settle();
	char data[8] = "-------";
	begin("recv(p.server, 4, MSG_TRUNC)");
	finish(recv(p.server, data, 4, MSG_TRUNC));
	record("%s", data);
	RECV(p.server, 10, 0);
}

CASE(data_recv_empty, "recv on an empty connection: EAGAIN by MSG_DONTWAIT and by O_NONBLOCK")
{
	struct pair p = pair();
	RECV(p.server, 1, MSG_DONTWAIT);
	nonblocking(p.server);
	RECV(p.server, 1, 0);
	READ(p.server, 1);
	RECV(p.server, 1, MSG_PEEK);
}

CASE(data_unconnected, "send and recv on a fresh socket: EPIPE with SIGPIPE, ENOTCONN")
{
	int c = tcp();
	SEND(c, "x", 0);
	SEND(c, "x", MSG_NOSIGNAL);
	RECV(c, 1, 0);
	WRITE(c, "x");
	READ(c, 1);
	BIND(c, loopback(0));
	SEND(c, "x", MSG_NOSIGNAL);
	RECV(c, 1, 0);
}

CASE(data_peek, "MSG_PEEK leaves the bytes where they are")
{
	struct pair p = pair();
	SEND(p.client, "peek at me", 0);
	settle();
	RECV(p.server, 4, MSG_PEEK);
	RECV(p.server, 100, MSG_PEEK);
	RECV(p.server, 100, 0);
	CLOSE(p.client);
	settle();
	RECV(p.server, 1, MSG_PEEK);
}

CASE(data_peek_pieces, "MSG_PEEK sees over the boundaries of what was sent")
{
	struct pair p = pair();
	SEND(p.client, "first", 0);
	SEND(p.client, "second", 0);
	settle();
	RECV(p.server, 100, MSG_PEEK);
	RECV(p.server, 100, 0);
}

static void send_two_later(int fd)
{
	send(fd, "56", 2, MSG_NOSIGNAL);
}

CASE(data_waitall, "MSG_WAITALL waits for all that was asked")
{
	struct pair p = pair();
	SEND(p.client, "1234", 0);
	clock_start();
	after(100, send_two_later, p.client);
	RECV(p.server, 6, MSG_WAITALL);
	TOOK(100);
}

CASE(data_waitall_ended, "MSG_WAITALL gives what came when the peer ends")
{
	struct pair p = pair();
	SEND(p.client, "1234", 0);
	CLOSE(p.client);
	RECV(p.server, 6, MSG_WAITALL);
	RECV(p.server, 6, MSG_WAITALL);
}

CASE(data_waitall_large, "MSG_WAITALL for more than any buffer holds")
{
	struct pair p = pair();
	size_t size = 8 << 20;
	char *data = malloc(size);
	pid_t pid = child();
	if (!pid) {
		send_all(p.client, size);
		done();
	}
	begin("recv(p.server, 8 MiB, MSG_WAITALL)");
	long got = finish(recv(p.server, data, size, MSG_WAITALL));
	VALUE(got > 0 ? (long)pattern_check(data, got, 0) : -1L);
	wait_for(pid);
}

CASE(data_waitall_peek, "MSG_PEEK with MSG_WAITALL waits for all that was asked")
{
	struct pair p = pair();
	SEND(p.client, "1234", 0);
	after(100, send_two_later, p.client);
	RECV(p.server, 6, MSG_PEEK | MSG_WAITALL);
	RECV(p.server, 6, MSG_WAITALL);
}

CASE(data_waitall_timeout, "SO_RCVTIMEO ends MSG_WAITALL with what came")
{
	struct pair p = pair();
	struct timeval limit = {0, 200000};
	SETSOCKOPT_DATA(p.server, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	SEND(p.client, "12", 0);
	clock_start();
	RECV(p.server, 6, MSG_WAITALL);
	TOOK(200);
}

CASE(data_waitall_interrupted, "a signal ends MSG_WAITALL with what came, SA_RESTART or not")
{
	struct pair p = pair();
	SEND(p.client, "12", 0);
	settle();
	after_signal(100, SIGUSR2);
	RECV(p.server, 6, MSG_WAITALL);
	after_signal(100, SIGUSR1);
	RECV(p.server, 6, MSG_WAITALL);
}

CASE(data_out_of_band, "MSG_OOB sends a byte that recv(MSG_OOB) gets, with SIGURG")
{
	struct pair p = pair();
	FCNTL(p.server, F_SETOWN, getpid());
	SEND(p.client, "ab!", MSG_OOB);
	POLL(p.server);
	VALUE(signals_seen(SIGURG));
	RECV(p.server, 10, 0);
	RECV(p.server, 1, MSG_OOB);
}

CASE(data_out_of_band_none, "recv(MSG_OOB) with nothing urgent is EINVAL")
{
	struct pair p = pair();
	RECV(p.server, 1, MSG_OOB);
	SEND(p.client, "x", 0);
	settle();
	RECV(p.server, 1, MSG_OOB);
	RECV(p.server, 1, 0);
}

CASE(data_error_queue, "recv(MSG_ERRQUEUE) with nothing there is EAGAIN, and doesn't wait")
{
	struct pair p = pair();
	char data[16];
	struct iovec part = {data, sizeof(data)};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	begin("recvmsg(p.server, MSG_ERRQUEUE)");
	finish(recvmsg(p.server, &message, MSG_ERRQUEUE));
	SETSOCKOPT(p.client, IPPROTO_IP, IP_RECVERR, 1);
	begin("recvmsg(p.client, MSG_ERRQUEUE)");
	finish(recvmsg(p.client, &message, MSG_ERRQUEUE));
}

CASE(data_send_flags, "flags that change nothing: MSG_MORE, MSG_EOR, MSG_CONFIRM, MSG_DONTROUTE")
{
	struct pair p = pair();
	SEND(p.client, "more ", MSG_MORE);
	SEND(p.client, "record ", MSG_EOR);
	SEND(p.client, "confirm ", MSG_CONFIRM);
	SEND(p.client, "route", MSG_DONTROUTE);
	RECV(p.server, 25, MSG_WAITALL);
	SEND(p.client, "x", MSG_NOSIGNAL | MSG_DONTWAIT);
	RECV(p.server, 1, MSG_CMSG_CLOEXEC);
}

CASE(data_zerocopy, "MSG_ZEROCOPY with SO_ZEROCOPY: the bytes go, and a notification comes")
{
	struct pair p = pair();
	SEND(p.client, "plain", MSG_ZEROCOPY);
	SETSOCKOPT(p.client, SOL_SOCKET, SO_ZEROCOPY, 1);
	SEND(p.client, "zero", MSG_ZEROCOPY);
	RECV(p.server, 9, MSG_WAITALL);
	char control[128];
	struct msghdr message = {.msg_control = control, .msg_controllen = sizeof(control)};
	settle();
	begin("recvmsg(p.client, MSG_ERRQUEUE)");
	finish(recvmsg(p.client, &message, MSG_ERRQUEUE));
}

CASE_EACH(data_sendto_connected, "an address given to sendto on a connection is ignored")
{
	struct pair p = pair();
	SENDTO(p.client, "x", 0, address_of(p.listener));
	SENDTO(p.client, "y", 0, nobody());
	struct addr wrong = {.storage.ss_family = AF_UNIX, .length = 3};
	SENDTO(p.client, "z", 0, wrong);
	struct addr to = nobody();
	SENDMSG(p.client, "m", "n", &to, 0);
	RECV(p.server, 5, MSG_WAITALL);
	SENDTO(p.server, "back", 0, to);
	RECV(p.client, 10, 0);
}

CASE(data_sendto_unconnected, "sendto with an address doesn't connect: EPIPE")
{
	int s = listener(), c = tcp();
	SENDTO(c, "x", 0, address_of(s));
	SENDTO(c, "x", MSG_NOSIGNAL, nobody());
	GETPEERNAME(c);
	struct addr to = address_of(s);
	SENDMSG(c, "a", "b", &to, MSG_NOSIGNAL);
}

CASE(data_recvfrom_address, "recvfrom on a connection returns no address: length 0")
{
	struct pair p = pair();
	struct sockaddr_storage from;
	socklen_t length = sizeof(from);
	memset(&from, 0xa5, sizeof(from));
	char data[16];
	SEND(p.client, "hello", 0);
	begin("recvfrom");
	finish(recvfrom(p.server, data, sizeof(data), 0, (void *)&from, &length));
	VALUE(length);
	VALUE(((unsigned char *)&from)[0] == 0xa5);
	SEND(p.server, "hello", 0);
	length = sizeof(from);
	begin("recvfrom");
	finish(recvfrom(p.client, data, sizeof(data), 0, (void *)&from, &length));
	VALUE(length);
	SENDMSG(p.client, "via", "msg", NULL, 0);
	RECVMSG(p.server, 10, 0, 0);
}

CASE_EACH(data_fastopen, "MSG_FASTOPEN connects and sends in one call")
{
	int s = listener(), c = tcp();
	SENDTO(c, "early", MSG_FASTOPEN, address_of(s));
	GETPEERNAME(c);
	int a = ACCEPT(s);
	RECV(a, 10, 0);
	CARRIES(c, a);
	SENDTO(c, "again", MSG_FASTOPEN, address_of(s));
}

CASE(data_fastopen_refused, "MSG_FASTOPEN to where nobody listens is ECONNREFUSED")
{
	int c = tcp();
	SENDTO(c, "early", MSG_FASTOPEN, nobody());
	GETSOCKOPT(c, SOL_SOCKET, SO_ERROR);
	int d = tcp();
	begin("send(d, MSG_FASTOPEN), no address");
	finish(send(d, "x", 1, MSG_FASTOPEN));
}

CASE(data_fastopen_nonblocking,
	"MSG_FASTOPEN on a non-blocking socket: EINPROGRESS, and the data is not lost")
{
	int s = listener(), c = tcp();
	nonblocking(c);
	SENDTO(c, "early", MSG_FASTOPEN, address_of(s));
	POLL_WAIT(c, POLLOUT);
	GETSOCKOPT(c, SOL_SOCKET, SO_ERROR);
	GETPEERNAME(c);
	int a = ACCEPT(s);
	SEND(c, "later", 0);
	settle();
	RECV(a, 10, MSG_DONTWAIT);
}

CASE(data_fastopen_message, "sendmsg with MSG_FASTOPEN")
{
	int s = listener(), c = tcp();
	struct addr to = address_of(s);
	SENDMSG(c, "ear", "ly", &to, MSG_FASTOPEN);
	int a = ACCEPT(s);
	RECV(a, 10, 0);
}

CASE(data_fastopen_connect, "TCP_FASTOPEN_CONNECT: connect is 0 at once, the first write carries on")
{
	int s = listener(), c = tcp();
	SETSOCKOPT(c, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1);
	CONNECT(c, address_of(s));
	SEND(c, "hello", 0);
	int a = ACCEPT(s);
	RECV(a, 10, 0);
	GETSOCKOPT(c, IPPROTO_TCP, TCP_FASTOPEN_CONNECT);
	GETPEERNAME(c);
}

CASE(data_while_connecting,
	"send and recv while a non-blocking connect is under way or just done: EAGAIN, or it works")
{
	int s = listener(), c = tcp();
	nonblocking(c);
	CONNECT(c, address_of(s));
	POLL_WAIT(c, POLLOUT);
	RECV(c, 1, 0);
	SEND(c, "x", 0);
	int a = accept_from(s);
	RECV(a, 1, 0);
}

CASE(data_right_after_connect,
	"recv right after a non-blocking connect says EAGAIN, send goes or says EAGAIN")
{
	int s = listener(), c = tcp();
	char byte;
	nonblocking(c);
	CONNECT(c, address_of(s));
	begin("recv(c, 1)");
	finish(recv(c, &byte, 1, 0));
	ssize_t sent = send(c, "x", 1, 0);
	VALUE(sent == 1 || errno == EAGAIN);
}

/* Half-close */

CASE_EACH(shutdown_write, "after SHUT_WR the peer reads the rest and the end, and can still answer")
{
	struct pair p = pair();
	SEND(p.client, "request", 0);
	SHUTDOWN(p.client, SHUT_WR);
	RECV(p.server, 100, 0);
	RECV(p.server, 100, 0);
	SEND(p.server, "response", 0);
	RECV(p.client, 100, 0);
	SEND(p.client, "x", 0);
	CLOSE(p.server);
	RECV(p.client, 100, 0);
}

CASE(shutdown_read_local, "SHUT_RD is local: what is queued is read, then what still comes")
{
	struct pair p = pair();
	SEND(p.server, "queued", 0);
	POLL_WAIT(p.client, POLLIN);
	SHUTDOWN(p.client, SHUT_RD);
	RECV(p.client, 100, 0);
	RECV(p.client, 100, 0);
}

CASE(shutdown_read_peer_sends, "after SHUT_RD the peer can send on without an error")
{
	struct pair p = pair();
	SHUTDOWN(p.client, SHUT_RD);
	SEND(p.server, "late", 0);
	settle();
	SEND(p.server, "later", 0);
	settle();
	RECV(p.client, 100, 0);
	RECV(p.client, 100, 0);
	SEND(p.client, "and back", 0);
	RECV(p.server, 100, 0);
}

CASE(shutdown_read_then_write, "SHUT_RD, then SHUT_WR: the peer sees the end")
{
	struct pair p = pair();
	SHUTDOWN(p.client, SHUT_RD);
	SHUTDOWN(p.client, SHUT_WR);
	RECV(p.server, 1, 0);
	SEND(p.client, "x", MSG_NOSIGNAL);
	RECV(p.client, 1, 0);
}

CASE(shutdown_both, "SHUT_RDWR: EPIPE here, the end there")
{
	struct pair p = pair();
	SHUTDOWN(p.client, SHUT_RDWR);
	SEND(p.client, "x", 0);
	RECV(p.client, 1, 0);
	RECV(p.server, 1, 0);
}

CASE(shutdown_again, "shutdown twice, and in both orders")
{
	struct pair p = pair();
	SHUTDOWN(p.client, SHUT_WR);
	SHUTDOWN(p.client, SHUT_WR);
	SHUTDOWN(p.client, SHUT_RD);
	SHUTDOWN(p.client, SHUT_RDWR);
	SHUTDOWN(p.server, SHUT_RDWR);
	SHUTDOWN(p.server, SHUT_RDWR);
	SHUTDOWN(p.client, SHUT_WR);
}

CASE(shutdown_unconnected, "shutdown of a fresh and of a bound socket is ENOTCONN")
{
	int c = tcp(), b = tcp();
	SHUTDOWN(c, SHUT_WR);
	SHUTDOWN(c, SHUT_RDWR);
	BIND(b, loopback(0));
	SHUTDOWN(b, SHUT_RD);
	int s = listener();
	CONNECT(c, address_of(s));
}

CASE(shutdown_bad_how, "shutdown with a how that there isn't is EINVAL")
{
	struct pair p = pair();
	int c = tcp();
	SHUTDOWN(p.client, 3);
	SHUTDOWN(p.client, -1);
	SHUTDOWN(c, 7);
	SHUTDOWN(p.listener, 5);
	CARRIES(p.client, p.server);
}

static void shutdown_receive(int fd)
{
	shutdown(fd, SHUT_RD);
}

static void shutdown_all(int fd)
{
	shutdown(fd, SHUT_RDWR);
}

CASE(shutdown_wakes_recv, "shutdown wakes the thread that sleeps in recv: 0")
{
	struct pair p = pair();
	after(100, shutdown_receive, p.client);
	RECV(p.client, 1, 0);
	after(100, shutdown_all, p.server);
	RECV(p.server, 1, 0);
}

CASE(shutdown_wakes_peer, "shutdown wakes the peer that sleeps in recv")
{
	struct pair p = pair();
	after(100, shutdown_all, p.client);
	RECV(p.server, 1, 0);
	struct pair q = pair();
	after(100, shutdown_all, q.client);
	do_poll("q.server", q.server, POLLRDHUP, 2000);
}

CASE(shutdown_by_dup, "shutdown through a dup ends the connection for both")
{
	struct pair p = pair();
	int d = DUP(p.client);
	SHUTDOWN(d, SHUT_WR);
	SEND(p.client, "x", MSG_NOSIGNAL);
	RECV(p.server, 1, 0);
}

CASE(shutdown_refused, "shutdown after a refused connect is ENOTCONN")
{
	int c = tcp();
	CONNECT(c, nobody());
	SHUTDOWN(c, SHUT_WR);
	nonblocking(c);
	CONNECT(c, nobody());
	POLL_WAIT(c, POLLOUT);
	SHUTDOWN(c, SHUT_RDWR);
}

CASE(shutdown_half_then_bulk, "a megabyte comes back over a half-closed connection")
{
	struct pair p = pair();
	SHUTDOWN(p.client, SHUT_WR);
	RECV(p.server, 1, 0);
	pid_t pid = child();
	if (!pid) {
		send_all(p.server, 1 << 20);
		done();
	}
	CLOSE(p.server);
	RECEIVE_ALL(p.client, 1 << 20);
	RECV(p.client, 1, 0);
	wait_for(pid);
}

/* The end of a connection */

CASE(end_close_with_data_sent, "what was sent before close arrives, then the end")
{
	struct pair p = pair();
	SEND(p.client, "last words", 0);
	CLOSE(p.client);
	RECV(p.server, 100, 0);
	RECV(p.server, 100, 0);
	RECV(p.server, 100, 0);
}

CASE(end_close_bulk, "a megabyte sent and closed at once arrives whole")
{
	struct pair p = pair();
	pid_t pid = child();
	if (!pid) {
		send_all(p.client, 1 << 20);
		done();
	}
	CLOSE(p.client);
	RECEIVE_ALL(p.server, 1 << 20);
	RECV(p.server, 1, 0);
	wait_for(pid);
}

/* As sshd's child does before anyone has logged in: reading and writing is allowed, other ways to send
 * aren't. */
static const struct sock_filter only_write[] = {
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sendto, 1, 0),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sendmsg, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EACCES),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};

static void write_under_filter(bool by_number)
{
	struct pair p = pair();
	struct sock_fprog filter = {sizeof only_write / sizeof *only_write, (void *)only_write};
	pid_t pid = child();
	if (!pid) {
		begin("seccomp");
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		finish(by_number ? syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter)
				 : prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter));
		WRITE(p.client, "written");
		done();
	}
	wait_for(pid);
	RECV(p.server, 10, MSG_DONTWAIT);
}

CASE(data_under_seccomp, "under a filter that allows write() and no other way to send, write() works")
{
	write_under_filter(false);
}

CASE(data_under_seccomp_by_syscall, "the same, with a filter set by syscall(SYS_seccomp)")
{
	write_under_filter(true);
}

CASE(end_write_to_closed, "a write to a peer that has closed succeeds once, then EPIPE and SIGPIPE")
{
	struct pair p = pair();
	CLOSE(p.server);
	settle();
	SEND(p.client, "first", 0);
	settle();
	SEND(p.client, "second", 0);
	SEND(p.client, "third", MSG_NOSIGNAL);
}

CASE(end_sigpipe, "the write that fails with EPIPE raises SIGPIPE: write, send and writev")
{
	struct pair p = pair();
	SHUTDOWN(p.client, SHUT_WR);
	WRITE(p.client, "x");
	SEND(p.client, "x", 0);
	struct iovec part = {"x", 1};
	begin("writev");
	finish(writev(p.client, &part, 1));
	SENDMSG(p.client, "x", "y", NULL, 0);
	SENDMSG(p.client, "x", "y", NULL, MSG_NOSIGNAL);
}

CASE(end_sigpipe_kills, "SIGPIPE, where nobody handles it, kills")
{
	struct pair p = pair();
	pid_t pid = child();
	if (!pid) {
		signal(SIGPIPE, SIG_DFL);
		shutdown(p.client, SHUT_WR);
		SEND(p.client, "x", 0);
		done();
	}
	wait_for(pid);
	pid = child();
	if (!pid) {
		signal(SIGPIPE, SIG_IGN);
		SEND(p.client, "x", 0);
		done();
	}
	wait_for(pid);
}

CASE(end_closed_with_unread_data, "a close with unread data resets: ECONNRESET at the peer")
{
	struct pair p = pair();
	SEND(p.client, "nobody reads this", 0);
	settle();
	CLOSE(p.server);
	settle();
	RECV(p.client, 1, MSG_DONTWAIT);
	RECV(p.client, 1, MSG_DONTWAIT);
	SEND(p.client, "x", MSG_NOSIGNAL);
}

CASE(end_linger_zero, "SO_LINGER with time 0 resets: ECONNRESET at the peer")
{
	struct pair p = pair();
	struct linger none = {1, 0};
	SEND(p.client, "lost", 0);
	settle();
	SETSOCKOPT_DATA(p.client, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
	CLOSE(p.client);
	settle();
	GETSOCKOPT(p.server, SOL_SOCKET, SO_ERROR);
	RECV(p.server, 10, MSG_DONTWAIT);
}

CASE(end_linger, "SO_LINGER with a time: close returns at once when all was acknowledged")
{
	struct pair p = pair();
	struct linger two = {1, 2};
	SETSOCKOPT_DATA(p.client, SOL_SOCKET, SO_LINGER, &two, sizeof(two));
	SEND(p.client, "x", 0);
	clock_start();
	CLOSE(p.client);
	TOOK(0);
	RECV(p.server, 10, 0);
	RECV(p.server, 10, 0);
}

CASE(end_linger_set_before_connect, "SO_LINGER set before connect holds for the connection")
{
	int s = listener(), c = tcp();
	struct linger two = {1, 2};
	SETSOCKOPT_DATA(c, SOL_SOCKET, SO_LINGER, &two, sizeof(two));
	CONNECT(c, address_of(s));
	GETSOCKOPT_SIZE(c, SOL_SOCKET, SO_LINGER, sizeof(two));
	int a = accept_from(s);
	clock_start();
	CLOSE(c);
	TOOK(0);
	RECV(a, 1, 0);
}

CASE(end_peer_killed, "the peer's process is killed: the connection ends")
{
	int s = listener();
	pid_t pid = child();
	if (!pid) {
		int c = tcp();
		connect_to(c, address_of(s));
		send(c, "alive", 5, 0);
		pause();
		done();
	}
	int a = accept_from(s);
	RECV(a, 10, 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	RECV(a, 10, 0);
}

CASE(end_so_error_clean, "SO_ERROR is 0 through the life of a connection that ends well")
{
	struct pair p = pair();
	GETSOCKOPT(p.client, SOL_SOCKET, SO_ERROR);
	SHUTDOWN(p.client, SHUT_WR);
	RECV(p.server, 1, 0);
	GETSOCKOPT(p.server, SOL_SOCKET, SO_ERROR);
	CLOSE(p.server);
	RECV(p.client, 1, 0);
	GETSOCKOPT(p.client, SOL_SOCKET, SO_ERROR);
	GETSOCKOPT(p.client, SOL_SOCKET, SO_ERROR);
}

/* Amounts */

CASE_EACH(bulk_one_way, "eight megabytes arrive whole")
{
	struct pair p = pair();
	pid_t pid = child();
	if (!pid) {
		send_all(p.client, 8 << 20);
		done();
	}
	RECEIVE_ALL(p.server, 8 << 20);
	wait_for(pid);
}

CASE(bulk_both_ways, "four megabytes each way at once")
{
	struct pair p = pair();
	pid_t a = child();
	if (!a) {
		send_all(p.client, 4 << 20);
		done();
	}
	pid_t b = child();
	if (!b) {
		send_all(p.server, 4 << 20);
		done();
	}
	RECEIVE_ALL(p.server, 4 << 20);
	RECEIVE_ALL(p.client, 4 << 20);
	wait_for(a);
	wait_for(b);
}

CASE(bulk_tiny_messages, "twenty thousand messages of one byte")
{
	struct pair p = pair();
	SETSOCKOPT(p.client, IPPROTO_TCP, TCP_NODELAY, 1);
	pid_t pid = child();
	if (!pid) {
		for (uint64_t i = 0; i < 20000; i++) {
			char byte;
			pattern_fill(&byte, 1, i);
			if (send(p.client, &byte, 1, MSG_NOSIGNAL) != 1) {
				record("byte %llu: %s", (unsigned long long)i, error_name(errno));
				break;
			}
		}
		done();
	}
	RECEIVE_ALL(p.server, 20000);
	wait_for(pid);
}

CASE(bulk_fill_and_drain, "a non-blocking sender fills to EAGAIN, and all that went in comes out")
{
	struct pair p = pair();
	static char data[10000];
	uint64_t sent = 0;
	nonblocking(p.client);
	for (;;) {
		pattern_fill(data, sizeof(data), sent);
		ssize_t now = send(p.client, data, sizeof(data), 0);
		if (now < 0)
			break;
		sent += now;
	}
	record("send: %s", error_name(errno));
	VALUE(sent >= 65536);
	SHUTDOWN(p.client, SHUT_WR);
	uint64_t got = 0, wrong = 0;
	ssize_t now;
	while ((now = recv(p.server, data, sizeof(data), 0)) > 0) {
		wrong += pattern_check(data, now, got);
		got += now;
	}
	VALUE(got == sent);
	VALUE(wrong);
}

CASE(bulk_window, "a sender can run 300 KB ahead of a peer that doesn't read")
{
	struct pair p = pair();
	static char data[300000];
	nonblocking(p.client);
	uint64_t sent = 0;
	for (int tries = 0; tries < 100 && sent < sizeof(data); tries++) {
		ssize_t now = send(p.client, data + sent, sizeof(data) - sent, 0);
		if (now > 0)
			sent += now;
		else
			settle();
	}
	VALUE(sent);
}

CASE(bulk_sendfile, "sendfile from a file")
{
	struct pair p = pair();
	static char data[300000];
	int file = memfd_create("data", MFD_CLOEXEC);
	pattern_fill(data, sizeof(data), 0);
	if (write(file, data, sizeof(data)) != sizeof(data))
		give_up("write");
	pid_t pid = child();
	if (!pid) {
		off_t offset = 0;
		while (offset < (off_t)sizeof(data))
			if (sendfile(p.client, file, &offset, sizeof(data) - offset) <= 0) {
				record("sendfile: %s", error_name(errno));
				break;
			}
		done();
	}
	RECEIVE_ALL(p.server, sizeof(data));
	wait_for(pid);
}

CASE(bulk_splice, "splice from one connection to another through a pipe")
{
	struct pair p = pair(), q = pair();
	int ends[2];
	if (pipe(ends))
		give_up("pipe");
	SEND(p.client, "spliced", 0);
	settle();
	begin("splice(p.server, pipe)");
	finish(splice(p.server, NULL, ends[1], NULL, 100, 0));
	begin("splice(pipe, q.client)");
	finish(splice(ends[0], NULL, q.client, NULL, 7, 0));
	RECV(q.server, 10, 0);
}

CASE(bulk_mmsg, "sendmmsg and recvmmsg")
{
	struct pair p = pair();
	char data[16] = "";
	struct iovec out[2] = {{"abc", 3}, {"def", 3}}, in = {data, sizeof(data)};
	struct mmsghdr messages[2] = {{.msg_hdr = {.msg_iov = &out[0], .msg_iovlen = 1}},
		{.msg_hdr = {.msg_iov = &out[1], .msg_iovlen = 1}}};
	begin("sendmmsg");
	finish(sendmmsg(p.client, messages, 2, 0));
	settle();
	struct mmsghdr got = {.msg_hdr = {.msg_iov = &in, .msg_iovlen = 1}};
	begin("recvmmsg");
	finish(recvmmsg(p.server, &got, 1, MSG_WAITFORONE, NULL));
	VALUE(got.msg_len);
	record("%s", data);
}

CASE(bulk_buffers_before_connect, "large SO_SNDBUF and SO_RCVBUF set before connect and listen")
{
	int s = tcp(), c = tcp();
	SETSOCKOPT(s, SOL_SOCKET, SO_RCVBUF, 1 << 20);
	SETSOCKOPT(c, SOL_SOCKET, SO_SNDBUF, 1 << 20);
	BIND(s, loopback(0));
	LISTEN(s, 5);
	CONNECT(c, address_of(s));
	int a = ACCEPT(s);
	pid_t pid = child();
	if (!pid) {
		send_all(c, 3 << 20);
		done();
	}
	RECEIVE_ALL(a, 3 << 20);
	wait_for(pid);
}

/* Signals */

static void send_two_after_signal(int fd)
{
	for (int i = 0; i < 200 && !signals_seen(SIGUSR2); i++)
		pause_ms(10);
	pause_ms(50);
	send_two_later(fd);
}

CASE(signal_recv_interrupted, "a signal without SA_RESTART ends recv with EINTR, one with it doesn't")
{
	struct pair p = pair();
	after_signal(100, SIGUSR1);
	RECV(p.server, 1, 0);
	after_signal(50, SIGUSR2);
	after(50, send_two_after_signal, p.client);
	RECV(p.server, 2, 0);
	VALUE(signals_seen(SIGUSR2));
}

CASE(signal_send_interrupted, "a signal ends a send that waits for room")
{
	struct pair p = pair();
	static char data[1 << 20];
	nonblocking(p.client);
	for (int quiet = 0; quiet < 3; quiet++) { /* TCP's window goes on growing for a while */
		while (send(p.client, data, sizeof(data), 0) > 0 || send(p.client, data, 1, 0) > 0)
			quiet = 0;
		pause_ms(30);
	}
	FCNTL(p.client, F_SETFL, O_RDWR);
	after_signal(100, SIGUSR1);
	begin("send(p.client, one byte)");
	finish(send(p.client, data, 1, 0));
}

CASE(signal_sigio, "O_ASYNC and F_SETOWN bring SIGIO for data, set before connect and after")
{
	int s = listener(), c = tcp();
	FCNTL(c, F_SETOWN, getpid());
	FCNTL(c, F_SETFL, O_ASYNC);
	CONNECT(c, address_of(s));
	SHOW_FLAGS(c);
	int a = accept_from(s);
	settle();
	int before = signals_seen(SIGIO);
	SEND(a, "x", 0);
	settle();
	VALUE(signals_seen(SIGIO) > before);
	VALUE(fcntl(c, F_GETOWN) == getpid());
	RECV(c, 1, 0);
}

static volatile sig_atomic_t named_fd;

static void note_fd(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)context;
	named_fd = info->si_fd;
}

CASE(signal_names_the_fd, "F_SETSIG set before connect: the signal for data names the program's number")
{
	struct sigaction action = {.sa_sigaction = note_fd, .sa_flags = SA_SIGINFO | SA_RESTART};
	sigaction(SIGRTMIN + 3, &action, NULL);
	int s = listener(), c = tcp();
	FCNTL(c, F_SETOWN, getpid());
	FCNTL(c, F_SETSIG, SIGRTMIN + 3);
	FCNTL(c, F_SETFL, O_ASYNC);
	CONNECT(c, address_of(s));
	int a = accept_from(s);
	settle();
	named_fd = -1;
	SEND(a, "x", 0);
	settle();
	VALUE(named_fd == c);
	SHOW_FLAGS(c);
	RECV(c, 1, 0);
}

CASE(signal_own_after_bind, "F_SETOWN of a listener is kept")
{
	int s = tcp();
	FCNTL(s, F_SETOWN, getpid());
	FCNTL(s, F_SETSIG, SIGUSR2);
	BIND(s, loopback(0));
	LISTEN(s, 5);
	VALUE(fcntl(s, F_GETOWN) == getpid());
	VALUE(fcntl(s, F_GETSIG) == SIGUSR2);
	FCNTL(s, F_SETFL, O_ASYNC);
	sigset_t own;
	sigemptyset(&own);
	sigaddset(&own, SIGUSR2);
	sigprocmask(SIG_BLOCK, &own, NULL); /* it may come while the client still waits */
	connect_to(tcp(), address_of(s));
	sigprocmask(SIG_UNBLOCK, &own, NULL);
	settle();
	VALUE(signals_seen(SIGUSR2) > 0);
}

static void *cancelled_recv(void *fd)
{
	char byte;
	recv(*(int *)fd, &byte, 1, 0);
	return NULL;
}

static void *cancelled_accept(void *fd)
{
	accept(*(int *)fd, NULL, NULL);
	return NULL;
}

CASE(signal_thread_cancelled, "a thread asleep in recv or accept can be cancelled, and the socket works on")
{
	struct pair p = pair();
	pthread_t a, b;
	void *result;
	pthread_create(&a, NULL, cancelled_recv, &p.server);
	pthread_create(&b, NULL, cancelled_accept, &p.listener);
	pause_ms(50);
	pthread_cancel(a);
	pthread_cancel(b);
	pthread_join(a, &result);
	VALUE(result == PTHREAD_CANCELED);
	pthread_join(b, &result);
	VALUE(result == PTHREAD_CANCELED);
	CARRIES(p.client, p.server);
	int c = tcp();
	CONNECT(c, address_of(p.listener));
	ACCEPT(p.listener);
}
