/* SPDX-License-Identifier: MIT */
/* epoll: registered before connect or bind, modified after, level, edge and one-shot, through dups and forks.
 */
#include "parity.h"

CASE_EACH(epoll_before_connect, "a socket registered before connect reports its connection with its own data")
{
	int s = listener(), c = tcp(), ep = epoll_new();
	nonblocking(c);
	EPOLL_ADD(ep, c, EPOLLIN | EPOLLOUT | EPOLLRDHUP, 0x1234567890abcdef);
	EPOLL_WAIT(ep);
	CONNECT(c, address_of(s));
	POLL_WAIT(c, POLLOUT);
	EPOLL_WAIT(ep);
	int a = ACCEPT(s);
	SEND(a, "x", 0);
	EPOLL_WAIT(ep);
	CLOSE(a);
	EPOLL_WAIT(ep);
}

CASE(epoll_before_blocking_connect, "the same with a blocking connect")
{
	int s = listener(), c = tcp(), ep = epoll_new();
	EPOLL_ADD(ep, c, EPOLLIN, 7);
	CONNECT(c, address_of(s));
	int a = accept_from(s);
	EPOLL_WAIT(ep);
	SEND(a, "x", 0);
	EPOLL_WAIT(ep);
	RECV(c, 1, 0);
	EPOLL_WAIT(ep);
}

CASE(epoll_before_connect_edge, "edge-triggered before connect: one edge for the connection, one for data")
{
	int s = listener(), c = tcp(), ep = epoll_new();
	nonblocking(c);
	EPOLL_ADD(ep, c, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, 3);
	EPOLL_WAIT(ep);
	EPOLL_WAIT(ep);
	CONNECT(c, address_of(s));
	POLL_WAIT(c, POLLOUT);
	EPOLL_WAIT(ep);
	EPOLL_WAIT(ep);
	int a = accept_from(s);
	SEND(a, "x", 0);
	EPOLL_WAIT(ep);
	EPOLL_WAIT(ep);
	SEND(a, "y", 0);
	EPOLL_WAIT(ep);
	RECV(c, 10, 0);
	EPOLL_WAIT(ep);
}

CASE(epoll_before_connect_oneshot, "one-shot before connect fires once, and again when it is armed")
{
	int s = listener(), c = tcp(), ep = epoll_new();
	nonblocking(c);
	CONNECT(c, address_of(s));
	POLL_WAIT(c, POLLOUT);
	int a = accept_from(s);
	EPOLL_ADD(ep, c, EPOLLIN | EPOLLONESHOT, 5);
	SEND(a, "x", 0);
	EPOLL_WAIT(ep);
	EPOLL_WAIT(ep);
	EPOLL_MOD(ep, c, EPOLLIN | EPOLLONESHOT, 6);
	EPOLL_WAIT(ep);
	EPOLL_WAIT(ep);
}

CASE(epoll_oneshot_spent_before_connect, "a one-shot that has fired stays silent after the connect")
{
	int s = listener(), c = tcp(), ep = epoll_new();
	nonblocking(c);
	EPOLL_ADD(ep, c, EPOLLOUT | EPOLLONESHOT, 5);
	EPOLL_WAIT(ep);
	CONNECT(c, address_of(s));
	POLL_WAIT(c, POLLOUT);
	EPOLL_WAIT(ep);
	EPOLL_MOD(ep, c, EPOLLOUT | EPOLLONESHOT, 6);
	EPOLL_WAIT(ep);
	EPOLL_WAIT(ep);
}

CASE(epoll_refused, "a registered socket that is refused reports ERR and HUP")
{
	int c = tcp(), ep = epoll_new();
	nonblocking(c);
	EPOLL_ADD(ep, c, EPOLLIN | EPOLLOUT, 9);
	CONNECT(c, nobody());
	EPOLL_WAIT(ep);
	GETSOCKOPT(c, SOL_SOCKET, SO_ERROR);
	EPOLL_WAIT(ep);
	EPOLL_DEL(ep, c);
}

CASE(epoll_refused_then_again, "a refused socket's registration serves its next attempt")
{
	int c = tcp(), ep = epoll_new();
	nonblocking(c);
	EPOLL_ADD(ep, c, EPOLLIN | EPOLLOUT, 9);
	CONNECT(c, nobody());
	poll(&(struct pollfd){.fd = c, .events = POLLOUT}, 1, 2000); /* till it is refused */
	EPOLL_WAIT(ep);
	CONNECT(c, nobody());
	int s = listener();
	CONNECT(c, address_of(s));
	POLL_WAIT(c, POLLOUT);
	EPOLL_WAIT(ep);
	int a = accept_from(s);
	SEND(a, "x", 0);
	EPOLL_WAIT(ep);
}

CASE(epoll_blocking_refused, "a registration outlives a refused blocking connect")
{
	int c = tcp(), ep = epoll_new(), s = listener();
	EPOLL_ADD(ep, c, EPOLLIN | EPOLLOUT, 4);
	CONNECT(c, nobody());
	EPOLL_MOD(ep, c, EPOLLIN, 5);
	CONNECT(c, address_of(s));
	int a = accept_from(s);
	SEND(a, "x", 0);
	EPOLL_WAIT(ep);
}

CASE_EACH(epoll_modified_after_connect, "MOD after connect finds the registration and changes it")
{
	int s = listener(), c = tcp(), ep = epoll_new();
	EPOLL_ADD(ep, c, EPOLLIN, 1);
	CONNECT(c, address_of(s));
	EPOLL_MOD(ep, c, EPOLLOUT, 2);
	EPOLL_WAIT(ep);
	EPOLL_MOD(ep, c, EPOLLIN | EPOLLET, 3);
	EPOLL_WAIT(ep);
	int a = accept_from(s);
	SEND(a, "x", 0);
	EPOLL_WAIT(ep);
	EPOLL_WAIT(ep);
}

CASE(epoll_modified_before_connect, "what MOD made of a registration is what holds after connect")
{
	int s = listener(), c = tcp(), ep = epoll_new();
	EPOLL_ADD(ep, c, EPOLLIN, 1);
	EPOLL_MOD(ep, c, EPOLLOUT | EPOLLET, 2);
	EPOLL_WAIT(ep);
	CONNECT(c, address_of(s));
	EPOLL_WAIT(ep);
	EPOLL_WAIT(ep);
	EPOLL_MOD(ep, c, EPOLLOUT, 3);
	EPOLL_WAIT(ep);
	EPOLL_WAIT(ep);
}

CASE(epoll_deleted_after_connect, "DEL after connect takes it off, and a second says ENOENT")
{
	int s = listener(), c = tcp(), ep = epoll_new();
	EPOLL_ADD(ep, c, EPOLLOUT, 1);
	CONNECT(c, address_of(s));
	EPOLL_WAIT(ep);
	EPOLL_DEL(ep, c);
	EPOLL_WAIT(ep);
	EPOLL_DEL(ep, c);
	EPOLL_MOD(ep, c, EPOLLOUT, 1);
	EPOLL_ADD(ep, c, EPOLLOUT, 2);
	EPOLL_WAIT(ep);
}

CASE(epoll_deleted_before_connect, "what was taken off before connect doesn't come back")
{
	int s = listener(), c = tcp(), ep = epoll_new();
	EPOLL_ADD(ep, c, EPOLLOUT, 1);
	EPOLL_DEL(ep, c);
	CONNECT(c, address_of(s));
	EPOLL_WAIT(ep);
	EPOLL_ADD(ep, c, EPOLLOUT, 2);
	EPOLL_WAIT(ep);
}

CASE(epoll_added_twice, "a second ADD says EEXIST, before connect and after")
{
	int s = listener(), c = tcp(), ep = epoll_new();
	EPOLL_ADD(ep, c, EPOLLOUT, 1);
	EPOLL_ADD(ep, c, EPOLLOUT, 2);
	CONNECT(c, address_of(s));
	EPOLL_ADD(ep, c, EPOLLOUT, 3);
	EPOLL_WAIT(ep);
}

CASE_EACH(epoll_before_bind, "a listener registered before bind reports its clients")
{
	int s = tcp(), c = tcp(), ep = epoll_new();
	nonblocking(s);
	EPOLL_ADD(ep, s, EPOLLIN, 0xfeed);
	EPOLL_WAIT(ep);
	BIND(s, loopback(0));
	EPOLL_WAIT(ep);
	LISTEN(s, 5);
	EPOLL_WAIT(ep);
	CONNECT(c, address_of(s));
	EPOLL_WAIT(ep);
	ACCEPT(s);
	EPOLL_WAIT(ep);
}

CASE(epoll_between_bind_and_listen, "a listener registered between bind and listen, edge-triggered")
{
	int s = tcp(), ep = epoll_new();
	nonblocking(s);
	BIND(s, loopback(0));
	EPOLL_ADD(ep, s, EPOLLIN | EPOLLET, 1);
	EPOLL_WAIT(ep);
	LISTEN(s, 5);
	EPOLL_WAIT(ep);
	connect_to(tcp(), address_of(s));
	EPOLL_WAIT(ep);
	EPOLL_WAIT(ep);
	connect_to(tcp(), address_of(s));
	EPOLL_WAIT(ep);
	ACCEPT(s);
	ACCEPT(s);
	ACCEPT(s);
	EPOLL_WAIT(ep);
}

CASE(epoll_listen_unbound, "a listener registered before a listen that binds by itself")
{
	int s = tcp(), ep = epoll_new();
	EPOLL_ADD(ep, s, EPOLLIN, 1);
	LISTEN(s, 5);
	struct addr at = address_of(s);
	connect_to(tcp(), loopback(port_of(&at)));
	EPOLL_WAIT(ep);
}

CASE(epoll_two_sets, "a socket in two epoll sets reports in both after connect")
{
	int s = listener(), c = tcp(), ep = epoll_new(), eq = epoll_new();
	EPOLL_ADD(ep, c, EPOLLOUT, 1);
	EPOLL_ADD(eq, c, EPOLLIN, 2);
	CONNECT(c, address_of(s));
	int a = accept_from(s);
	SEND(a, "x", 0);
	EPOLL_WAIT(ep);
	EPOLL_WAIT(eq);
	EPOLL_DEL(ep, c);
	EPOLL_WAIT(ep);
	EPOLL_WAIT(eq);
}

CASE(epoll_five_sets, "a socket in five epoll sets reports in all of them, each with its data")
{
	int s = listener(), c = tcp(), sets[5];
	for (int i = 0; i < 5; i++) {
		sets[i] = epoll_new();
		EPOLL_ADD(sets[i], c, EPOLLIN | EPOLLOUT, 10 + i);
	}
	CONNECT(c, address_of(s));
	for (int i = 0; i < 5; i++)
		EPOLL_WAIT(sets[i]);
	for (int i = 0; i < 5; i++)
		EPOLL_MOD(sets[i], c, EPOLLIN, 20 + i);
	int a = accept_from(s);
	SEND(a, "x", 0);
	for (int i = 0; i < 5; i++)
		EPOLL_WAIT(sets[i]);
}

CASE(epoll_set_closed_before_connect, "an epoll set that was closed before connect is no trouble")
{
	int s = listener(), c = tcp(), ep = epoll_new();
	EPOLL_ADD(ep, c, EPOLLOUT, 1);
	CLOSE(ep);
	int other = epoll_new(); /* the number is used again */
	CONNECT(c, address_of(s));
	EPOLL_WAIT(other);
	EPOLL_ADD(other, c, EPOLLOUT, 2);
	EPOLL_WAIT(other);
}

CASE(epoll_set_dup, "a registration made through a dup of the epoll set is the same registration")
{
	int s = listener(), c = tcp(), ep = epoll_new(), eq = DUP(ep);
	EPOLL_ADD(ep, c, EPOLLOUT, 1);
	EPOLL_ADD(eq, c, EPOLLOUT, 1);
	CLOSE(ep);
	CONNECT(c, address_of(s));
	EPOLL_WAIT(eq);
	EPOLL_MOD(eq, c, EPOLLOUT | EPOLLIN, 2);
	EPOLL_WAIT(eq);
}

CASE(epoll_nested, "an epoll set in another becomes readable when the socket in it is")
{
	int s = listener(), c = tcp(), inner = epoll_new(), outer = epoll_new();
	EPOLL_ADD(inner, c, EPOLLIN, 1);
	EPOLL_ADD(outer, inner, EPOLLIN, 2);
	CONNECT(c, address_of(s));
	EPOLL_WAIT(outer);
	int a = accept_from(s);
	SEND(a, "x", 0);
	EPOLL_WAIT(outer);
	EPOLL_WAIT(inner);
}

CASE(epoll_close_removes, "a closed socket leaves its epoll set")
{
	struct pair p = pair();
	int ep = epoll_new();
	EPOLL_ADD(ep, p.server, EPOLLIN, 1);
	SEND(p.client, "x", 0);
	EPOLL_WAIT(ep);
	CLOSE(p.server);
	EPOLL_WAIT(ep);
	EPOLL_DEL(ep, p.server);
}

CASE(epoll_close_with_dup, "a socket closed while a dup lives stays in the set, and DEL no longer finds it")
{
	struct pair p = pair();
	int ep = epoll_new(), kept = DUP(p.server);
	EPOLL_ADD(ep, p.server, EPOLLIN, 1);
	CLOSE(p.server);
	SEND(p.client, "x", 0);
	EPOLL_WAIT(ep);
	EPOLL_DEL(ep, p.server);
	CLOSE(kept);
	EPOLL_WAIT(ep);
}

CASE(epoll_number_reused, "a closed socket's registration isn't the next one's with its number")
{
	int s = listener(), c = tcp(), number = c, ep = epoll_new();
	EPOLL_ADD(ep, c, EPOLLOUT, 1);
	CLOSE(c);
	c = tcp();
	VALUE(c == number);
	CONNECT(c, address_of(s));
	EPOLL_WAIT(ep);
	EPOLL_MOD(ep, c, EPOLLOUT, 2);
	EPOLL_ADD(ep, c, EPOLLOUT, 3);
	EPOLL_WAIT(ep);
}

CASE(epoll_number_reused_after_connect,
	"a connected socket closed, its number connected again, nothing left behind")
{
	int s = listener(), c = tcp(), ep = epoll_new();
	EPOLL_ADD(ep, c, EPOLLOUT, 1);
	CONNECT(c, address_of(s));
	CLOSE(c);
	EPOLL_WAIT(ep);
	c = tcp();
	EPOLL_ADD(ep, c, EPOLLOUT, 2);
	CONNECT(c, address_of(s));
	EPOLL_WAIT(ep);
	CLOSE(c);
	EPOLL_WAIT(ep);
}

CASE(epoll_dup_registered, "a dup registered before connect reports the connection under its own data")
{
	int s = listener(), c = tcp(), d = DUP(c), ep = epoll_new();
	EPOLL_ADD(ep, c, EPOLLOUT, 1);
	EPOLL_ADD(ep, d, EPOLLOUT, 2);
	CONNECT(c, address_of(s));
	EPOLL_WAIT(ep);
	EPOLL_DEL(ep, d);
	EPOLL_WAIT(ep);
	EPOLL_DEL(ep, c);
	EPOLL_WAIT(ep);
}

CASE(epoll_unspec, "a registration survives AF_UNSPEC and serves the next connection")
{
	struct pair p = pair();
	int ep = epoll_new();
	EPOLL_ADD(ep, p.client, EPOLLIN, 1);
	CONNECT(p.client, unspecified());
	EPOLL_WAIT(ep);
	CONNECT(p.client, address_of(p.listener));
	EPOLL_WAIT(ep);
	int a = accept_from(p.listener);
	SEND(a, "x", 0);
	EPOLL_WAIT(ep);
	EPOLL_MOD(ep, p.client, EPOLLIN | EPOLLOUT, 2);
	EPOLL_WAIT(ep);
}

CASE(epoll_fresh, "a fresh socket in epoll reports OUT and HUP")
{
	int c = tcp(), ep = epoll_new();
	EPOLL_ADD(ep, c, EPOLL_ALL, 1);
	EPOLL_WAIT(ep);
	EPOLL_WAIT(ep);
}

CASE(epoll_bound, "a socket that is bound and no more")
{
	int c = tcp(), ep = epoll_new();
	BIND(c, loopback(0));
	EPOLL_ADD(ep, c, EPOLL_ALL, 1);
	EPOLL_WAIT(ep);
}

CASE(epoll_half_close, "the peer's half-close reports IN and RDHUP, edge-triggered once")
{
	struct pair p = pair();
	int ep = epoll_new(), eq = epoll_new();
	EPOLL_ADD(ep, p.server, EPOLL_ALL, 1);
	EPOLL_ADD(eq, p.server, EPOLL_ALL | EPOLLET, 2);
	EPOLL_WAIT(eq);
	SHUTDOWN(p.client, SHUT_WR);
	EPOLL_WAIT(ep);
	EPOLL_WAIT(eq);
	EPOLL_WAIT(eq);
	RECV(p.server, 1, 0);
	EPOLL_WAIT(ep);
}

CASE(epoll_peer_closed, "the peer's close")
{
	struct pair p = pair();
	int ep = epoll_new();
	EPOLL_ADD(ep, p.server, EPOLL_ALL, 1);
	SEND(p.client, "last", 0);
	CLOSE(p.client);
	EPOLL_WAIT(ep);
	RECV(p.server, 10, 0);
	EPOLL_WAIT(ep);
}

CASE(epoll_edge_writable, "edge-triggered OUT comes back when a full buffer was drained")
{
	struct pair p = pair();
	static char data[65536];
	int ep = epoll_new();
	nonblocking(p.client);
	nonblocking(p.server);
	EPOLL_ADD(ep, p.client, EPOLLOUT | EPOLLET, 1);
	EPOLL_WAIT(ep);
	while (send(p.client, data, sizeof(data), 0) > 0)
		;
	record("send: %s", error_name(errno));
	EPOLL_WAIT(ep);
	for (int idle = 0; idle < 20;) {
		if (recv(p.server, data, sizeof(data), 0) > 0)
			idle = 0;
		else
			idle++, pause_ms(10);
	}
	EPOLL_WAIT(ep);
	EPOLL_WAIT(ep);
}

CASE(epoll_exclusive, "EPOLLEXCLUSIVE on a listener, and what it can't be combined with")
{
	int s = listener(), ep = epoll_new(), eq = epoll_new();
	EPOLL_ADD(ep, s, EPOLLIN | EPOLLEXCLUSIVE, 1);
	EPOLL_ADD(eq, s, EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT, 2);
	EPOLL_ADD(eq, s, EPOLLIN | EPOLLEXCLUSIVE, 2);
	EPOLL_MOD(eq, s, EPOLLIN, 3);
	connect_to(tcp(), address_of(s));
	EPOLL_WAIT(ep);
	EPOLL_WAIT(eq);
}

CASE(epoll_exclusive_before_bind, "EPOLLEXCLUSIVE registered before bind")
{
	int s = tcp(), ep = epoll_new();
	EPOLL_ADD(ep, s, EPOLLIN | EPOLLEXCLUSIVE, 1);
	BIND(s, loopback(0));
	LISTEN(s, 5);
	connect_to(tcp(), address_of(s));
	EPOLL_WAIT(ep);
	EPOLL_MOD(ep, s, EPOLLIN, 2);
}

static void *wait_in_epoll(void *epoll)
{
	struct epoll_event event;
	if (epoll_wait(*(int *)epoll, &event, 1, 3000) != 1)
		return (void *)-1L;
	return (void *)(long)event.data.u64;
}

CASE(epoll_waiting_thread, "a thread that sleeps in epoll_wait is woken by a connection made meanwhile")
{
	int s = listener(), c = tcp(), ep = epoll_new();
	pthread_t thread;
	EPOLL_ADD(ep, c, EPOLLIN, 77);
	pthread_create(&thread, NULL, wait_in_epoll, &ep);
	/* a fresh socket reports HUP at once, so this one says nothing about waking */
	void *woken;
	pthread_join(thread, &woken);
	VALUE((long)woken);
	CONNECT(c, address_of(s));
	pthread_create(&thread, NULL, wait_in_epoll, &ep);
	pause_ms(50);
	int a = accept_from(s);
	SEND(a, "x", 0);
	pthread_join(thread, &woken);
	VALUE((long)woken);
}

CASE(epoll_waiting_thread_listener, "a thread asleep in epoll_wait is woken by a listener bound meanwhile")
{
	int s = tcp(), ep = epoll_new();
	pthread_t thread;
	BIND(s, loopback(0));
	LISTEN(s, 5);
	EPOLL_ADD(ep, s, EPOLLIN, 78);
	pthread_create(&thread, NULL, wait_in_epoll, &ep);
	pause_ms(50);
	connect_to(tcp(), address_of(s));
	void *woken;
	pthread_join(thread, &woken);
	VALUE((long)woken);
}

CASE(epoll_bad_arguments, "what epoll_ctl refuses")
{
	int c = tcp(), ep = epoll_new();
	EPOLL_ADD(ep, 700, EPOLLIN, 1);
	EPOLL_ADD(700, c, EPOLLIN, 1);
	EPOLL_ADD(c, ep, EPOLLIN, 1);
	EPOLL_ADD(ep, ep, EPOLLIN, 1);
	EPOLL_MOD(ep, c, EPOLLIN, 1);
	EPOLL_DEL(ep, c);
	begin("epoll_ctl(an unknown operation)");
	finish(epoll_ctl(ep, 9, c, &(struct epoll_event){0}));
	begin("epoll_ctl(ADD, NULL)");
	finish(epoll_ctl(ep, EPOLL_CTL_ADD, c, NULL));
	begin("epoll_ctl(DEL, NULL)");
	finish(epoll_ctl(ep, EPOLL_CTL_DEL, c, NULL));
	int file = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
	EPOLL_ADD(ep, file, EPOLLIN, 1);
}

CASE(epoll_delete_null_after_connect, "DEL with no event, after connect")
{
	int s = listener(), c = tcp(), ep = epoll_new();
	EPOLL_ADD(ep, c, EPOLLOUT, 1);
	CONNECT(c, address_of(s));
	begin("epoll_ctl(DEL, NULL)");
	finish(epoll_ctl(ep, EPOLL_CTL_DEL, c, NULL));
	EPOLL_WAIT(ep);
}

CASE(epoll_by_syscall, "a registration made by syscall(2) survives connect too")
{
	int s = listener(), c = tcp(), ep = epoll_new();
	struct epoll_event event = {.events = EPOLLOUT, .data.u64 = 5};
	begin("syscall(SYS_epoll_ctl)");
	finish(syscall(SYS_epoll_ctl, ep, EPOLL_CTL_ADD, c, &event));
	CONNECT(c, address_of(s));
	EPOLL_WAIT(ep);
}

CASE(epoll_fork_shared, "a child's view of the parent's epoll set and connection")
{
	int s = listener(), c = tcp(), ep = epoll_new();
	EPOLL_ADD(ep, c, EPOLLIN, 1);
	CONNECT(c, address_of(s));
	int a = accept_from(s);
	SEND(a, "x", 0);
	pid_t pid = child();
	if (!pid) {
		EPOLL_WAIT(ep);
		EPOLL_MOD(ep, c, EPOLLIN | EPOLLOUT, 2);
		done();
	}
	wait_for(pid);
	EPOLL_WAIT(ep);
}

CASE(epoll_many_sockets, "forty sockets registered, connected and reported, each under its number")
{
	int s = listener(), ep = epoll_new(), good = 0;
	struct addr to = address_of(s);
	for (int i = 0; i < 40; i++) {
		int c = tcp();
		nonblocking(c);
		struct epoll_event event = {.events = EPOLLOUT | EPOLLET, .data.fd = c};
		epoll_ctl(ep, EPOLL_CTL_ADD, c, &event);
		(void)connect(c, sa(&to), to.length);
		struct pollfd entry = {.fd = c, .events = POLLOUT};
		poll(&entry, 1, 2000);
	}
	struct epoll_event events[64];
	settle();
	int count = epoll_wait(ep, events, 64, 0);
	for (int i = 0; i < count; i++)
		good += events[i].events == EPOLLOUT;
	VALUE(count);
	VALUE(good);
}

CASE(epoll_wakeup_events, "flags that epoll takes besides the bits: EPOLLWAKEUP, EPOLLMSG, EPOLLRDNORM")
{
	int s = listener(), c = tcp(), ep = epoll_new();
	EPOLL_ADD(ep, c, EPOLLRDNORM | EPOLLWRNORM | EPOLLWAKEUP, 1);
	CONNECT(c, address_of(s));
	begin("epoll_wait");
	struct epoll_event event = {0};
	finish(epoll_wait(ep, &event, 1, 1000));
	VALUE(event.events & (EPOLLRDNORM | EPOLLWRNORM | EPOLLOUT));
}

CASE(epoll_connected_then_added, "registered after connect, as most clients do")
{
	struct pair p = pair();
	int ep = epoll_new();
	EPOLL_ADD(ep, p.client, EPOLL_ALL, 1);
	EPOLL_ADD(ep, p.server, EPOLL_ALL, 2);
	EPOLL_ADD(ep, p.listener, EPOLLIN, 3);
	EPOLL_WAIT(ep);
	SEND(p.client, "x", 0);
	EPOLL_WAIT(ep);
	connect_to(tcp(), address_of(p.listener));
	EPOLL_WAIT(ep);
}

/* poll and select */

CASE_EACH(poll_fresh, "poll on a fresh socket and on a bound one: OUT and HUP")
{
	int c = tcp();
	POLL(c);
	BIND(c, loopback(0));
	POLL(c);
}

CASE(poll_listener, "poll on a listener, idle and with a client")
{
	int s = listener();
	POLL(s);
	connect_to(tcp(), address_of(s));
	POLL(s);
	ACCEPT(s);
	POLL(s);
}

CASE(poll_data, "poll on a connection: idle, with data, read out")
{
	struct pair p = pair();
	POLL(p.client);
	POLL(p.server);
	SEND(p.client, "x", 0);
	POLL(p.server);
	POLL(p.client);
	RECV(p.server, 1, 0);
	POLL(p.server);
}

CASE(poll_peer_half_closed, "poll when the peer has shut down its sending side")
{
	struct pair p = pair();
	SHUTDOWN(p.client, SHUT_WR);
	POLL(p.server);
	RECV(p.server, 1, 0);
	POLL(p.server);
}

CASE(poll_own_half_close, "OUT stays after one's own SHUT_WR")
{
	struct pair p = pair();
	SHUTDOWN(p.client, SHUT_WR);
	POLL(p.client);
}

CASE(poll_own_shutdown_read, "poll after one's own SHUT_RD")
{
	struct pair p = pair();
	SHUTDOWN(p.client, SHUT_RD);
	POLL(p.client);
	POLL(p.server);
}

CASE(poll_both_half_closed, "poll when both sides have shut down")
{
	struct pair p = pair();
	SHUTDOWN(p.client, SHUT_WR);
	settle();
	SHUTDOWN(p.server, SHUT_WR);
	POLL(p.client);
	POLL(p.server);
}

CASE(poll_own_shutdown_both, "poll after SHUT_RDWR, on both ends")
{
	struct pair p = pair();
	SHUTDOWN(p.client, SHUT_RDWR);
	POLL(p.client);
	POLL(p.server);
}

CASE(poll_peer_closed, "poll when the peer has closed, with and without data left")
{
	struct pair p = pair();
	SEND(p.client, "x", 0);
	CLOSE(p.client);
	POLL(p.server);
	RECV(p.server, 1, 0);
	POLL(p.server);
}

CASE(poll_peer_reset, "poll when the peer has reset the connection")
{
	struct pair p = pair();
	SETSOCKOPT_DATA(p.client, SOL_SOCKET, SO_LINGER, (&(struct linger){1, 0}), sizeof(struct linger));
	CLOSE(p.client);
	POLL(p.server);
	RECV(p.server, 1, MSG_DONTWAIT);
	POLL(p.server);
}

CASE(poll_full, "poll on a full send buffer has no OUT, and has it again when the peer has read")
{
	struct pair p = pair();
	static char data[65536];
	nonblocking(p.client);
	nonblocking(p.server);
	while (send(p.client, data, sizeof(data), 0) > 0)
		;
	record("send: %s", error_name(errno));
	POLL(p.client);
	for (int idle = 0; idle < 20;) {
		if (recv(p.server, data, sizeof(data), 0) > 0)
			idle = 0;
		else
			idle++, pause_ms(10);
	}
	POLL(p.client);
}

CASE(poll_refused_blocking, "poll after a blocking connect was refused")
{
	int c = tcp();
	CONNECT(c, nobody());
	POLL(c);
	CONNECT(c, nobody());
	POLL(c);
}

CASE(poll_interrupted, "a signal interrupts poll and epoll_wait whatever its flags")
{
	struct pair p = pair();
	int ep = epoll_new();
	after_signal(100, SIGUSR2);
	do_poll("p.server", p.server, POLLIN, 2000);
	EPOLL_ADD(ep, p.server, EPOLLIN, 1);
	after_signal(100, SIGUSR2);
	struct epoll_event event;
	begin("epoll_wait");
	finish(epoll_wait(ep, &event, 1, 2000));
}

static void do_select(const char *name, int fd)
{
	fd_set in, out, urgent;
	FD_ZERO(&in);
	FD_ZERO(&out);
	FD_ZERO(&urgent);
	FD_SET(fd, &in);
	FD_SET(fd, &out);
	FD_SET(fd, &urgent);
	settle();
	begin("select(%s)", name);
	int count = select(fd + 1, &in, &out, &urgent, &(struct timeval){0, 0});
	finish_note("%s%s%s", count > 0 && FD_ISSET(fd, &in) ? " in" : "",
		count > 0 && FD_ISSET(fd, &out) ? " out" : "",
		count > 0 && FD_ISSET(fd, &urgent) ? " except" : "");
	finish(count);
}
#define SELECT(fd) do_select(#fd, fd)

CASE(select_states, "select on fresh, listening, connected, refused and ended sockets")
{
	int fresh = tcp(), refused = tcp();
	struct pair p = pair();
	SELECT(fresh);
	SELECT(p.listener);
	SELECT(p.client);
	nonblocking(refused);
	CONNECT(refused, nobody());
	SELECT(refused);
	GETSOCKOPT(refused, SOL_SOCKET, SO_ERROR);
	SELECT(refused);
	SEND(p.client, "x", 0);
	SELECT(p.server);
	RECV(p.server, 1, 0);
	SHUTDOWN(p.client, SHUT_WR);
	SELECT(p.server);
	SELECT(p.client);
}

CASE(select_nonblocking_connect, "the classic: select for writing, then SO_ERROR")
{
	int s = listener(), c = tcp();
	nonblocking(c);
	CONNECT(c, address_of(s));
	fd_set out;
	FD_ZERO(&out);
	FD_SET(c, &out);
	begin("select");
	finish(select(c + 1, NULL, &out, NULL, &(struct timeval){2, 0}));
	GETSOCKOPT(c, SOL_SOCKET, SO_ERROR);
	SELECT(c);
}

CASE(poll_many, "one poll over a listener, a client, a server, a pipe and nothing")
{
	struct pair p = pair();
	int ends[2];
	if (pipe(ends))
		give_up("pipe");
	SEND(p.server, "x", 0);
	settle();
	struct pollfd entries[] = {{p.listener, POLLIN, 0}, {p.client, POLLIN, 0}, {p.server, POLLIN, 0},
		{ends[0], POLLIN, 0}, {-1, POLLIN, 0}, {700, POLLIN, 0}};
	begin("poll(six)");
	finish(poll(entries, 6, 1000));
	for (int i = 0; i < 6; i++)
		record("%d: %s", i, poll_names(entries[i].revents));
}

CASE(poll_before_connect_thread, "a thread that polls a socket while another connects it")
{
	int s = listener(), c = tcp();
	nonblocking(c);
	CONNECT(c, address_of(s));
	POLL_WAIT(c, POLLOUT);
	int a = accept_from(s);
	pthread_t thread;
	int ep = epoll_new();
	EPOLL_ADD(ep, c, EPOLLIN | EPOLLET, 5);
	pthread_create(&thread, NULL, wait_in_epoll, &ep);
	pause_ms(30);
	SEND(a, "x", 0);
	void *woken;
	pthread_join(thread, &woken);
	VALUE((long)woken);
}
