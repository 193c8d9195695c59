/* SPDX-License-Identifier: MIT */
/* accept: flags, buffers, waiting, order. And what getsockname and getpeername say, and where they write. */
#include "parity.h"

CASE(accept_null, "accept with no address buffer")
{
	int s = listener(), c = tcp();
	connect_to(c, address_of(s));
	int a = ACCEPT_NULL(s);
	GETPEERNAME(a);
	SHOW_FLAGS(a);
}

CASE_EACH(accept_short_buffer, "a short buffer is filled, and the length shows what was missing")
{
	int s = listener();
	for (int i = 0; i < 4; i++)
		connect_to(tcp(), address_of(s));
	ACCEPT_SIZE(s, 4);
	ACCEPT_SIZE(s, 1);
	ACCEPT_SIZE(s, 0);
	ACCEPT_SIZE(s, 15);
}

CASE(accept_bad_length, "a length below zero is EINVAL")
{
	int s = listener(), c = tcp();
	connect_to(c, address_of(s));
	ACCEPT_SIZE(s, (socklen_t)-1);
	nonblocking(s);
	ACCEPT(s);
}

CASE(accept_bad_pointer, "a buffer that can't be written is EFAULT")
{
	int s = listener(), c = tcp();
	connect_to(c, address_of(s));
	socklen_t length = 16;
	begin("accept(s, an unmapped page)");
	finish(accept(s, (void *)4096, &length));
	begin("getsockname(c, an unmapped page)");
	finish(getsockname(c, (void *)4096, &length));
	begin("getpeername(c, an unmapped page)");
	finish(getpeername(c, (void *)4096, &length));
}

CASE(accept_address_without_length, "an address buffer with no length is EFAULT")
{
	int s = listener(), c = tcp();
	struct sockaddr_in from;
	connect_to(c, address_of(s));
	begin("accept(s, from, NULL)");
	finish(accept(s, (void *)&from, NULL));
	begin("getsockname(c, from, NULL)");
	finish(getsockname(c, (void *)&from, NULL));
	begin("getpeername(c, from, NULL)");
	finish(getpeername(c, (void *)&from, NULL));
}

CASE(accept4_flags, "accept4's flags, each alone and both, are the new socket's own")
{
	int s = listener();
	for (int i = 0; i < 4; i++)
		connect_to(tcp(), address_of(s));
	int a = ACCEPT4(s, 0), b = ACCEPT4(s, SOCK_CLOEXEC), c = ACCEPT4(s, SOCK_NONBLOCK);
	int d = ACCEPT4(s, SOCK_CLOEXEC | SOCK_NONBLOCK);
	SHOW_FLAGS(a);
	SHOW_FLAGS(b);
	SHOW_FLAGS(c);
	SHOW_FLAGS(d);
	SHOW_FLAGS(s);
}

CASE(accept4_bad_flags, "accept4 with unknown flags is EINVAL, and the client waits on")
{
	int s = listener(), c = tcp();
	connect_to(c, address_of(s));
	ACCEPT4(s, 1);
	ACCEPT4(s, SOCK_NONBLOCK | SOCK_CLOEXEC | 0x10);
	ACCEPT4(s, 0);
}

CASE(accept_flags_not_inherited, "O_NONBLOCK and CLOEXEC of the listener don't pass to what it accepts")
{
	int s = SOCKET(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), c = tcp();
	BIND(s, loopback(0));
	LISTEN(s, 5);
	SHOW_FLAGS(s);
	connect_to(c, address_of(s));
	POLL_WAIT(s, POLLIN);
	int a = ACCEPT(s);
	SHOW_FLAGS(a);
}

CASE_EACH(accept_nonblocking_empty, "a non-blocking listener with nobody there says EAGAIN, at once")
{
	int s = listener();
	nonblocking(s);
	ACCEPT(s);
	ACCEPT4(s, SOCK_CLOEXEC);
	connect_to(tcp(), address_of(s));
	POLL_WAIT(s, POLLIN);
	ACCEPT(s);
	ACCEPT(s);
	clock_start();
	for (int i = 0; i < 250; i++)
		accept(s, NULL, NULL);
	TOOK(0);
}

CASE(accept_not_listening, "accept on a fresh, a bound and a connected socket is EINVAL")
{
	int fresh = tcp(), bound = tcp();
	struct pair p = pair();
	BIND(bound, loopback(0));
	ACCEPT(fresh);
	ACCEPT(bound);
	ACCEPT(p.client);
	ACCEPT(p.server);
	struct pair q = pair();
	nonblocking(q.client);
	nonblocking(q.server);
	ACCEPT(q.client);
	ACCEPT4(q.server, SOCK_CLOEXEC);
}

CASE(accept_order, "clients are accepted in the order in which they came")
{
	int s = listener(), c[3];
	for (int i = 0; i < 3; i++) {
		c[i] = tcp();
		connect_to(c[i], address_of(s));
		GETSOCKNAME(c[i]);
	}
	ACCEPT(s);
	ACCEPT(s);
	ACCEPT(s);
}

CASE(accept_client_gone, "a client that sent and left before accept is still there to read")
{
	int s = listener(), c = tcp();
	connect_to(c, address_of(s));
	SEND(c, "goodbye", 0);
	GETSOCKNAME(c);
	CLOSE(c);
	settle();
	int a = ACCEPT(s);
	GETPEERNAME(a);
	RECV(a, 20, 0);
	RECV(a, 20, 0);
}

CASE(accept_client_reset, "a client that was reset before accept gives ECONNRESET")
{
	int s = listener(), c = tcp();
	connect_to(c, address_of(s));
	SETSOCKOPT_DATA(c, SOL_SOCKET, SO_LINGER, (&(struct linger){1, 0}), sizeof(struct linger));
	CLOSE(c);
	settle();
	int a = ACCEPT(s);
	RECV(a, 1, 0);
}

CASE(accept_descriptor_zero, "accept gives fd 0 where that is the lowest, and it works")
{
	int s = listener(), c = tcp();
	connect_to(c, address_of(s));
	CLOSE(0);
	int a = ACCEPT(s);
	VALUE(a);
	GETPEERNAME(a);
	CARRIES(c, a);
}

CASE(accept_receive_timeout, "SO_RCVTIMEO on a listener limits accept: EAGAIN")
{
	int s = listener();
	struct timeval limit = {0, 200000};
	SETSOCKOPT_DATA(s, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	clock_start();
	ACCEPT(s);
	TOOK(200);
}

static void connect_from_thread(int listener)
{
	connect_to(tcp(), address_of(listener));
}

CASE(accept_interrupted, "a signal without SA_RESTART ends accept with EINTR")
{
	int s = listener();
	after_signal(100, SIGUSR1);
	ACCEPT(s);
	VALUE(signals_seen(SIGUSR1));
}

CASE(accept_restarted, "a signal with SA_RESTART doesn't end accept, save where SO_RCVTIMEO limits it")
{
	int s = listener();
	after_signal(100, SIGUSR2);
	after(200, connect_from_thread, s);
	ACCEPT(s);
	VALUE(signals_seen(SIGUSR2));
	after_signal(100, SIGUSR2);
	struct timeval limit = {0, 300000};
	SETSOCKOPT_DATA(s, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	ACCEPT(s);
	VALUE(signals_seen(SIGUSR2));
}

CASE(accept_waits, "accept sleeps until a client comes")
{
	int s = listener();
	clock_start();
	after(150, connect_from_thread, s);
	ACCEPT(s);
	TOOK(150);
}

static void shutdown_both(int fd)
{
	shutdown(fd, SHUT_RDWR);
}

static void shutdown_read(int fd)
{
	shutdown(fd, SHUT_RD);
}

CASE_EACH(accept_woken_by_shutdown, "shutdown of a listener wakes the thread that sleeps in accept: EINVAL")
{
	int s = listener();
	after(100, shutdown_both, s);
	ACCEPT(s);
	ACCEPT(s);
}

CASE(accept_poll_woken_by_shutdown, "shutdown of a listener wakes the thread that sleeps in poll")
{
	int s = listener();
	after(100, shutdown_read, s);
	POLL_WAIT(s, POLLIN);
	nonblocking(s);
	ACCEPT(s);
}

static void *accept_in_thread(void *listener)
{
	return (void *)(long)accept(*(int *)listener, NULL, NULL);
}

CASE(accept_two_threads, "two threads wait in accept, one client wakes one, the next the other")
{
	int s = listener();
	pthread_t threads[2];
	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, accept_in_thread, &s);
	pause_ms(50);
	int c = tcp(), d = tcp();
	CONNECT(c, address_of(s));
	CONNECT(d, address_of(s));
	long accepted = 0;
	for (int i = 0; i < 2; i++) {
		void *fd;
		pthread_join(threads[i], &fd);
		accepted += (long)fd > 2;
	}
	VALUE(accepted);
}

/* On 0.0.0.0 and on an IPv6-only ::, one port, both blocking: as Tcl's socket -server makes them. */
static struct addr listen_on_both(int both[2])
{
	both[0] = socket(AF_INET, SOCK_STREAM, 0);
	both[1] = socket(AF_INET6, SOCK_STREAM, 0);
	/* Of the ports that the kernel gives out, one that is free for IPv4 may be another case's for IPv6.
	 */
	struct addr four = ipv4("0.0.0.0", 22000 + getpid() % 1000);
	if (bind(both[0], sa(&four), four.length))
		give_up("bind");
	struct addr six = ipv6("::", port_of(&four));
	setsockopt(both[1], IPPROTO_IPV6, IPV6_V6ONLY, &(int){1}, sizeof(int));
	if (bind(both[1], sa(&six), six.length) || listen(both[0], 8) || listen(both[1], 8))
		give_up("listen");
	return four;
}

static void connect_by(const struct addr *at, int domain)
{
	connect_to(socket(domain, SOCK_STREAM, 0),
		domain == AF_INET ? ipv4("127.0.0.1", port_of(at)) : ipv6("::1", port_of(at)));
}

static void connect_six_from_thread(int listener)
{
	struct addr at = address_of(listener);
	connect_by(&at, AF_INET6);
}

CASE(accept_two_listeners_selected,
	"select and two blocking listeners of a port: no client's neighbour waits")
{
	int both[2], served = 0;
	struct addr at = listen_on_both(both);
	for (int i = 0; i < 6; i++) {
		connect_by(&at, i % 2 ? AF_INET6 : AF_INET);
		settle();
		fd_set set;
		FD_ZERO(&set);
		FD_SET(both[0], &set);
		FD_SET(both[1], &set);
		if (select(both[1] + 1, &set, NULL, NULL, &(struct timeval){2, 0}) <= 0)
			give_up("select");
		for (int turn = 0; turn < 2; turn++) {
			int one = both[(turn + i / 2) % 2];
			served += FD_ISSET(one, &set) && accept(one, NULL, NULL) >= 0;
		}
	}
	VALUE(served);
}

CASE(accept_two_listeners_in_turn,
	"one thread sleeps in accept on one of two listeners of a port, then on the other")
{
	int both[2];
	struct addr at = listen_on_both(both);
	connect_by(&at, AF_INET);
	accept_from(both[0]);
	CLOSE(both[0]);
	after(100, connect_six_from_thread, both[1]);
	begin("accept(both[1])");
	finish(accept(both[1], NULL, NULL) < 0 ? -1 : 0);
}

static _Atomic int served_by_threads, failed_in_threads;

static void *accept_three(void *listener)
{
	for (int i = 0; i < 3; i++) {
		int a = accept(*(int *)listener, NULL, NULL);
		served_by_threads += a >= 0;
		failed_in_threads += a < 0;
		close(a);
	}
	return NULL;
}

CASE(accept_thread_for_each_listener, "each of two listeners of a port has its thread, and none fails")
{
	int both[2];
	pthread_t threads[2];
	struct addr at = listen_on_both(both);
	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, accept_three, &both[i]);
	for (int i = 0; i < 6; i++)
		connect_by(&at, i % 2 ? AF_INET6 : AF_INET);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	VALUE(served_by_threads);
	VALUE(failed_in_threads);
}

CASE(accept_while_connecting, "a thread that sleeps in accept doesn't hold up another's calls")
{
	int s = listener(), other = listener(), c = tcp();
	pthread_t thread;
	pthread_create(&thread, NULL, accept_in_thread, &s);
	pause_ms(50);
	clock_start();
	CONNECT(c, address_of(other));
	/* Which number it gets depends on whether the other thread sleeps already. */
	int a = accept_from(other);
	CARRIES(c, a);
	CLOSE(a);
	TOOK(0);
	connect_to(tcp(), address_of(s));
	pthread_join(thread, NULL);
}

CASE(accept_closed_listener_keeps_connections, "connections outlive their listener")
{
	struct pair p = pair();
	CLOSE(p.listener);
	CARRIES(p.client, p.server);
	GETSOCKNAME(p.server);
	GETPEERNAME(p.client);
}

CASE(accept_fork_children, "two processes accept from one listener, each client is served once")
{
	int s = listener();
	pid_t workers[2];
	for (int i = 0; i < 2; i++) {
		workers[i] = child();
		if (!workers[i]) {
			int a = accept_from(s);
			send(a, "served", 6, 0);
			done();
		}
	}
	for (int i = 0; i < 2; i++) {
		int c = tcp();
		CONNECT(c, address_of(s));
		RECV(c, 10, MSG_WAITALL);
	}
	for (int i = 0; i < 2; i++)
		wait_for(workers[i]);
}

CASE(accept_select, "select sees a waiting client, and accept takes it")
{
	int s = listener();
	connect_to(tcp(), address_of(s));
	fd_set set;
	FD_ZERO(&set);
	FD_SET(s, &set);
	begin("select(s)");
	finish(select(s + 1, &set, NULL, NULL, &(struct timeval){2, 0}));
	VALUE(FD_ISSET(s, &set) != 0);
	ACCEPT(s);
}

CASE(accept_many_at_once, "a non-blocking listener is drained to EAGAIN")
{
	int s = listener(), accepted = 0;
	nonblocking(s);
	for (int i = 0; i < 10; i++)
		connect_to(tcp(), address_of(s));
	settle();
	while (accept4(s, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC) >= 0)
		accepted++;
	VALUE(accepted);
	record("then %s", error_name(errno));
}

CASE(accept_out_of_descriptors, "no fd left: EMFILE, and the client is accepted when there is one")
{
	int s = listener(), c = tcp();
	connect_to(c, address_of(s));
	struct rlimit limit = {lowest_free(), 1024};
	setrlimit(RLIMIT_NOFILE, &limit);
	ACCEPT(s);
	limit.rlim_cur = 1024;
	setrlimit(RLIMIT_NOFILE, &limit);
	ACCEPT(s);
}

CASE(connect_out_of_descriptors, "no fd left: a socket that is there connects and listens all the same")
{
	int s = tcp(), c = tcp();
	struct rlimit limit = {lowest_free(), 1024};
	setrlimit(RLIMIT_NOFILE, &limit);
	BIND(s, loopback(0));
	LISTEN(s, 5);
	CONNECT(c, address_of(s));
	SOCKET(AF_INET, SOCK_STREAM, 0);
	DUP(c);
	limit.rlim_cur = 1024;
	setrlimit(RLIMIT_NOFILE, &limit);
	GETPEERNAME(c);
	int a = ACCEPT(s);
	CARRIES(c, a);
}

/* Names */

CASE_EACH(name_fresh, "a fresh socket has the wildcard and port 0 for a name, and no peer")
{
	int s = tcp();
	GETSOCKNAME(s);
	GETPEERNAME(s);
}

CASE_EACH(name_short_buffer, "getsockname and getpeername fill the buffer and return the whole length")
{
	struct pair p = pair();
	GETPEERNAME_SIZE(p.client, 2);
	GETPEERNAME_SIZE(p.client, 7);
	GETPEERNAME_SIZE(p.client, 0);
	GETSOCKNAME_SIZE(p.server, 4);
	GETSOCKNAME_SIZE(p.server, 0);
	GETSOCKNAME_SIZE(p.listener, 8);
	GETSOCKNAME_SIZE(p.client, 27);
}

CASE(name_bad_length, "a length below zero is EINVAL")
{
	struct pair p = pair();
	GETPEERNAME_SIZE(p.client, (socklen_t)-1);
	GETSOCKNAME_SIZE(p.client, (socklen_t)-5);
	GETSOCKNAME_SIZE(p.listener, (socklen_t)-1);
}

CASE(name_null_buffer, "no buffer is EFAULT, and length 0 makes that all right")
{
	struct pair p = pair();
	socklen_t length = 16;
	begin("getsockname(p.client, NULL, 16)");
	finish(getsockname(p.client, NULL, &length));
	length = 0;
	begin("getpeername(p.client, NULL, 0)");
	finish(getpeername(p.client, NULL, &length));
	VALUE(length);
}

CASE_EACH(name_after_shutdown_write, "getpeername works after SHUT_WR")
{
	struct pair p = pair();
	SHUTDOWN(p.client, SHUT_WR);
	GETPEERNAME(p.client);
	GETSOCKNAME(p.client);
	settle();
	GETPEERNAME(p.server);
}

CASE(name_after_peer_closed, "both names remain when the peer has gone")
{
	struct pair p = pair();
	CLOSE(p.client);
	RECV(p.server, 1, 0);
	GETPEERNAME(p.server);
	GETSOCKNAME(p.server);
}

CASE(name_after_both_closed, "what the names are when both directions are over")
{
	struct pair p = pair();
	SHUTDOWN(p.client, SHUT_WR);
	RECV(p.server, 1, 0);
	SHUTDOWN(p.server, SHUT_WR);
	RECV(p.client, 1, 0);
	settle();
	GETPEERNAME(p.client);
	GETPEERNAME(p.server);
	GETSOCKNAME(p.client);
	GETSOCKNAME(p.server);
}

static void reset(struct pair *p)
{
	struct pollfd over = {.fd = p->client, .events = POLLRDHUP};
	SEND(p->client, "nobody reads this", 0);
	settle();
	CLOSE(p->server);
	poll(&over, 1, 5000); /* a machine may be busy */
	settle();
}

CASE(name_after_reset, "a peer that has reset the connection has no name any more")
{
	struct pair p = pair();
	reset(&p);
	GETPEERNAME(p.client);
	GETSOCKNAME(p.client);
}

CASE(name_after_reset_seen, "nor when the error has been taken")
{
	struct pair p = pair();
	reset(&p);
	GETSOCKOPT(p.client, SOL_SOCKET, SO_ERROR);
	GETPEERNAME(p.client);
}

CASE(name_after_reset_received, "nor when recv has reported it")
{
	struct pair p = pair();
	reset(&p);
	RECV(p.client, 1, 0);
	GETPEERNAME(p.client);
}

CASE(name_after_write_to_closed, "nor one that has closed and been written to")
{
	struct pair p = pair();
	CLOSE(p.server);
	settle();
	GETPEERNAME(p.client);
	SEND(p.client, "x", 0);
	settle();
	GETPEERNAME(p.client);
}

CASE(name_after_own_shutdown, "the names after SHUT_RDWR while the peer lives")
{
	struct pair p = pair();
	SHUTDOWN(p.client, SHUT_RDWR);
	settle();
	GETPEERNAME(p.client);
	GETSOCKNAME(p.client);
	GETPEERNAME(p.server);
}

CASE(name_numbers_reused, "a closed socket's name doesn't show on the next with its number")
{
	struct pair p = pair();
	int number = p.client;
	CLOSE(p.client);
	int c = SOCKET(AF_INET, SOCK_STREAM, 0);
	VALUE(c == number);
	GETPEERNAME(c);
	GETSOCKNAME(c);
	GETSOCKOPT(c, SOL_SOCKET, SO_DOMAIN);
}

CASE(name_resolved_numeric, "getnameinfo prints the peer's address and port as numbers")
{
	struct pair p = pair();
	struct addr peer = {.length = sizeof(peer.storage)};
	char host[64], service[16];
	getpeername(p.client, sa(&peer), &peer.length);
	begin("getnameinfo");
	finish(getnameinfo(sa(&peer), peer.length, host, sizeof(host), service, sizeof(service),
		NI_NUMERICHOST | NI_NUMERICSERV));
	record("%s %s", host, port_text(atoi(service)));
}

CASE(name_localhost, "localhost resolves to loopback addresses that connect")
{
	struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found;
	int s = listener(), c = tcp();
	struct addr at = address_of(s);
	char service[16];
	snprintf(service, sizeof(service), "%u", port_of(&at));
	begin("getaddrinfo(localhost)");
	int error = getaddrinfo("localhost", service, &hints, &found);
	errno = EXFULL; /* libc's own look-ups touch it on TCP too */
	finish(error);
	record("%s", sockaddr_text(found->ai_addr, found->ai_addrlen, found->ai_addrlen));
	begin("connect(c, found)");
	finish(connect(c, found->ai_addr, found->ai_addrlen));
	freeaddrinfo(found);
	GETPEERNAME(c);
}

CASE_EACH(name_dup_agrees, "a dup has the same names")
{
	struct pair p = pair();
	int c = DUP(p.client), a = DUP(p.server), s = DUP(p.listener);
	GETPEERNAME(c);
	GETSOCKNAME(c);
	GETPEERNAME(a);
	GETSOCKNAME(a);
	GETSOCKNAME(s);
}

CASE(name_flow_and_scope, "the flow label and scope that a connect asked for aren't returned")
{
	family = AF_INET6;
	int s = listener(), c = tcp();
	struct addr to = address_of(s);
	struct sockaddr_in6 *in6 = (void *)&to.storage;
	in6->sin6_flowinfo = htonl(5);
	in6->sin6_scope_id = 0;
	CONNECT(c, to);
	GETPEERNAME(c);
	ACCEPT(s);
}

CASE(name_sin_zero, "rubbish in sin_zero is neither minded nor returned")
{
	int s = listener(), c = tcp();
	struct addr to = address_of(s);
	memset(((struct sockaddr_in *)&to.storage)->sin_zero, 0x77, 8);
	CONNECT(c, to);
	GETPEERNAME(c);
}
