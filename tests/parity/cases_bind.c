/* SPDX-License-Identifier: MIT */
/* bind and listen: ports, wildcards, who may share what. */
#include "parity.h"

#include <sys/prctl.h>

CASE_EACH(bind_port_zero, "port 0 becomes a port that getsockname returns")
{
	int s = tcp();
	BIND(s, loopback(0));
	GETSOCKNAME(s);
	struct addr at = address_of(s);
	VALUE(port_of(&at) > 1023);
	LISTEN(s, 5);
	GETSOCKNAME(s);
	int c = tcp();
	CONNECT(c, at);
	ACCEPT(s);
}

CASE(bind_port_zero_range, "a port that bind chose lies in the kernel's ephemeral range")
{
	int low = 0, high = 0, inside = 0;
	FILE *range = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
	if (!range || fscanf(range, "%d %d", &low, &high) != 2)
		give_up("ip_local_port_range");
	fclose(range);
	for (int i = 0; i < 20; i++) {
		struct addr own = loopback(0);
		int s = tcp();
		if (bind(s, sa(&own), own.length))
			give_up("bind");
		own = address_of(s);
		inside += (int)port_of(&own) >= low && (int)port_of(&own) <= high;
	}
	VALUE(inside);
}

CASE(bind_port_zero_distinct, "a hundred sockets get a hundred different ports")
{
	unsigned char seen[65536] = {0};
	int distinct = 0;
	for (int i = 0; i < 100; i++) {
		struct addr own = wildcard(0);
		int s = tcp();
		if (bind(s, sa(&own), own.length))
			give_up("bind");
		own = address_of(s);
		distinct += !seen[port_of(&own)]++;
	}
	VALUE(distinct);
}

CASE_EACH(bind_wildcard, "a wildcard is shown as such, and what is accepted has the real address")
{
	int s = tcp(), c = tcp();
	BIND(s, wildcard(0));
	GETSOCKNAME(s);
	LISTEN(s, 5);
	GETSOCKNAME(s);
	struct addr at = address_of(s);
	CONNECT(c, loopback(port_of(&at)));
	int a = ACCEPT(s);
	GETSOCKNAME(a);
	GETPEERNAME(a);
	GETPEERNAME(c);
	GETSOCKNAME(s);
}

CASE(bind_twice, "a second bind is EINVAL, and the first holds")
{
	int s = tcp();
	BIND(s, loopback(0));
	BIND(s, loopback(0));
	BIND(s, wildcard(0));
	GETSOCKNAME(s);
	LISTEN(s, 1);
	BIND(s, loopback(0));
}

CASE(bind_connected, "bind on a connected socket, on either side, is EINVAL")
{
	struct pair p = pair();
	BIND(p.client, loopback(0));
	BIND(p.server, loopback(0));
	CARRIES(p.client, p.server);
}

CASE(bind_after_refused, "bind after a refused connect")
{
	int c = tcp();
	CONNECT(c, nobody());
	BIND(c, loopback(0));
	LISTEN(c, 1);
}

CASE_EACH(bind_short_length, "an address cut short is EINVAL, a longer one is taken")
{
	int s = tcp();
	struct addr own = loopback(0);
	own.length = family == AF_INET ? 15 : 23;
	BIND(s, own);
	own.length = 0;
	BIND(s, own);
	own.length = 128;
	BIND(s, own);
	GETSOCKNAME(s);
}

CASE(bind_bad_length, "a length of more than 128 bytes or less than none is EINVAL, NULL is EFAULT")
{
	char large[256] = {0};
	int s = tcp();
	struct addr own = loopback(0);
	memcpy(large, &own.storage, own.length);
	begin("bind(s, length 129)");
	finish(bind(s, (void *)large, 129));
	begin("bind(s, length -1)");
	finish(bind(s, (void *)large, (socklen_t)-1));
	begin("bind(s, NULL, 16)");
	finish(bind(s, NULL, 16));
	BIND(s, own);
}

CASE(bind_wrong_family, "another family's address is EAFNOSUPPORT, EINVAL where it is too short")
{
	int s = tcp(), t = SOCKET(AF_INET6, SOCK_STREAM, 0);
	BIND(s, ipv6("::1", 0));
	BIND(t, ipv4("127.0.0.1", 0));
	struct addr own = ipv4("127.0.0.1", 0);
	own.length = 28;
	BIND(t, own);
	own = (struct addr){.storage.ss_family = AF_UNIX, .length = 20};
	BIND(s, own);
	BIND(s, loopback(0));
}

CASE(bind_unspec_family, "AF_UNSPEC with 0.0.0.0 is taken as AF_INET, with another address it isn't")
{
	int s = tcp(), t = tcp();
	struct addr own = wildcard(0);
	own.storage.ss_family = AF_UNSPEC;
	BIND(s, own);
	GETSOCKNAME(s);
	own = loopback(0);
	own.storage.ss_family = AF_UNSPEC;
	BIND(t, own);
}

CASE(bind_foreign_address, "an address that this machine doesn't have is EADDRNOTAVAIL")
{
	int s = tcp();
	BIND(s, ipv4("192.0.2.1", 0));
	BIND(s, loopback(0));
}

CASE_EACH(bind_in_use, "a port that somebody listens on is EADDRINUSE")
{
	int s = listener(), t = tcp();
	BIND(t, address_of(s));
	GETSOCKNAME(t);
	BIND(t, loopback(0));
	LISTEN(t, 1);
}

CASE(bind_in_use_unlistened, "a port that is bound only is EADDRINUSE as well")
{
	int s = tcp(), t = tcp();
	BIND(s, loopback(0));
	BIND(t, address_of(s));
}

CASE(bind_in_use_by_wildcard, "0.0.0.0 excludes 127.0.0.1 and the reverse")
{
	int s = listener_at(wildcard(0), 1), t = tcp(), u = listener(), v = tcp();
	struct addr at = address_of(s);
	BIND(t, loopback(port_of(&at)));
	at = address_of(u);
	BIND(v, wildcard(port_of(&at)));
}

CASE(bind_in_use_other_address, "the same port on another loopback address is free")
{
	int s = listener(), t = tcp(), c = tcp();
	struct addr at = address_of(s), other = ipv4("127.0.0.2", port_of(&at));
	BIND(t, other);
	LISTEN(t, 1);
	CONNECT(c, other);
	nonblocking(s);
	ACCEPT(s);
	ACCEPT(t);
}

CASE(bind_in_use_reuseaddr, "SO_REUSEADDR doesn't share a port that somebody listens on")
{
	int s = tcp(), t = tcp();
	SETSOCKOPT(s, SOL_SOCKET, SO_REUSEADDR, 1);
	SETSOCKOPT(t, SOL_SOCKET, SO_REUSEADDR, 1);
	BIND(s, loopback(0));
	LISTEN(s, 1);
	BIND(t, address_of(s));
}

CASE(bind_shared_by_reuseaddr, "with SO_REUSEADDR two may be bound, and one of them listens")
{
	int s = tcp(), t = tcp();
	SETSOCKOPT(s, SOL_SOCKET, SO_REUSEADDR, 1);
	SETSOCKOPT(t, SOL_SOCKET, SO_REUSEADDR, 1);
	BIND(s, loopback(0));
	BIND(t, address_of(s));
	LISTEN(s, 1);
	LISTEN(t, 1);
}

CASE(bind_reuseport, "two listeners share a port by SO_REUSEPORT, and every client is served")
{
	int s = tcp(), t = tcp(), served = 0;
	SETSOCKOPT(s, SOL_SOCKET, SO_REUSEPORT, 1);
	SETSOCKOPT(t, SOL_SOCKET, SO_REUSEPORT, 1);
	BIND(s, loopback(0));
	LISTEN(s, 8);
	BIND(t, address_of(s));
	LISTEN(t, 8);
	GETSOCKNAME(t);
	nonblocking(s);
	nonblocking(t);
	for (int i = 0; i < 8; i++) {
		int c = tcp();
		connect_to(c, address_of(s));
		settle();
		served += accept(s, NULL, NULL) >= 0 || accept(t, NULL, NULL) >= 0;
	}
	VALUE(served);
	GETSOCKOPT(t, SOL_SOCKET, SO_REUSEPORT);
}

CASE(bind_reuseport_one_sided, "SO_REUSEPORT on the second alone doesn't help")
{
	int s = listener(), t = tcp();
	SETSOCKOPT(t, SOL_SOCKET, SO_REUSEPORT, 1);
	BIND(t, address_of(s));
}

CASE(bind_reuseport_survivor, "one of two that share a port closes, the other serves on")
{
	int s = tcp(), t = tcp(), c = tcp();
	SETSOCKOPT(s, SOL_SOCKET, SO_REUSEPORT, 1);
	SETSOCKOPT(t, SOL_SOCKET, SO_REUSEPORT, 1);
	BIND(s, loopback(0));
	struct addr at = address_of(s);
	BIND(t, at);
	LISTEN(s, 8);
	LISTEN(t, 8);
	CLOSE(s);
	CONNECT(c, at);
	ACCEPT(t);
	CLOSE(t);
	int d = tcp();
	CONNECT(d, at);
}

/* SO_REUSEPORT across processes. Each of them has opened its own socket, and inherited none. */

/* Processes take turns: one waits here for another. */
struct turn {
	int ends[2];
};

static struct turn turn(void)
{
	struct turn turn;
	if (pipe2(turn.ends, O_CLOEXEC))
		give_up("pipe2");
	return turn;
}

static void give(const struct turn *turn)
{
	if (write(turn->ends[1], "", 1) != 1)
		give_up("write");
}

static void await(struct turn *turn) /* which is others' to give, or ends with them */
{
	char byte;
	close(turn->ends[1]);
	turn->ends[1] = -1;
	if (read(turn->ends[0], &byte, 1) != 1)
		give_up("read");
}

static int sharing_socket(void)
{
	int s = tcp();
	if (setsockopt(s, SOL_SOCKET, SO_REUSEPORT, &(int){1}, sizeof(int)))
		give_up("SO_REUSEPORT");
	return s;
}

static int sharing_bound(struct addr at)
{
	int s = sharing_socket();
	if (bind(s, sa(&at), at.length))
		give_up("bind");
	return s;
}

static int sharing_listener(struct addr at)
{
	int s = sharing_bound(at);
	if (listen(s, 8))
		give_up("listen");
	return s;
}

/* A process that opens its socket at that address, and then waits to be ended, or serves what comes. */
static pid_t neighbour(int (*open)(struct addr at), struct addr at, void (*then)(int s))
{
	struct turn ready = turn();
	pid_t pid = child();
	if (!pid) {
		int s = open(at);
		give(&ready);
		then(s);
		done();
	}
	await(&ready);
	close(ready.ends[0]);
	return pid;
}

static void idle(int s)
{
	(void)s;
	pause_ms(20000);
}

static void serve(int s)
{
	nonblocking(s);
	for (;;) {
		struct pollfd client = {.fd = s, .events = POLLIN};
		poll(&client, 1, -1);
		int a = accept(s, NULL, NULL);
		if (a >= 0)
			send(a, "hi", 2, MSG_NOSIGNAL);
		close(a);
	}
}

static void end_neighbour(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

CASE_EACH(bind_reuseport_processes,
	"unrelated processes share a port by SO_REUSEPORT, and every client is served")
{
	struct addr at = loopback(21001);
	int served = 0, s = sharing_socket();
	pid_t first = neighbour(sharing_listener, at, serve), second = neighbour(sharing_listener, at, serve);
	BIND(s, at);
	GETSOCKNAME(s);
	GETSOCKOPT(s, SOL_SOCKET, SO_REUSEPORT);
	for (int i = 0; i < 12; i++) {
		char data[2];
		int c = tcp();
		connect_to(c, at);
		served += recv(c, data, 2, MSG_WAITALL) == 2;
		close(c);
	}
	VALUE(served);
	end_neighbour(first);
	end_neighbour(second);
}

/* Shares its port, and serves on when it has ended. */
static int outlive(pid_t first, struct addr at)
{
	int t = sharing_socket(), c = tcp();
	BIND(t, at);
	LISTEN(t, 8);
	end_neighbour(first);
	CONNECT(c, at);
	ACCEPT(t);
	return t;
}

CASE(bind_reuseport_processes_survivor,
	"the first of two processes ends, the other serves on, and a third may join it")
{
	struct addr at = loopback(21002);
	struct turn third = turn();
	pid_t pid = child();
	if (!pid) {
		int u = sharing_socket(), d = tcp();
		await(&third);
		BIND(u, at);
		LISTEN(u, 8);
		GETSOCKNAME(u);
		CONNECT(d, at);
		done();
	}
	pid_t first = neighbour(sharing_listener, at, idle);
	int t = outlive(first, at);
	give(&third);
	wait_for(pid);
	CLOSE(t);
	int d = tcp();
	CONNECT(d, at);
}

CASE(bind_reuseport_processes_not_listening,
	"two processes are bound to one port, and clients go to the one that listens")
{
	struct addr at = loopback(21003);
	pid_t first = neighbour(sharing_bound, at, idle);
	int t = sharing_socket(), c = tcp(), d = tcp();
	BIND(t, at);
	CONNECT(c, at);
	LISTEN(t, 8);
	CONNECT(d, at);
	ACCEPT(t);
	end_neighbour(first);
	int e = tcp();
	CONNECT(e, at);
	ACCEPT(t);
}

static int plain_listener(struct addr at)
{
	return listener_at(at, 8);
}

CASE(bind_reuseport_processes_one_sided, "SO_REUSEPORT of one process alone is EADDRINUSE")
{
	struct addr at = loopback(21004), other = loopback(21005);
	pid_t first = neighbour(plain_listener, at, idle), second = neighbour(sharing_listener, other, idle);
	int s = sharing_socket(), t = tcp();
	BIND(s, at);
	BIND(t, other);
	end_neighbour(first);
	end_neighbour(second);
}

static int listener_of_nobody(struct addr at)
{
	if (setresuid(65534, 65534, 65534))
		give_up("setresuid");
	prctl(PR_SET_DUMPABLE, 1); /* as after exec */
	return sharing_listener(at);
}

CASE(bind_reuseport_processes_users, "a port isn't shared with another user, whichever of them was first")
{
	struct addr at = loopback(21006), other = loopback(21007);
	pid_t first = neighbour(listener_of_nobody, at, idle),
	      second = neighbour(sharing_listener, other, idle);
	int s = sharing_socket();
	BIND(s, at);
	pid_t pid = child();
	if (!pid) {
		if (setresuid(65534, 65534, 65534))
			give_up("setresuid");
		int t = sharing_socket();
		BIND(t, other);
		BIND(t, at);
		done();
	}
	wait_for(pid);
	end_neighbour(first);
	end_neighbour(second);
}

HELPER(keep_listening)
{
	(void)fd;
	close(1);
	pause_ms(20000);
}

CASE(bind_reuseport_processes_exec, "a process that has executed another program still shares its port")
{
	struct addr at = loopback(21008);
	int ends[2];
	if (pipe(ends))
		give_up("pipe");
	pid_t first = child();
	if (!first) {
		close(ends[0]);
		int s = sharing_listener(at);
		dup2(ends[1], 1);
		close(ends[1]);
		char **arguments = helper_arguments("keep_listening", s);
		execv(arguments[0], arguments);
		give_up("execv");
	}
	char byte;
	close(ends[1]);
	if (read(ends[0], &byte, 1))
		give_up("read");
	outlive(first, at);
}

static int sharing_later(struct addr at)
{
	int s = plain_listener(at);
	if (setsockopt(s, SOL_SOCKET, SO_REUSEPORT, &(int){1}, sizeof(int)))
		give_up("SO_REUSEPORT");
	return s;
}

CASE(bind_reuseport_processes_later, "the first process sets SO_REUSEPORT when it listens already")
{
	struct addr at = loopback(21009);
	pid_t first = neighbour(sharing_later, at, idle);
	int t = sharing_socket();
	BIND(t, at);
	end_neighbour(first);
}

CASE(bind_reuseport_processes_shutdown, "shutdown() of one process's listener leaves the other's alone")
{
	struct addr at = loopback(21010);
	struct turn shut = turn(), go = turn();
	pid_t first = child();
	if (!first) {
		int s = sharing_listener(at);
		give(&shut);
		await(&go);
		SHUTDOWN(s, SHUT_RDWR);
		POLL(s);
		give(&shut);
		pause_ms(20000);
		done();
	}
	await(&shut);
	int t = sharing_socket(), c = tcp();
	BIND(t, at);
	LISTEN(t, 8);
	give(&go);
	await(&shut);
	CONNECT(c, at);
	ACCEPT(t);
	end_neighbour(first);
}

static void closed_in_epoll(struct addr at, unsigned events)
{
	int s = sharing_listener(at), c = tcp(), ep = epoll_new();
	struct turn ready = turn(), go = turn();
	pid_t second = child();
	if (!second) {
		close(s);
		close(ep);
		int t = sharing_socket();
		BIND(t, at);
		LISTEN(t, 8);
		give(&ready);
		await(&go);
		ACCEPT(t);
		done();
	}
	await(&ready);
	EPOLL_ADD(ep, s, events, 1);
	CLOSE(s);
	CONNECT(c, at);
	EPOLL_WAIT(ep);
	give(&go);
	wait_for(second);
}

CASE(bind_reuseport_processes_epoll,
	"a listener that is closed is reported no more, though the other process has it")
{
	closed_in_epoll(loopback(21011), EPOLLIN);
}

CASE(bind_reuseport_processes_oneshot, "and neither is one that was registered with EPOLLONESHOT")
{
	closed_in_epoll(loopback(21016), EPOLLIN | EPOLLONESHOT);
}

CASE(bind_reuseport_processes_addresses, "two processes listen on one port of different addresses")
{
	struct addr at = loopback(21012), other = ipv4("127.0.0.2", 21012);
	pid_t first = neighbour(sharing_listener, at, idle);
	int t = sharing_socket();
	BIND(t, other);
	end_neighbour(first);
}

CASE(bind_reuseport_processes_at_once, "processes that start at the same moment share a port")
{
	enum { ROUNDS = 40, PROCESSES = 6 };
	int bound = 0;
	for (int round = 0; round < ROUNDS; round++) {
		struct addr at = loopback(21100 + (unsigned)round);
		struct turn go = turn(), tried = turn();
		pid_t pids[PROCESSES];
		for (int i = 0; i < PROCESSES; i++) {
			if ((pids[i] = child()))
				continue;
			int s = sharing_socket();
			char byte;
			close(go.ends[1]);
			if (read(go.ends[0], &byte, 1)) /* all are woken by the end */
				give_up("read");
			byte = bind(s, sa(&at), at.length) == 0 && listen(s, 8) == 0;
			if (write(tried.ends[1], &byte, 1) != 1)
				give_up("write");
			pause_ms(20000);
		}
		close(go.ends[0]), close(go.ends[1]);
		for (int i = 0; i < PROCESSES; i++) {
			char byte;
			if (read(tried.ends[0], &byte, 1) != 1)
				give_up("read");
			bound += byte;
		}
		for (int i = 0; i < PROCESSES; i++)
			end_neighbour(pids[i]);
		close(tried.ends[0]), close(tried.ends[1]);
	}
	VALUE(bound);
}

CASE(bind_reuseport_processes_connect,
	"a socket that shares a port connects, and the other process's listens")
{
	struct addr at = loopback(21013), to = address_of(listener());
	struct turn ready = turn(), go = turn(), over = turn();
	pid_t first = child();
	if (!first) {
		int s = sharing_bound(at);
		give(&ready);
		await(&go);
		LISTEN(s, 8);
		give(&over);
		ACCEPT(s);
		done();
	}
	await(&ready);
	int t = sharing_socket(), c = tcp();
	BIND(t, at);
	CONNECT(t, to);
	GETSOCKNAME(t);
	give(&go);
	await(&over);
	connect_to(c, at);
	wait_for(first);
}

CASE(bind_reuseport_processes_mapped,
	"a port is shared by 127.0.0.1 and ::ffff:127.0.0.1, which are the same")
{
	struct addr at = ipv4("127.0.0.1", 21014);
	pid_t first = neighbour(sharing_listener, at, idle);
	int t = SOCKET(AF_INET6, SOCK_STREAM, 0);
	SETSOCKOPT(t, SOL_SOCKET, SO_REUSEPORT, 1);
	BIND(t, ipv6("::ffff:127.0.0.1", 21014));
	LISTEN(t, 8);
	GETSOCKNAME(t);
	end_neighbour(first);
}

static void *accept_one(void *listener)
{
	return (void *)(intptr_t)(accept(*(int *)listener, NULL, NULL) < 0 ? errno : 0);
}

CASE(bind_reuseport_processes_asleep,
	"shutdown() wakes this process's accept(), and the other process is given no client")
{
	struct addr at = loopback(21015);
	struct turn ready = turn(), client = turn();
	pid_t first = child();
	if (!first) {
		int t = sharing_listener(at);
		give(&ready);
		for (;;) {
			accept(t, NULL, NULL);
			give(&client);
		}
	}
	await(&ready);
	int s = sharing_listener(at), clients;
	pthread_t thread;
	void *result;
	pthread_create(&thread, NULL, accept_one, &s);
	settle();
	SHUTDOWN(s, SHUT_RDWR);
	pthread_join(thread, &result);
	record("accept: %s", error_name((int)(intptr_t)result));
	settle();
	ioctl(client.ends[0], FIONREAD, &clients);
	VALUE(clients);
	end_neighbour(first);
}

CASE(bind_both_families, "0.0.0.0 and :: with V6ONLY share a port, and both kinds of client are served")
{
	int s = SOCKET(AF_INET, SOCK_STREAM, 0), t = SOCKET(AF_INET6, SOCK_STREAM, 0);
	int c = SOCKET(AF_INET, SOCK_STREAM, 0), d = SOCKET(AF_INET6, SOCK_STREAM, 0), served = 0;
	BIND(s, ipv4("0.0.0.0", 0));
	struct addr at = address_of(s);
	SETSOCKOPT(t, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	BIND(t, ipv6("::", port_of(&at)));
	LISTEN(s, 8);
	LISTEN(t, 8);
	GETSOCKNAME(s);
	GETSOCKNAME(t);
	CONNECT(c, ipv4("127.0.0.1", port_of(&at)));
	CONNECT(d, ipv6("::1", port_of(&at)));
	nonblocking(s);
	nonblocking(t);
	settle();
	for (int i = 0; i < 2; i++)
		served += (accept(s, NULL, NULL) >= 0) + (accept(t, NULL, NULL) >= 0);
	VALUE(served);
}

CASE(bind_both_families_again, "of two that share a port, one is bound again only after it was closed")
{
	int s = tcp(), t = SOCKET(AF_INET6, SOCK_STREAM, 0), u = tcp(), c = tcp();
	BIND(s, ipv4("127.0.0.1", 0));
	struct addr at = address_of(s);
	BIND(t, ipv6("::1", port_of(&at)));
	LISTEN(s, 8);
	LISTEN(t, 8);
	BIND(u, at);
	CLOSE(s);
	BIND(u, at);
	LISTEN(u, 8);
	GETSOCKNAME(u);
	CONNECT(c, at);
	ACCEPT(u);
}

CASE(bind_both_families_shown, "each of the two shows its client's address in its own family")
{
	int s = tcp(), t = SOCKET(AF_INET6, SOCK_STREAM, 0), c = tcp(), d = SOCKET(AF_INET6, SOCK_STREAM, 0);
	BIND(s, ipv4("0.0.0.0", 0));
	struct addr at = address_of(s);
	SETSOCKOPT(t, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	BIND(t, ipv6("::", port_of(&at)));
	nonblocking(s);
	nonblocking(t);
	LISTEN(s, 8);
	LISTEN(t, 8);
	for (int i = 0; i < 2; i++) {
		CONNECT(i ? d : c, i ? ipv6("::1", port_of(&at)) : ipv4("127.0.0.1", port_of(&at)));
		settle();
		int a = accept(t, NULL, NULL); /* which gets all where they are one description */
		if (a < 0)
			a = accept(s, NULL, NULL);
		GETSOCKNAME(a);
		GETPEERNAME(a);
	}
}
CASE(bind_both_families_distinct, "each of the two gets the client of its family")
{
	int s = tcp(), t = SOCKET(AF_INET6, SOCK_STREAM, 0), d = SOCKET(AF_INET6, SOCK_STREAM, 0);
	BIND(s, ipv4("0.0.0.0", 0));
	struct addr at = address_of(s);
	SETSOCKOPT(t, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	BIND(t, ipv6("::", port_of(&at)));
	LISTEN(s, 8);
	LISTEN(t, 8);
	CONNECT(d, ipv6("::1", port_of(&at)));
	POLL(s);
	POLL(t);
}

CASE(bind_dual_stack_excludes, "a dual-stack :: takes the port for IPv4 too")
{
	int t = SOCKET(AF_INET6, SOCK_STREAM, 0), s = SOCKET(AF_INET, SOCK_STREAM, 0);
	BIND(t, ipv6("::", 0));
	LISTEN(t, 8);
	struct addr at = address_of(t);
	BIND(s, ipv4("0.0.0.0", port_of(&at)));
}

CASE(bind_dual_stack_ipv6_client, "a dual-stack listener shows an IPv6 client as IPv6")
{
	int t = listener_at(ipv6("::", 0), 8), c = SOCKET(AF_INET6, SOCK_STREAM, 0);
	struct addr at = address_of(t);
	CONNECT(c, ipv6("::1", port_of(&at)));
	int a = ACCEPT(t);
	GETSOCKNAME(a);
	GETPEERNAME(a);
}

CASE(bind_dual_stack_ipv4_client, "a dual-stack listener shows an IPv4 client as v4-mapped")
{
	int t = listener_at(ipv6("::", 0), 8), c = SOCKET(AF_INET, SOCK_STREAM, 0);
	struct addr at = address_of(t);
	CONNECT(c, ipv4("127.0.0.1", port_of(&at)));
	int a = ACCEPT(t);
	GETSOCKNAME(a);
	GETPEERNAME(a);
	GETPEERNAME(c);
}

/* How a client gets its port: the kernel's choice at connect or at bind, or an even or odd one of its own. */
enum client_port { UNBOUND, BOUND_TO_ZERO, EVEN, ODD, CLIENT_PORTS };

static int client_with(enum client_port how, int domain)
{
	int c = socket(domain, SOCK_STREAM, 0);
	setsockopt(c, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
	for (unsigned port = how == BOUND_TO_ZERO ? 0 : 25000 + (how == ODD); how != UNBOUND; port += 2) {
		struct addr own = domain == AF_INET ? ipv4("0.0.0.0", port) : ipv6("::", port);
		if (bind(c, sa(&own), own.length) == 0)
			break;
		if (errno != EADDRINUSE)
			give_up("bind");
	}
	return c;
}

static void show_client(const char *server, int listener, enum client_port how, int domain)
{
	static const char *const names[] = {
		"unbound", "bound to 0", "bound to an even port", "bound to an odd port"};
	struct addr at = address_of(listener), peer = {.length = sizeof(peer.storage)};
	int c = client_with(how, domain);
	connect_to(c, domain == AF_INET ? ipv4("127.0.0.1", port_of(&at)) : ipv6("::1", port_of(&at)));
	struct addr own = address_of(c);
	int a = accept(listener, sa(&peer), &peer.length);
	char text[INET6_ADDRSTRLEN] = "";
	if (peer.storage.ss_family == AF_INET)
		inet_ntop(AF_INET, &((struct sockaddr_in *)&peer.storage)->sin_addr, text, sizeof(text));
	else
		inet_ntop(AF_INET6, &((struct sockaddr_in6 *)&peer.storage)->sin6_addr, text, sizeof(text));
	record("%s client, %s, at a server for %s: %s, its port %s", domain == AF_INET ? "IPv4" : "IPv6",
		names[how], server, text, port_of(&own) == port_of(&peer) ? "too" : "not");
	close(a);
	close(c);
}

CASE(bind_client_family, "a server shows a client in the family that it used, whatever port it has chosen")
{
	int four = listener_at(ipv4("0.0.0.0", 0), 8), six = SOCKET(AF_INET6, SOCK_STREAM, 0);
	int both = listener_at(ipv6("::", 0), 8);
	struct addr any = ipv6("::", 0);
	setsockopt(six, IPPROTO_IPV6, IPV6_V6ONLY, &(int){1}, sizeof(int));
	if (bind(six, sa(&any), any.length) || listen(six, 8))
		give_up("listen");
	for (enum client_port how = UNBOUND; how < CLIENT_PORTS; how++) {
		show_client("IPv4", four, how, AF_INET);
		show_client("IPv6", six, how, AF_INET6);
		show_client("both", both, how, AF_INET);
		show_client("both", both, how, AF_INET6);
	}
}

CASE(bind_v6only_listener, "an IPv4 client doesn't reach a V6ONLY listener")
{
	int t = SOCKET(AF_INET6, SOCK_STREAM, 0), c = SOCKET(AF_INET, SOCK_STREAM, 0);
	SETSOCKOPT(t, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	BIND(t, ipv6("::", 0));
	LISTEN(t, 8);
	struct addr at = address_of(t);
	CONNECT(c, ipv4("127.0.0.1", port_of(&at)));
}

CASE(bind_v6only_mapped, "a V6ONLY socket takes no v4-mapped address")
{
	int t = SOCKET(AF_INET6, SOCK_STREAM, 0);
	SETSOCKOPT(t, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	BIND(t, ipv6("::ffff:127.0.0.1", 0));
	struct addr to = nobody();
	CONNECT(t, ipv6("::ffff:127.0.0.1", port_of(&to)));
}

CASE(bind_rebind_closed_listener, "a listener's port can be bound again as soon as it is closed")
{
	int s = listener(), t = tcp(), c = tcp();
	struct addr at = address_of(s);
	CLOSE(s);
	BIND(t, at);
	LISTEN(t, 5);
	CONNECT(c, at);
	ACCEPT(t);
}

CASE(bind_rebind_reuseaddr, "a server that closed its connections first restarts with SO_REUSEADDR")
{
	int s = tcp(), c = tcp(), t = tcp();
	SETSOCKOPT(s, SOL_SOCKET, SO_REUSEADDR, 1);
	BIND(s, loopback(0));
	LISTEN(s, 5);
	struct addr at = address_of(s);
	CONNECT(c, at);
	int a = ACCEPT(s);
	CLOSE(a);
	RECV(c, 1, 0);
	CLOSE(c);
	CLOSE(s);
	SETSOCKOPT(t, SOL_SOCKET, SO_REUSEADDR, 1);
	BIND(t, at);
	LISTEN(t, 5);
}

CASE(bind_rebind_time_wait, "without SO_REUSEADDR a port in TIME_WAIT is EADDRINUSE")
{
	struct pair p = pair();
	struct addr at = address_of(p.listener);
	int t = tcp();
	CLOSE(p.server);
	RECV(p.client, 1, 0);
	CLOSE(p.client);
	CLOSE(p.listener);
	BIND(t, at);
}

CASE(bind_rebind_open_connections, "a restarted server takes its port while old connections live")
{
	struct pair p = pair();
	struct addr at = address_of(p.listener);
	int t = tcp(), c = tcp();
	CLOSE(p.listener);
	SETSOCKOPT(p.server, SOL_SOCKET, SO_REUSEADDR, 1);
	SETSOCKOPT(t, SOL_SOCKET, SO_REUSEADDR, 1);
	BIND(t, at);
	LISTEN(t, 5);
	CONNECT(c, at);
	int a = ACCEPT(t);
	CARRIES(c, a);
	CARRIES(p.client, p.server);
}

CASE(bind_rebind_client_port, "a client's port is its own again after the connection was closed")
{
	int s = listener(), c = tcp(), d = tcp();
	BIND(c, loopback(0));
	struct addr own = address_of(c);
	CONNECT(c, address_of(s));
	int a = accept_from(s);
	CLOSE(a);
	RECV(c, 1, 0);
	CLOSE(c);
	settle();
	BIND(d, own);
	CONNECT(d, address_of(s));
	ACCEPT(s);
}

CASE(bind_closed_unread_client, "a client that went with unread data doesn't keep others from connecting")
{
	int s = listener(), connected = 0;
	for (int i = 0; i < 20; i++) {
		int c = tcp();
		connect_to(c, address_of(s));
		int a = accept_from(s);
		send(a, "unread", 6, MSG_NOSIGNAL);
		settle();
		close(c);
		close(a);
		connected++;
	}
	VALUE(connected);
}

CASE(bind_privileged_port, "a port below 1024 is EACCES for an ordinary user")
{
	pid_t pid = child();
	if (!pid) {
		int s = tcp();
		if (setresuid(65534, 65534, 65534))
			give_up("setresuid");
		BIND(s, loopback(80));
		GETSOCKNAME(s);
		done();
	}
	wait_for(pid);
}

CASE(bind_low_port_as_root, "root binds port 80, and clients reach it there")
{
	int s = tcp(), c = tcp();
	BIND(s, wildcard(80));
	LISTEN(s, 5);
	GETSOCKNAME(s);
	CONNECT(c, loopback(80));
	int a = ACCEPT(s);
	GETSOCKNAME(a);
	CARRIES(a, c);
}

CASE_EACH(listen_unbound, "listen without bind takes a port on the wildcard")
{
	int s = tcp(), c = tcp();
	LISTEN(s, 5);
	GETSOCKNAME(s);
	struct addr at = address_of(s);
	CONNECT(c, loopback(port_of(&at)));
	int a = ACCEPT(s);
	GETSOCKNAME(a);
}

CASE(listen_twice, "listen again changes the backlog and nothing else")
{
	int s = listener(), c = tcp();
	LISTEN(s, 1);
	CONNECT(c, address_of(s));
	LISTEN(s, 50);
	LISTEN(s, 0);
	ACCEPT(s);
	GETSOCKNAME(s);
}

CASE(listen_backlogs, "backlogs of none, less than none and very many are taken")
{
	int s = tcp(), c = tcp();
	BIND(s, loopback(0));
	LISTEN(s, -1);
	LISTEN(s, 1 << 30);
	LISTEN(s, 0);
	CONNECT(c, address_of(s));
	ACCEPT(s);
}

CASE(listen_connected, "a connected socket can't listen: EINVAL")
{
	struct pair p = pair();
	LISTEN(p.client, 5);
	LISTEN(p.server, 5);
	CARRIES(p.client, p.server);
}

CASE(listen_after_refused, "a socket that was refused can listen")
{
	int s = tcp();
	CONNECT(s, nobody());
	LISTEN(s, 5);
	GETSOCKNAME(s);
}

CASE(listen_other_types, "listen on a datagram socket is EOPNOTSUPP")
{
	int s = SOCKET(AF_INET, SOCK_DGRAM, 0);
	LISTEN(s, 5);
	nonblocking(s);
	ACCEPT(s);
}

CASE(listen_burst, "a hundred clients connect before anybody accepts, none is refused")
{
	int s = listener_at(loopback(0), 128), connected = 0, accepted = 0;
	struct addr at = address_of(s);
	for (int i = 0; i < 100; i++) {
		int c = tcp();
		connected += connect(c, sa(&at), at.length) == 0;
	}
	nonblocking(s);
	settle();
	while (accept(s, NULL, NULL) >= 0)
		accepted++;
	VALUE(connected);
	VALUE(accepted);
}

CASE(listen_small_backlog, "backlog 5: six clients fit, as TCP counts")
{
	int s = listener_at(loopback(0), 5), connected = 0;
	struct addr at = address_of(s);
	for (int i = 0; i < 6; i++) {
		int c = tcp();
		connected += connect(c, sa(&at), at.length) == 0;
	}
	VALUE(connected);
}

CASE(listen_closed_with_clients, "clients in the queue of a listener that closes learn of it")
{
	int s = listener(), c = tcp();
	CONNECT(c, address_of(s));
	CLOSE(s);
	settle();
	char byte;
	VALUE(recv(c, &byte, 1, MSG_DONTWAIT) <= 0);
}

CASE(listen_send_recv, "a listening socket carries no data: EPIPE and ENOTCONN")
{
	int s = listener();
	SEND(s, "x", 0);
	RECV(s, 1, MSG_DONTWAIT);
	GETPEERNAME(s);
	GETSOCKOPT(s, SOL_SOCKET, SO_ACCEPTCONN);
	GETSOCKOPT(s, SOL_SOCKET, SO_ERROR);
}

CASE(listen_shutdown, "shutdown ends listening, and listen starts it again")
{
	int s = listener(), c = tcp(), d = tcp();
	struct addr at = address_of(s);
	SHUTDOWN(s, SHUT_RDWR);
	GETSOCKOPT(s, SOL_SOCKET, SO_ACCEPTCONN);
	GETSOCKNAME(s);
	CONNECT(c, at);
	nonblocking(s);
	ACCEPT(s);
	LISTEN(s, 5);
	GETSOCKOPT(s, SOL_SOCKET, SO_ACCEPTCONN);
	CONNECT(d, address_of(s));
	ACCEPT(s);
}

CASE(listen_shutdown_then_bind,
	"a listener on a port of the kernel's choice that has ended can be bound anew")
{
	int s = tcp();
	LISTEN(s, 5);
	SHUTDOWN(s, SHUT_RDWR);
	GETSOCKNAME(s);
	BIND(s, loopback(0));
	GETSOCKNAME(s);
	LISTEN(s, 5);
	BIND(s, loopback(0));
	GETSOCKNAME(s);
}

CASE(listen_dissolved_then_bind,
	"AF_UNSPEC leaves a bound port and ends a listener, which can be bound anew then")
{
	int s = tcp();
	BIND(s, loopback(0));
	CONNECT(s, unspecified());
	GETSOCKNAME(s);
	LISTEN(s, 5);
	GETSOCKNAME(s);
	CONNECT(s, unspecified());
	GETSOCKNAME(s);
	BIND(s, loopback(0));
	GETSOCKNAME(s);
	LISTEN(s, 5);
	CONNECT(s, unspecified());
	CONNECT(s, nobody());
	GETSOCKNAME(s);
}

CASE(listen_shutdown_write, "shutdown(SHUT_WR) on a listener changes nothing")
{
	int s = listener(), c = tcp();
	SHUTDOWN(s, SHUT_WR);
	CONNECT(c, address_of(s));
	ACCEPT(s);
}

CASE(listen_shutdown_with_clients, "clients in the queue when a listener is shut down")
{
	int s = listener(), c = tcp();
	CONNECT(c, address_of(s));
	SHUTDOWN(s, SHUT_RD);
	POLL(s);
	settle();
	char byte;
	VALUE(recv(c, &byte, 1, MSG_DONTWAIT) <= 0);
}

/* What the random walk found */

CASE(listen_unbound_dup, "listen on one dup of a socket that nobody bound: the others listen too")
{
	int s = tcp(), d = dup(s), e = dup(s), c = tcp();
	LISTEN(d, 5);
	POLL(s);
	struct addr at = address_of(e);
	CONNECT(c, loopback(port_of(&at)));
	ACCEPT(s);
	SHUTDOWN(e, SHUT_RD);
	POLL(d);
}

CASE(bind_ipv6_client, "an IPv6 client that was bound to port 0 is an IPv6 client to a dual-stack listener")
{
	int s = listener_at(ipv6("::", 0), 5), c = socket(AF_INET6, SOCK_STREAM, 0);
	struct addr at = address_of(s);
	BIND(c, ipv6("::1", 0));
	CONNECT(c, ipv6("::1", port_of(&at)));
	ACCEPT(s);
}

CASE(bind_ipv6_wildcard_client, "an IPv6 client bound to [::]:0 is what it connected as")
{
	int s = listener_at(ipv6("::", 0), 5), c = socket(AF_INET6, SOCK_STREAM, 0),
	    d = socket(AF_INET6, SOCK_STREAM, 0);
	struct addr at = address_of(s);
	BIND(c, ipv6("::", 0));
	CONNECT(c, ipv6("::1", port_of(&at)));
	ACCEPT(s);
	BIND(d, ipv6("::", 0));
	CONNECT(d, ipv6("::ffff:127.0.0.1", port_of(&at)));
	ACCEPT(s);
}

CASE(bind_when_both_have_ended, "a socket whose connection is over in both directions can be bound again")
{
	struct pair p = pair();
	SHUTDOWN(p.client, SHUT_WR);
	READ(p.server, 1);
	CLOSE(p.server);
	settle();
	BIND(p.client, loopback(0));
}
