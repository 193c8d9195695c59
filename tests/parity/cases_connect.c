/* SPDX-License-Identifier: MIT */
/* connect: success, failure, again, in progress, interrupted, dissolved. */
#include "parity.h"

CASE_EACH(connect_and_accept, "a connection is made, and both ends see both addresses")
{
	int s = listener();
	int c = SOCKET(family, SOCK_STREAM, 0);
	CONNECT(c, address_of(s));
	int a = ACCEPT(s);
	GETSOCKNAME(c);
	GETPEERNAME(c);
	GETSOCKNAME(a);
	GETPEERNAME(a);
	CARRIES(c, a);
	CLOSE(c);
	RECV(a, 10, 0);
}

CASE_EACH(connect_refused, "nobody listens: ECONNREFUSED at once, and the socket is as good as new")
{
	int c = tcp();
	struct addr to = nobody();
	clock_start();
	CONNECT(c, to);
	TOOK(0);
	GETSOCKOPT(c, SOL_SOCKET, SO_ERROR);
	POLL(c);
	GETPEERNAME(c);
	GETSOCKNAME(c);
}

CASE(connect_refused_then_served, "the same socket connects once somebody listens")
{
	int c = tcp();
	CONNECT(c, nobody());
	int s = listener();
	CONNECT(c, address_of(s));
	int a = accept_from(s);
	CARRIES(c, a);
	GETPEERNAME(c);
}

CASE(connect_refused_often, "twenty refused attempts on one socket leak nothing and change nothing")
{
	int c = tcp();
	struct addr to = nobody();
	int refused = 0;
	for (int i = 0; i < 20; i++)
		refused += connect(c, sa(&to), to.length) < 0 && errno == ECONNREFUSED;
	VALUE(refused);
	CONNECT(c, to);
	int other = SOCKET(family, SOCK_STREAM, 0);
	CONNECT(other, to);
}

CASE(connect_refused_bound_socket, "a refused socket keeps the address that it was bound to")
{
	int c = tcp();
	BIND(c, loopback(0));
	GETSOCKNAME(c);
	CONNECT(c, nobody());
	GETSOCKNAME(c);
	int s = listener();
	CONNECT(c, address_of(s));
	GETSOCKNAME(c);
	ACCEPT(s);
}

CASE_EACH(connect_refused_unbound_port, "connecting to a port that no socket was ever bound to is refused")
{
	int c = tcp(), d = tcp();
	CONNECT(c, loopback(9));
	nonblocking(d);
	CONNECT(d, loopback(9));
	settle();
	GETSOCKOPT(d, SOL_SOCKET, SO_ERROR);
}

CASE(connect_refused_then_bound_again,
	"a refused socket whose port was the kernel's choice can be bound again")
{
	int c = tcp(), d = tcp();
	BIND(c, loopback(0));
	CONNECT(c, nobody());
	BIND(c, loopback(0));
	GETSOCKNAME(c);
	LISTEN(c, 5);
	GETSOCKNAME(c);
	nonblocking(d);
	BIND(d, loopback(0));
	CONNECT(d, nobody());
	settle();
	GETSOCKOPT(d, SOL_SOCKET, SO_ERROR);
	GETSOCKNAME(d);
	BIND(d, loopback(0));
	GETSOCKNAME(d);
	CONNECT(d, nobody());
	LISTEN(d, 5);
	GETSOCKNAME(d);
}

CASE(connect_refused_send, "a write after a refused connection says EPIPE, a read nothing more")
{
	int c = tcp();
	CONNECT(c, nobody());
	SEND(c, "x", 0);
	RECV(c, 1, MSG_DONTWAIT);
}

CASE_EACH(connect_nonblocking, "EINPROGRESS, then writable, then no error")
{
	int s = listener();
	int c = SOCKET(family, SOCK_STREAM | SOCK_NONBLOCK, 0);
	CONNECT(c, address_of(s));
	POLL_WAIT(c, POLLOUT);
	GETSOCKOPT(c, SOL_SOCKET, SO_ERROR);
	GETPEERNAME(c);
	GETSOCKNAME(c);
	int a = ACCEPT(s);
	SHOW_FLAGS(c);
	SHOW_FLAGS(a);
	POLL(c);
}

CASE_EACH(connect_nonblocking_refused, "EINPROGRESS, then ERR and HUP, then SO_ERROR says ECONNREFUSED once")
{
	int c = tcp();
	nonblocking(c);
	CONNECT(c, nobody());
	POLL_WAIT(c, POLLOUT);
	POLL(c);
	GETSOCKOPT(c, SOL_SOCKET, SO_ERROR);
	GETSOCKOPT(c, SOL_SOCKET, SO_ERROR);
	POLL(c);
	GETPEERNAME(c);
}

CASE(connect_nonblocking_refused_by_connect,
	"the second connect brings the error of the first, the third is a new one")
{
	int c = tcp();
	struct addr to = nobody();
	nonblocking(c);
	CONNECT(c, to);
	POLL_WAIT(c, POLLOUT);
	CONNECT(c, to);
	GETSOCKOPT(c, SOL_SOCKET, SO_ERROR);
	CONNECT(c, to);
	POLL_WAIT(c, POLLOUT);
	CONNECT(c, to);
}

CASE(connect_nonblocking_refused_by_recv, "recv on a refused connection brings its error, once")
{
	int c = tcp();
	nonblocking(c);
	CONNECT(c, nobody());
	POLL_WAIT(c, POLLOUT);
	RECV(c, 10, 0);
	RECV(c, 10, 0);
	GETSOCKOPT(c, SOL_SOCKET, SO_ERROR);
}

CASE(connect_nonblocking_refused_by_send, "send on a refused connection brings its error, then EPIPE")
{
	int c = tcp();
	nonblocking(c);
	CONNECT(c, nobody());
	POLL_WAIT(c, POLLOUT);
	SEND(c, "x", 0);
	SEND(c, "x", 0);
}

CASE(connect_nonblocking_new_attempt, "after a failed non-blocking attempt the next one can succeed")
{
	int c = tcp();
	nonblocking(c);
	CONNECT(c, nobody());
	POLL_WAIT(c, POLLOUT);
	GETSOCKOPT(c, SOL_SOCKET, SO_ERROR);
	int s = listener();
	CONNECT(c, address_of(s));
	CONNECT(c, address_of(s));
	POLL_WAIT(c, POLLOUT);
	GETSOCKOPT(c, SOL_SOCKET, SO_ERROR);
	int a = accept_from(s);
	CARRIES(c, a);
	GETPEERNAME(c);
}

CASE_EACH(connect_nonblocking_again, "connect after success gives 0 once, then EISCONN")
{
	int s = listener(), c = tcp();
	struct addr to = address_of(s);
	nonblocking(c);
	CONNECT(c, to);
	POLL_WAIT(c, POLLOUT);
	CONNECT(c, to);
	CONNECT(c, to);
	CONNECT(c, nobody());
}

/* Doesn't sleep: whoever sleeps wakes up later than it could have known. */
static bool connects_once_writable(int listener)
{
	int c = tcp();
	struct addr to = address_of(listener);
	struct pollfd wait = {.fd = c, .events = POLLOUT};
	nonblocking(c);
	if (connect(c, sa(&to), to.length) < 0 && errno != EINPROGRESS)
		give_up("connect");
	while (poll(&wait, 1, 0) == 0)
		;
	bool connected = connect(c, sa(&to), to.length) == 0;
	close(accept_from(listener));
	close(c);
	return connected;
}

CASE(connect_nonblocking_again_once_writable, "a socket that is writable is connected, at the very moment")
{
	int s = listener(), connected = 0;
	for (int i = 0; i < 200; i++)
		connected += connects_once_writable(s);
	VALUE(connected);
}

CASE(connect_nonblocking_again_after_so_error, "reading SO_ERROR doesn't take the 0 from the second connect")
{
	int s = listener(), c = tcp();
	struct addr to = address_of(s);
	nonblocking(c);
	CONNECT(c, to);
	POLL_WAIT(c, POLLOUT);
	GETSOCKOPT(c, SOL_SOCKET, SO_ERROR);
	CONNECT(c, to);
	CONNECT(c, to);
}

CASE(connect_nonblocking_again_after_data, "data that flowed before the second connect changes nothing")
{
	int s = listener(), c = tcp();
	struct addr to = address_of(s);
	nonblocking(c);
	CONNECT(c, to);
	POLL_WAIT(c, POLLOUT);
	int a = accept_from(s);
	CARRIES(c, a);
	CONNECT(c, to);
	CONNECT(c, to);
}

CASE(connect_nonblocking_again_elsewhere, "the second connect isn't asked where it would go")
{
	int s = listener(), c = tcp();
	nonblocking(c);
	CONNECT(c, address_of(s));
	POLL_WAIT(c, POLLOUT);
	CONNECT(c, nobody());
	GETPEERNAME(c);
	CONNECT(c, nobody());
}

CASE(connect_made_nonblocking_and_back, "O_NONBLOCK is taken off after the connect, and recv waits")
{
	int s = listener(), c = tcp();
	nonblocking(c);
	CONNECT(c, address_of(s));
	POLL_WAIT(c, POLLOUT);
	FCNTL(c, F_SETFL, O_RDWR);
	SHOW_FLAGS(c);
	SETSOCKOPT_DATA(c, SOL_SOCKET, SO_RCVTIMEO, (&(struct timeval){0, 200000}), sizeof(struct timeval));
	clock_start();
	RECV(c, 1, 0);
	TOOK(200);
}

CASE(connect_nonblocking_close_at_once,
	"a socket closed while it connects leaves an accepted connection that ends")
{
	int s = listener(), c = tcp();
	nonblocking(c);
	CONNECT(c, address_of(s));
	POLL_WAIT(c, POLLOUT);
	CLOSE(c);
	int a = ACCEPT(s);
	RECV(a, 1, 0);
}

CASE(connect_nonblocking_many, "eight attempts in flight on eight sockets, each accepted")
{
	int s = listener(), c[8], writable = 0, accepted = 0;
	struct addr to = address_of(s);
	for (int i = 0; i < 8; i++) {
		c[i] = tcp();
		nonblocking(c[i]);
		(void)connect(c[i], sa(&to), to.length);
	}
	for (int i = 0; i < 8; i++) {
		struct pollfd entry = {.fd = c[i], .events = POLLOUT};
		writable += poll(&entry, 1, 2000) == 1 && entry.revents == POLLOUT;
		accepted += accept(s, NULL, NULL) >= 0;
	}
	VALUE(writable);
	VALUE(accepted);
}

CASE_EACH(connect_short_length, "an address cut short is EINVAL, and the socket remains usable")
{
	int s = listener(), c = tcp();
	struct addr to = address_of(s);
	to.length = family == AF_INET ? 15 : 23;
	CONNECT(c, to);
	to.length = sizeof(sa_family_t);
	CONNECT(c, to);
	to.length = 1;
	CONNECT(c, to);
	to.length = 0;
	CONNECT(c, to);
	CONNECT(c, address_of(s));
}

CASE(connect_old_in6_length, "an IPv6 address without its scope, 24 bytes, is enough")
{
	family = AF_INET6;
	int s = listener(), c = tcp();
	struct addr to = address_of(s);
	to.length = 24;
	CONNECT(c, to);
	GETPEERNAME(c);
}

CASE_EACH(connect_long_length, "an address in a larger buffer is taken, one beyond 128 bytes isn't")
{
	int s = listener(), c = tcp(), other = tcp();
	struct addr to = address_of(s);
	char large[256];
	memset(large, 0xff, sizeof(large));
	memcpy(large, &to.storage, sizeof(to.storage));
	begin("connect(c, length 128)");
	finish(connect(c, (void *)large, 128));
	begin("connect(other, length 129)");
	finish(connect(other, (void *)large, 129));
	begin("connect(other, length -1)");
	finish(connect(other, (void *)large, (socklen_t)-1));
	GETPEERNAME(c);
}

CASE(connect_null_address, "a NULL address is EFAULT, and the socket remains usable")
{
	int s = listener(), c = tcp();
	begin("connect(c, NULL, 16)");
	finish(connect(c, NULL, 16));
	begin("connect(c, NULL, 0)");
	finish(connect(c, NULL, 0));
	CONNECT(c, address_of(s));
}

CASE(connect_bad_pointer, "an address where no program has memory is EFAULT, not a crash")
{
	void *const nowhere[] = {NULL, (void *)4096, (void *)-1};
	int c = tcp(), file = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int i = 0; i < 3; i++) {
		begin("connect(c, %d)", i);
		finish(connect(c, nowhere[i], 16));
		begin("bind(c, %d)", i);
		finish(bind(c, nowhere[i], 16));
		begin("connect(700, %d)", i);
		finish(connect(700, nowhere[i], 16));
		begin("connect(file, %d)", i);
		finish(connect(file, nowhere[i], 16));
		begin("connect(c, %d, 0)", i);
		finish(connect(c, nowhere[i], 0));
		begin("bind(c, %d, 1000)", i);
		finish(bind(c, nowhere[i], 1000));
	}
}

CASE(connect_unreadable_page, "an address in a page that can't be read is EFAULT, not a crash")
{
	int c = tcp();
	char *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	begin("connect(c, an unmapped page)");
	finish(connect(c, (void *)page, 16));
	begin("bind(c, an unmapped page)");
	finish(bind(c, (void *)page, 16));
}

CASE(connect_address_at_page_end, "an address is read no further than its length")
{
	int s = listener(), c = tcp();
	struct addr to = address_of(s);
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	munmap(page + 4096, 4096);
	memcpy(page + 4096 - to.length, &to.storage, to.length);
	begin("connect(c, at the end of a page)");
	finish(connect(c, (void *)(page + 4096 - to.length), to.length));
	GETPEERNAME(c);
}

CASE_EACH(connect_read_only_address, "connect, bind and sendto don't write to the caller's address")
{
	int s = listener(), c = tcp(), b = tcp();
	struct addr to = address_of(s), own = loopback(0);
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memcpy(page, &to.storage, to.length);
	memcpy(page + 1024, &own.storage, own.length);
	mprotect(page, 4096, PROT_READ);
	begin("connect(c, read-only)");
	finish(connect(c, (void *)page, to.length));
	begin("bind(b, read-only)");
	finish(bind(b, (void *)(page + 1024), own.length));
	begin("sendto(c, read-only)");
	finish(sendto(c, "x", 1, 0, (void *)page, to.length));
}

CASE(connect_wrong_family, "an address of another family is EAFNOSUPPORT, and the socket remains usable")
{
	int s = listener(), c = tcp();
	CONNECT(c, ipv6("::1", port_of(&(struct addr){0}) + 9));
	struct addr to = {.storage.ss_family = AF_UNIX, .length = sizeof(struct sockaddr_un)};
	CONNECT(c, to);
	to.storage.ss_family = 40;
	to.length = 16;
	CONNECT(c, to);
	to.storage.ss_family = 0xffff;
	CONNECT(c, to);
	CONNECT(c, address_of(s));
}

CASE(connect_ipv4_address_on_ipv6_socket,
	"a sockaddr_in on an IPv6 socket is refused by its length or its family")
{
	int c = SOCKET(AF_INET6, SOCK_STREAM, 0);
	struct addr to = nobody();
	CONNECT(c, to);
	to.length = sizeof(struct sockaddr_in6);
	CONNECT(c, to);
}

CASE_EACH(connect_port_zero, "port 0 is refused like any other where nobody listens")
{
	int c = tcp();
	CONNECT(c, loopback(0));
}

CASE_EACH(connect_wildcard, "0.0.0.0 and :: mean this machine, and getpeername says which address that was")
{
	int s = listener(), c = tcp();
	struct addr at = address_of(s);
	CONNECT(c, wildcard(port_of(&at)));
	GETPEERNAME(c);
	GETSOCKNAME(c);
	ACCEPT(s);
}

CASE(connect_twice, "a connected socket says EISCONN")
{
	struct pair p = pair();
	CONNECT(p.client, address_of(p.listener));
	CONNECT(p.client, nobody());
	CONNECT(p.server, address_of(p.listener));
	CARRIES(p.client, p.server);
}

CASE(connect_twice_after_peer_closed, "a connection that the peer has closed is still one: EISCONN")
{
	struct pair p = pair();
	CLOSE(p.server);
	settle();
	CONNECT(p.client, address_of(p.listener));
	RECV(p.client, 1, 0);
	CONNECT(p.client, address_of(p.listener));
}

CASE(connect_twice_after_both_closed, "what connect says when both directions were shut down")
{
	struct pair p = pair();
	SHUTDOWN(p.client, SHUT_WR);
	RECV(p.server, 1, 0);
	SHUTDOWN(p.server, SHUT_WR);
	RECV(p.client, 1, 0);
	CONNECT(p.client, address_of(p.listener));
}

CASE(connect_on_listener, "a listening socket says EISCONN and goes on listening")
{
	int s = listener(), c = tcp();
	CONNECT(s, nobody());
	CONNECT(s, address_of(s));
	CONNECT(c, address_of(s));
	ACCEPT(s);
}

CASE(connect_to_itself, "a socket connected to its own address talks to itself")
{
	int c = tcp();
	BIND(c, loopback(0));
	CONNECT(c, address_of(c));
	GETPEERNAME(c);
	CARRIES(c, c);
}

CASE_EACH(connect_unspec, "AF_UNSPEC dissolves a connection, and the socket connects elsewhere")
{
	struct pair p = pair();
	int other = listener();
	CONNECT(p.client, unspecified());
	GETPEERNAME(p.client);
	GETSOCKNAME(p.client);
	CONNECT(p.client, address_of(other));
	GETPEERNAME(p.client);
	int a = ACCEPT(other);
	CARRIES(p.client, a);
}

CASE(connect_unspec_peer, "the peer of a dissolved connection learns that it is over")
{
	struct pair p = pair();
	CONNECT(p.client, unspecified());
	POLL(p.server);
	RECV(p.server, 10, MSG_DONTWAIT);
}

CASE(connect_unspec_fresh, "AF_UNSPEC on a fresh socket is 0 and harmless")
{
	int s = listener(), c = tcp();
	CONNECT(c, unspecified());
	CONNECT(c, address_of(s));
	int a = accept_from(s);
	CARRIES(c, a);
}

CASE(connect_unspec_bound, "AF_UNSPEC keeps the address of a socket that was bound")
{
	int s = listener(), c = tcp();
	BIND(c, loopback(0));
	GETSOCKNAME(c);
	CONNECT(c, address_of(s));
	CONNECT(c, unspecified());
	GETSOCKNAME(c);
	GETPEERNAME(c);
}

CASE(connect_unspec_lengths, "AF_UNSPEC needs two bytes of address and no more")
{
	struct pair p = pair();
	struct addr none = unspecified();
	none.length = 1;
	CONNECT(p.client, none);
	GETPEERNAME(p.client);
	none.length = 2;
	CONNECT(p.client, none);
	GETPEERNAME(p.client);
}

CASE(connect_unspec_listener, "AF_UNSPEC ends a listening socket")
{
	int s = listener(), c = tcp(), d = tcp();
	struct addr at = address_of(s);
	CONNECT(c, at);
	CONNECT(s, unspecified());
	GETSOCKOPT(s, SOL_SOCKET, SO_ACCEPTCONN);
	CONNECT(d, at);
	nonblocking(s);
	ACCEPT(s);
}

CASE(connect_unspec_refused, "AF_UNSPEC after a failed attempt forgets the error")
{
	int s = listener(), c = tcp();
	nonblocking(c);
	CONNECT(c, nobody());
	POLL_WAIT(c, POLLOUT);
	CONNECT(c, unspecified());
	GETSOCKOPT(c, SOL_SOCKET, SO_ERROR);
	CONNECT(c, address_of(s));
	POLL_WAIT(c, POLLOUT);
	GETSOCKOPT(c, SOL_SOCKET, SO_ERROR);
}

CASE(connect_unspec_options, "options survive a dissolved connection")
{
	struct pair p = pair();
	SETSOCKOPT(p.client, IPPROTO_TCP, TCP_NODELAY, 1);
	SETSOCKOPT(p.client, SOL_SOCKET, SO_KEEPALIVE, 1);
	CONNECT(p.client, unspecified());
	GETSOCKOPT(p.client, IPPROTO_TCP, TCP_NODELAY);
	GETSOCKOPT(p.client, SOL_SOCKET, SO_KEEPALIVE);
	CONNECT(p.client, address_of(p.listener));
	GETSOCKOPT(p.client, IPPROTO_TCP, TCP_NODELAY);
	GETSOCKOPT(p.client, SOL_SOCKET, SO_KEEPALIVE);
}

CASE(connect_unspec_nonblocking_again, "a non-blocking socket dissolved and connected again says EINPROGRESS")
{
	struct pair p = pair();
	nonblocking(p.client);
	CONNECT(p.client, unspecified());
	CONNECT(p.client, address_of(p.listener));
	POLL_WAIT(p.client, POLLOUT);
	CONNECT(p.client, address_of(p.listener));
	SHOW_FLAGS(p.client);
}

CASE_EACH(connect_after_bind, "a client bound to port 0 keeps its port, and the server sees it")
{
	int s = listener(), c = tcp();
	BIND(c, wildcard(0));
	GETSOCKNAME(c);
	CONNECT(c, address_of(s));
	GETSOCKNAME(c);
	ACCEPT(s);
}

CASE(connect_after_bind_to_a_port, "a client bound to a port that it chose keeps it")
{
	int s = listener(), free = tcp(), c = tcp();
	BIND(free, loopback(0));
	struct addr own = address_of(free);
	CLOSE(free);
	BIND(c, own);
	CONNECT(c, address_of(s));
	GETSOCKNAME(c);
	ACCEPT(s);
}

CASE(connect_after_bind_to_a_mapped_port,
	"a client shows the port that it chose, though the map makes another of it")
{
	int s = listener(), c = tcp(), d = tcp();
	BIND(c, wildcard(20000));
	CONNECT(c, address_of(s));
	GETSOCKNAME(c);
	BIND(d, wildcard(20001));
	nonblocking(d);
	CONNECT(d, nobody());
	settle();
	GETSOCKOPT(d, SOL_SOCKET, SO_ERROR);
	GETSOCKNAME(d);
}

CASE(connect_from_second_loopback, "a client bound to 127.0.0.2 is seen as that")
{
	int s = listener(), c = tcp();
	BIND(c, ipv4("127.0.0.2", 0));
	CONNECT(c, address_of(s));
	GETSOCKNAME(c);
	ACCEPT(s);
}

CASE(connect_to_second_loopback, "getpeername says 127.0.0.2 where that was asked for")
{
	int s = listener_at(wildcard(0), 8), c = tcp();
	struct addr at = address_of(s);
	CONNECT(c, ipv4("127.0.0.2", port_of(&at)));
	GETPEERNAME(c);
}

CASE(connect_udp_untouched, "a datagram socket stays one")
{
	int s = SOCKET(AF_INET, SOCK_DGRAM, 0), c = SOCKET(AF_INET, SOCK_DGRAM, 0);
	BIND(s, loopback(0));
	CONNECT(c, address_of(s));
	GETPEERNAME(c);
	GETSOCKOPT(c, SOL_SOCKET, SO_DOMAIN);
	GETSOCKOPT(c, SOL_SOCKET, SO_PROTOCOL);
	SEND(c, "datagram", 0);
	RECV(s, 20, 0);
	CONNECT(c, unspecified());
	GETPEERNAME(c);
}

CASE(connect_unix_untouched, "a Unix socket stays one")
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	struct addr at = {.length = sizeof(sa_family_t) + 8};
	memcpy(name.sun_path, "\0parity", 8);
	memcpy(&at.storage, &name, at.length);
	int s = SOCKET(AF_UNIX, SOCK_STREAM, 0), c = SOCKET(AF_UNIX, SOCK_STREAM, 0);
	BIND(s, at);
	LISTEN(s, 1);
	CONNECT(c, at);
	GETPEERNAME(c);
	int a = accept_from(s);
	GETSOCKOPT(a, SOL_SOCKET, SO_DOMAIN);
	CARRIES(c, a);
}

CASE(connect_bad_fd, "no fd, a pipe, a file: EBADF and ENOTSOCK")
{
	int ends[2], file = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (pipe(ends))
		give_up("pipe");
	struct addr to = nobody();
	CONNECT(-1, to);
	CONNECT(700, to);
	CONNECT(ends[0], to);
	BIND(file, to);
	LISTEN(file, 1);
	GETSOCKNAME(file);
	GETPEERNAME(700);
	ACCEPT(ends[1]);
	ACCEPT(700);
	GETSOCKOPT(file, SOL_SOCKET, SO_ERROR);
	SETSOCKOPT(file, SOL_SOCKET, SO_KEEPALIVE, 1);
	SHUTDOWN(file, SHUT_WR);
	CLOSE(700);
	CLOSE(-1);
	DUP2(700, 701);
}

CASE(connect_slow_peer, "a peer that takes a second to answer is waited for")
{
	struct slow_peer peer = slow_peer();
	int c = tcp();
	clock_start();
	CONNECT(c, peer.address);
	TOOK(1000);
	GETPEERNAME(c);
}

CASE(connect_interrupted, "a signal without SA_RESTART: EINTR, and the attempt goes on by itself")
{
	struct slow_peer peer = slow_peer();
	int c = tcp();
	clock_start();
	after_signal(200, SIGUSR1);
	CONNECT(c, peer.address);
	TOOK(200);
	do_poll("c", c, POLLOUT, 4000);
	GETSOCKOPT(c, SOL_SOCKET, SO_ERROR);
	GETPEERNAME(c);
	VALUE(signals_seen(SIGUSR1));
}

CASE(connect_interrupted_then_again, "after EINTR a second connect waits for the first attempt")
{
	struct slow_peer peer = slow_peer();
	int c = tcp();
	after_signal(200, SIGUSR1);
	CONNECT(c, peer.address);
	CONNECT(c, peer.address);
	GETPEERNAME(c);
	CONNECT(c, peer.address);
}

CASE(connect_restarted, "a signal with SA_RESTART isn't noticed")
{
	struct slow_peer peer = slow_peer();
	int c = tcp();
	/* As all handlers of this program: see the difference retry_interrupted. */
	on_signal(SIGUSR1, SA_RESTART);
	clock_start();
	after_signal(200, SIGUSR2);
	CONNECT(c, peer.address);
	TOOK(1000);
	VALUE(signals_seen(SIGUSR2));
	GETPEERNAME(c);
}

CASE(connect_storm_of_signals, "many signals with SA_RESTART during one connect")
{
	struct slow_peer peer = slow_peer();
	int c = tcp();
	on_signal(SIGUSR1, SA_RESTART);
	for (int i = 1; i <= 20; i++)
		after_signal(20 * i, SIGUSR2);
	CONNECT(c, peer.address);
	VALUE(signals_seen(SIGUSR2) > 5); /* those that come together are one */
}

CASE(connect_send_timeout, "SO_SNDTIMEO limits connect: EINPROGRESS when it is over")
{
	struct slow_peer peer = slow_peer();
	int c = tcp();
	struct timeval limit = {0, 300000};
	SETSOCKOPT_DATA(c, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	clock_start();
	CONNECT(c, peer.address);
	TOOK(300);
}

CASE(connect_backlog_full, "a full backlog makes a client wait, not fail")
{
	int s = listener_at(loopback(0), 0), refused = 0, connected = 0;
	struct addr to = address_of(s);
	for (int i = 0; i < 8; i++) {
		int c = tcp();
		nonblocking(c);
		(void)connect(c, sa(&to), to.length);
		struct pollfd entry = {.fd = c, .events = POLLOUT};
		if (poll(&entry, 1, 50) == 1 && entry.revents & POLLERR)
			refused++;
	}
	VALUE(refused);
	for (int i = 0; i < 3; i++) {
		struct pollfd entry = {.fd = s, .events = POLLIN};
		if (poll(&entry, 1, 4000) == 1)
			connected += accept(s, NULL, NULL) >= 0;
	}
	VALUE(connected);
}

CASE(connect_nonblocking_beat, "a non-blocking connect to a slow peer doesn't block")
{
	struct slow_peer peer = slow_peer();
	int c = tcp();
	nonblocking(c);
	clock_start();
	begin("connect(c, a slow peer)");
	(void)connect(c, sa(&peer.address), peer.address.length);
	TOOK(0);
}

CASE(connect_listener_closed, "after the listener is closed its port refuses")
{
	int s = listener(), c = tcp();
	struct addr to = address_of(s);
	CLOSE(s);
	CONNECT(c, to);
}

CASE(connect_bound_not_listening, "a bound port where nobody listens refuses")
{
	int b = tcp(), c = tcp();
	BIND(b, loopback(0));
	CONNECT(c, address_of(b));
	LISTEN(b, 1);
	CONNECT(c, address_of(b));
	ACCEPT(b);
}

static void *connect_and_ping(void *argument)
{
	struct addr to = *(struct addr *)argument;
	char data[4];
	long good = 0;
	for (int i = 0; i < 25; i++) {
		int c = tcp();
		connect_to(c, to);
		good += send(c, "ping", 4, 0) == 4 && recv(c, data, 4, MSG_WAITALL) == 4;
		close(c);
	}
	return (void *)good;
}

CASE(connect_threads, "four threads connect a hundred times, and each is answered")
{
	int s = listener();
	struct addr to = address_of(s);
	pthread_t threads[4];
	long good = 0;
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, connect_and_ping, &to);
	for (int i = 0; i < 100; i++) {
		char data[4];
		int a = accept_from(s);
		if (recv(a, data, 4, MSG_WAITALL) == 4)
			send(a, data, 4, MSG_NOSIGNAL);
		close(a);
	}
	for (int i = 0; i < 4; i++) {
		void *each;
		pthread_join(threads[i], &each);
		good += (long)each;
	}
	VALUE(good);
}

CASE(connect_accepted_before_it_returns,
	"whoever has accepted a connection can use its socket, though connect() still sleeps")
{
	int s = listener();
	struct joint other = {.to = address_of(s)};
	long connected = 0, ended = 0;
	for (int i = 0; i < 200; i++) {
		pthread_t thread;
		char data;
		other.fd = tcp();
		pthread_create(&thread, NULL, connect_jointly, &other);
		close(accept_from(s));
		struct pollfd end = {.fd = other.fd, .events = POLLIN};
		ended += poll(&end, 1, 1000) == 1 && recv(other.fd, &data, 1, 0) == 0;
		pthread_join(thread, NULL);
		connected += other.result == 0;
		close(other.fd);
	}
	VALUE(connected);
	VALUE(ended);
}

CASE(connect_refused_in_another_thread,
	"a refused connect() of another thread leaves a socket that can be used")
{
	int s = listener(), b = tcp(), c = tcp();
	struct joint other = {.fd = c};
	pthread_t thread;
	BIND(b, loopback(0));
	other.to = address_of(b);
	pthread_create(&thread, NULL, connect_jointly, &other);
	pthread_join(thread, NULL);
	VALUE(other.result == ECONNREFUSED);
	GETSOCKOPT(c, SOL_SOCKET, SO_ERROR);
	GETPEERNAME(c);
	CONNECT(c, address_of(s));
	ACCEPT(s);
	GETPEERNAME(c);
}

CASE(connect_by_syscall, "a connection made by syscall(2) alone is the same")
{
	int s = syscall(SYS_socket, AF_INET, SOCK_STREAM, 0),
	    c = syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);
	struct addr own = loopback(0);
	begin("syscall(SYS_bind)");
	finish(syscall(SYS_bind, s, sa(&own), own.length));
	begin("syscall(SYS_listen)");
	finish(syscall(SYS_listen, s, 5));
	struct addr at = address_of(s);
	begin("syscall(SYS_connect)");
	finish(syscall(SYS_connect, c, sa(&at), at.length));
	struct sockaddr_in from;
	socklen_t length = sizeof(from);
	int lowest = lowest_free();
	begin("syscall(SYS_accept4)");
	int a = finish_fd(syscall(SYS_accept4, s, &from, &length, SOCK_CLOEXEC), lowest);
	record("from %s", sockaddr_text(&from, length, sizeof(from)));
	length = sizeof(from);
	begin("syscall(SYS_getpeername)");
	finish(syscall(SYS_getpeername, c, &from, &length));
	record("peer %s", sockaddr_text(&from, length, sizeof(from)));
	length = sizeof(from);
	begin("syscall(SYS_getsockname)");
	finish(syscall(SYS_getsockname, a, &from, &length));
	record("own %s", sockaddr_text(&from, length, sizeof(from)));
	SHOW_FLAGS(a);
	CARRIES(c, a);
	begin("syscall(SYS_close)");
	finish(syscall(SYS_close, c));
	RECV(a, 1, 0);
}

CASE(connect_syscall_failure, "a failed syscall(SYS_connect) sets errno and keeps the socket")
{
	int c = tcp(), s = listener();
	struct addr to = nobody(), at = address_of(s);
	begin("syscall(SYS_connect)");
	finish(syscall(SYS_connect, c, sa(&to), to.length));
	begin("syscall(SYS_connect)");
	finish(syscall(SYS_connect, c, sa(&at), at.length));
	GETPEERNAME(c);
}

/* What the random walk found */

/* A non-blocking attempt that was refused, and the program knows. */
static int refused_socket(void)
{
	int c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	CONNECT(c, nobody());
	do_poll("c", c, POLLOUT, 2000);
	GETSOCKOPT(c, SOL_SOCKET, SO_ERROR);
	return c;
}

CASE(connect_refused_then_bound,
	"a refused socket is bound: it can't listen before connect has said that it failed")
{
	int c = refused_socket();
	BIND(c, loopback(0));
	LISTEN(c, 5);
	CONNECT(c, nobody());
	LISTEN(c, 5);
}

CASE(connect_refused_then_dissolved,
	"AF_UNSPEC forgets that an attempt was refused: the bound socket listens")
{
	int c = refused_socket();
	BIND(c, loopback(0));
	CONNECT(c, unspecified());
	LISTEN(c, 5);
	int d = refused_socket();
	CONNECT(d, unspecified());
	CONNECT(d, nobody());
}

CASE(connect_refused_then_listening,
	"a socket bound to port 0 and refused listens where it says that it does")
{
	int c = tcp(), d = tcp();
	BIND(c, wildcard(0));
	CONNECT(c, nobody());
	LISTEN(c, 5);
	struct addr at = address_of(c);
	CONNECT(d, loopback(port_of(&at)));
	ACCEPT(c);
}

CASE(connect_nonblocking_again_after_shutdown, "SHUT_WR in between: the second connect says EISCONN at once")
{
	int s = listener(), c = tcp();
	nonblocking(c);
	CONNECT(c, address_of(s));
	do_poll("c", c, POLLOUT, 2000);
	GETSOCKOPT(c, SOL_SOCKET, SO_ERROR);
	SHUTDOWN(c, SHUT_WR);
	CONNECT(c, address_of(s));
}

/* An address that TCP keeps, though nobody asked for it: connect() has chosen it. */
static void refused_below_a_wildcard(bool block)
{
	int c = tcp();
	BIND(c, loopback(0));
	CONNECT(c, nobody());
	BIND(c, wildcard(0));
	GETSOCKNAME(c);
	if (!block)
		nonblocking(c);
	CONNECT(c, nobody());
	settle();
	CONNECT(c, nobody());
	GETSOCKNAME(c);
}

CASE_EACH(connect_refused_after_two_binds,
	"a socket that was bound to an address once keeps what the next attempt chose below a wildcard")
{
	refused_below_a_wildcard(true);
	refused_below_a_wildcard(false);
}

CASE(connect_refused_then_bound_in_use,
	"an address that is in use costs a refused socket the one that it had")
{
	int s = listener(), c = tcp();
	BIND(c, loopback(0));
	CONNECT(c, nobody());
	GETSOCKNAME(c);
	BIND(c, address_of(s));
	GETSOCKNAME(c);
	LISTEN(c, 5);
	GETSOCKNAME(c);
}
