/* SPDX-License-Identifier: MIT */
/* The random walk: sequences of calls that a seed decides, on eight descriptors, their dups and two epoll
 * sets. The same seeds run on TCP and through the library, and `random_walk` compares. Every step takes its
 * random numbers from the seed and its own index alone, so that a sequence with steps left out stays the same
 * sequence otherwise: that is how a failure is shrunk. The model below knows just enough of each socket to
 * keep away from what can't be the same (the file `differences`): resets, writes to the dead, one's own
 * SHUT_RD. */
#include "random_walk.h"

#include "parity.h"

enum { SLOTS = 8, SETS = 2, PENDING = 16 };

struct description {
	enum { FREE, FRESH, BOUND, LISTENING, CONNECTED, FAILED } state;
	int family, references;
	bool nonblocking, ended, peer_ended; /* SHUT_WR here, SHUT_WR or close there */
	bool waits;			     /* in a listener's backlog, even if it was closed meanwhile */
	bool wide;			     /* bound to [::]: the family of its connection isn't known */
	bool only_six;			     /* as one is that was bound to [::1] once */
	unsigned port;			     /* that it asked bind() for; 0: any */
	bool refused;			     /* not waited for, since then neither connected nor listening */
	struct description *peer;
	unsigned unread;
	struct addr at;			      /* LISTENING */
	struct description *pending[PENDING]; /* LISTENING: clients that nobody accepted yet */
	unsigned pending_count;
};

static struct description descriptions[64];
static struct {
	int fd;
	struct description *of;
	bool registered[SETS];
} slots[SLOTS];
static int sets[SETS];
static unsigned *counts;

static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

static uint64_t random_state;
static unsigned pick(unsigned below)
{
	random_state = mix(random_state);
	return random_state % below;
}

static struct description *description_new(int family, bool nonblocking)
{
	for (int i = 0; i < 64; i++)
		if (descriptions[i].state == FREE && !descriptions[i].references && !descriptions[i].waits) {
			descriptions[i] = (struct description){
				.state = FRESH, .family = family, .nonblocking = nonblocking};
			return &descriptions[i];
		}
	give_up("walk: out of descriptions");
}

static void hold(int slot, int fd, struct description *of)
{
	slots[slot].fd = fd;
	slots[slot].of = of;
	memset(slots[slot].registered, 0, sizeof(slots[slot].registered));
	of->references++;
}

static char name_texts[SLOTS][4];
static const char *name(int slot)
{
	sprintf(name_texts[slot], "s%d", slot);
	return name_texts[slot];
}

static struct addr own_loopback(struct description *of, unsigned port)
{
	return of->family == AF_INET ? ipv4("127.0.0.1", port) : ipv6("::1", port);
}

/* The bits that can be the same (the file `differences` says why): OUT and HUP of a connection that has ended
 * on one side, HUP of a bound socket, and all but OUT and ERR of a refused one are the transport's own. */
static unsigned comparable(struct description *of)
{
	if (of->state == CONNECTED && (of->ended || of->peer_ended))
		return POLLIN | POLLRDHUP;
	if (of->state == FAILED || of->refused)
		return POLLOUT | POLLERR;
	return of->state == BOUND ? ~(unsigned)POLLHUP : ~0u;
}

static void show_poll(int slot, short events, int timeout)
{
	struct pollfd entry = {.fd = slots[slot].fd, .events = events};
	poll(&entry, 1, timeout);
	record("poll(%s): %s", name(slot), poll_names(entry.revents & comparable(slots[slot].of)));
}

/* Steps: each gets a slot that holds a socket, unless it says otherwise. */

static void step_socket(int slot)
{
	if (slots[slot].of)
		return;
	int type = SOCK_STREAM | (pick(3) ? 0 : SOCK_NONBLOCK) | (pick(2) ? SOCK_CLOEXEC : 0);
	int where = pick(5) ? AF_INET : AF_INET6, lowest = lowest_free();
	begin("%s = socket(%d, %x)", name(slot), where, type);
	int fd = finish_fd(socket(where, type, 0), lowest);
	if (fd >= 0)
		hold(slot, fd, description_new(where, type & SOCK_NONBLOCK));
}

static void drain(int slot)
{
	char data[4096];
	long total = 0, got;
	settle();
	while ((got = recv(slots[slot].fd, data, sizeof(data), MSG_DONTWAIT)) > 0)
		total += got;
	record("drained %s: %ld, then %s", name(slot), total, got ? error_name(errno) : "the end");
	slots[slot].of->unread = 0;
}

static void step_close(int slot)
{
	struct description *of = slots[slot].of;
	if (of->references == 1 && of->pending_count)
		return; /* its clients would be reset */
	if (of->references == 1 && of->state == CONNECTED)
		drain(slot);
	for (int i = 0; i < SETS; i++)
		if (of->references > 1 && slots[slot].registered[i])
			do_epoll_ctl("DEL before close", sets[i], EPOLL_CTL_DEL, slots[slot].fd, 0, 0);
	begin("close(%s)", name(slot));
	finish(close(slots[slot].fd));
	slots[slot].of = NULL;
	if (--of->references)
		return;
	if (of->peer) {
		of->peer->peer_ended = true;
		of->peer->peer = NULL;
	}
	of->state = FREE;
}

static bool free_port(unsigned port)
{
	for (int i = 0; i < SLOTS; i++)
		if (slots[i].of && slots[i].of->port == port)
			return false;
	return true;
}

/* Ports of one's own choice with SO_REUSEADDR, as servers do, because TCP has connections in TIME_WAIT. */
static void step_bind(int slot)
{
	struct description *of = slots[slot].of, *other = slots[pick(SLOTS)].of;
	unsigned port = 20000 + pick(2);
	if (of->ended && of->peer_ended)
		return; /* TCP has forgotten its port by then, and binds it anew */
	struct addr to = own_loopback(of, 0);
	bool wide = !pick(4);
	if (pick(4) || !free_port(port) || of->state != FRESH)
		port = 0;
	else
		do_setsockopt(name(slot), slots[slot].fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (wide)
		to = of->family == AF_INET ? ipv4("0.0.0.0", port) : ipv6("::", port);
	else if (port)
		to = own_loopback(of, port);
	else if (!pick(3) && other && other->state == LISTENING && other->family == of->family &&
		 !of->refused)
		to = other->at;
	else if (!pick(6))
		to.length = pick(16);
	begin("bind(%s, %s)", name(slot), addr_text(&to));
	if (finish(bind(slots[slot].fd, sa(&to), to.length)) == 0) {
		of->state = BOUND;
		of->port = port;
		of->only_six |= of->family == AF_INET6 && !wide;
		of->wide = wide && of->family == AF_INET6 && !of->only_six;
	}
}

static void step_listen(int slot)
{
	struct description *of = slots[slot].of;
	begin("listen(%s)", name(slot));
	if (finish(listen(slots[slot].fd, 16)) == 0 && of->state != LISTENING) {
		of->state = LISTENING;
		of->refused = false;
		of->at = address_of(slots[slot].fd);
		of->at = own_loopback(of, port_of(&of->at));
	}
}

static void connected_to(struct description *of, struct description *listener)
{
	of->state = CONNECTED;
	of->peer_ended = of->ended = of->refused = false;
	of->waits = true;
	listener->pending[listener->pending_count++] = of;
}

/* The listener's address as this socket can name it: IPv6 sockets reach IPv4 ones by v4-mapped addresses, and
 * [::] is for both. false: it can't. */
static bool address_for(struct description *of, struct description *listener, struct addr *to)
{
	unsigned port = port_of(&listener->at);
	*to = listener->at;
	if (of->family == listener->family)
		return true;
	*to = of->family == AF_INET ? ipv4("127.0.0.1", port) : ipv6("::ffff:127.0.0.1", port);
	return of->state == FRESH && (of->family == AF_INET6 || listener->wide);
}

static struct addr wrong_address(struct description *of)
{
	struct addr to = pick(2)		 ? own_loopback(of, 9)
			 : of->family == AF_INET ? ipv6("::1", 9)
						 : ipv4("127.0.0.1", 9);
	/* which these would report first, except for SELinux, which checks the length before all else */
	bool has_another_error = of->state == CONNECTED || of->state == LISTENING || of->refused;
	if (to.length == own_loopback(of, 9).length && !has_another_error)
		to.length = pick(16);
	return to;
}

static struct description *some_listener(void)
{
	unsigned from = pick(SLOTS);
	for (unsigned i = 0; i < SLOTS; i++) {
		struct description *of = slots[(from + i) % SLOTS].of;
		if (of && of->state == LISTENING)
			return of;
	}
	return NULL;
}

/* What a refused attempt, or the end of listening, leaves: TCP gives up a port that it chose itself. */
static void let_go(struct description *of)
{
	of->state = of->port ? BOUND : FAILED;
}

static void step_connect(int slot)
{
	struct description *of = slots[slot].of, *listener = some_listener();
	struct addr to;
	if (of->state == BOUND && of->wide)
		return;
	bool fresh = of->state != CONNECTED && of->state != LISTENING, reaches = false, tries = true;
	unsigned kind = pick(10);
	family = of->family;
	if (listener && kind < 7) {
		reaches = address_for(of, listener, &to);
		if (!reaches || listener->pending_count == PENDING || of->port)
			return;
	} else if (kind == 7 && of->state != CONNECTED && !of->pending_count) {
		to = unspecified();
	} else if (kind == 8) {
		to = wrong_address(of);
		tries = false;
	} else {
		to = nobody();
	}
	begin("connect(%s, %s)", name(slot), addr_text(&to));
	long value = finish(connect(slots[slot].fd, sa(&to), to.length));
	if (value < 0 && errno == EINPROGRESS) {
		if (reaches) {
			connected_to(of, listener);
		} else {
			of->state = FAILED;
			of->refused = true;
		}
		show_poll(slot, POLLOUT, 2000);
		do_getsockopt(name(slot), slots[slot].fd, SOL_SOCKET, SO_ERROR, sizeof(int));
	} else if (fresh && value == 0 && reaches) {
		connected_to(of, listener);
	} else if (sa(&to)->sa_family == AF_UNSPEC) {
		if (of->state == LISTENING)
			let_go(of);
	} else if (fresh && tries && value < 0 && errno == ECONNREFUSED) {
		let_go(of);
	}
}

static void step_accept(int slot)
{
	struct description *of = slots[slot].of;
	int into = pick(SLOTS), flags = (pick(2) ? SOCK_CLOEXEC : 0) | (pick(3) ? 0 : SOCK_NONBLOCK);
	if (of->state == LISTENING && !of->pending_count && !of->nonblocking)
		return; /* it would wait */
	if (of->state != LISTENING && of->state != FRESH && of->state != CONNECTED)
		return;
	for (int i = 0; i < SLOTS && slots[into].of; i++)
		into = (into + 1) % SLOTS;
	if (slots[into].of && of->pending_count)
		return;
	if (of->pending_count) {
		struct pollfd entry = {.fd = slots[slot].fd, .events = POLLIN};
		poll(&entry, 1, 2000);
	}
	bool four = pick(3), whole = four || pick(3);
	if (!four)
		flags = 0;
	int fd = whole ? do_accept(name(slot), slots[slot].fd, flags, four)
		       : do_name("accept", accept, name(slot), slots[slot].fd, pick(30));
	if (fd < 0 || !of->pending_count)
		return;
	struct description *client = of->pending[0],
			   *got = description_new(of->family, flags & SOCK_NONBLOCK);
	memmove(of->pending, of->pending + 1, --of->pending_count * sizeof(of->pending[0]));
	client->waits = false;
	hold(into, fd, got);
	got->state = CONNECTED;
	if (client->state == CONNECTED && client->references) {
		got->peer = client;
		client->peer = got;
		got->peer_ended = client->ended;
	} else {
		got->peer_ended = true;
	}
}

static void step_name(int slot)
{
	socklen_t size = pick(4) ? sizeof(struct sockaddr_storage) : pick(30);
	if (slots[slot].of->ended && slots[slot].of->peer_ended)
		return;
	if (pick(2))
		do_name("getsockname", getsockname, name(slot), slots[slot].fd, size);
	else
		do_name("getpeername", getpeername, name(slot), slots[slot].fd, size);
}

static const struct {
	const char *name;
	int level, option, below;
} options[] = {{"SO_KEEPALIVE", SOL_SOCKET, SO_KEEPALIVE, 3}, {"TCP_NODELAY", IPPROTO_TCP, TCP_NODELAY, 3},
	{"TCP_KEEPIDLE", IPPROTO_TCP, TCP_KEEPIDLE, 40000}, {"TCP_KEEPCNT", IPPROTO_TCP, TCP_KEEPCNT, 200},
	{"IP_TOS", IPPROTO_IP, IP_TOS, 256}, {"IP_TTL", IPPROTO_IP, IP_TTL, 300},
	{"SO_TYPE", SOL_SOCKET, SO_TYPE, 2}, {"SO_ERROR", SOL_SOCKET, SO_ERROR, 2},
	{"SO_DOMAIN", SOL_SOCKET, SO_DOMAIN, 2}, {"SO_PROTOCOL", SOL_SOCKET, SO_PROTOCOL, 2},
	{"SO_REUSEADDR", SOL_SOCKET, SO_REUSEADDR, 2}, {"SO_OOBINLINE", SOL_SOCKET, SO_OOBINLINE, 2},
	{"SO_RCVBUF", SOL_SOCKET, SO_RCVBUF, 100000},
	{"TCP_USER_TIMEOUT", IPPROTO_TCP, TCP_USER_TIMEOUT, 9000}, {"TCP_INFO", IPPROTO_TCP, TCP_INFO, 0},
	{"IPV6_V6ONLY", IPPROTO_IPV6, IPV6_V6ONLY, 2}, {"SO_ACCEPTCONN", SOL_SOCKET, SO_ACCEPTCONN, 2},
	{"nonsense", IPPROTO_TCP, 9999, 2}};

static unsigned pick_option(int slot, char text[64])
{
	unsigned which = pick(sizeof(options) / sizeof(options[0]));
	snprintf(text, 64, "%s, %s", name(slot), options[which].name);
	return which;
}

/* Neither what lets two sockets share a port, nor what TCP tunes on a connection by itself; nor on a listener
 * whose backlog holds connections that were made without it. */
static void step_setsockopt(int slot)
{
	char text[64];
	unsigned which = pick_option(slot, text);
	int option = options[which].option;
	bool tuned = option == SO_RCVBUF && slots[slot].of->state != FRESH;
	if (tuned || slots[slot].of->pending_count || option == SO_REUSEADDR || option == IPV6_V6ONLY)
		return;
	int value = options[which].below ? (int)pick(options[which].below) : 0;
	socklen_t size = pick(8) ? sizeof(value) : pick(sizeof(value));
	begin("setsockopt(%s, %d, size %d)", text, value, (int)size);
	finish(setsockopt(slots[slot].fd, options[which].level, option, &value, size));
}

static void step_getsockopt(int slot)
{
	char text[64];
	unsigned which = pick_option(slot, text);
	socklen_t size = pick(8) ? sizeof(int) : pick(sizeof(int));
	if (options[which].below == 0) { /* of TCP_INFO the state, unless it waits for an acknowledgement */
		if (slots[slot].of->ended || slots[slot].of->peer_ended)
			return;
		size = 1;
	}
	if (options[which].option != SO_RCVBUF || slots[slot].of->state == FRESH)
		do_getsockopt(text, slots[slot].fd, options[which].level, options[which].option, size);
}

static void step_send(int slot)
{
	static const char text[] = "the quick brown fox jumps over the lazy dog and doesn't look back";
	struct description *of = slots[slot].of;
	if (of->state != CONNECTED || of->peer_ended || !of->peer || of->peer->unread > 10000)
		return;
	char part[64] = "";
	int now = 1; /* not when the peer's acknowledgement comes: that would be a matter of time */
	setsockopt(slots[slot].fd, IPPROTO_TCP, TCP_NODELAY, &now, sizeof(now));
	memcpy(part, text + pick(20), 1 + pick(40));
	struct iovec parts[2] = {
		{part, strlen(part) / 2}, {part + strlen(part) / 2, strlen(part) - strlen(part) / 2}};
	struct addr ignored = nobody();
	struct msghdr message = {.msg_iov = parts,
		.msg_iovlen = 2,
		.msg_name = pick(2) ? &ignored.storage : NULL,
		.msg_namelen = ignored.length};
	int fd = slots[slot].fd, flags = MSG_NOSIGNAL | MSG_DONTWAIT;
	unsigned way = pick(5);
	begin("send(%s, \"%s\"), way %u", name(slot), part, way);
	long sent = way == 0   ? send(fd, part, strlen(part), flags)
		    : way == 1 ? write(fd, part, strlen(part))
		    : way == 2 ? writev(fd, parts, 2)
		    : way == 3 ? sendto(fd, part, strlen(part), flags, sa(&ignored), ignored.length)
			       : sendmsg(fd, &message, flags);
	if (finish(sent) > 0)
		of->peer->unread += (unsigned)sent;
}

static void step_recv(int slot)
{
	struct description *of = slots[slot].of;
	if (of->state != CONNECTED)
		return;
	int flags = MSG_DONTWAIT | (pick(4) || getenv("PARITY_NO_PEEK") ? 0 : MSG_PEEK);
	size_t size = 1 + pick(200);
	unsigned way = pick(4);
	long got;
	if (way < 2) {
		got = do_recv(name(slot), slots[slot].fd, size, flags, flags & MSG_PEEK ? "peek" : "");
	} else {
		char data[200];
		struct iovec whole = {data, size};
		struct sockaddr_storage from;
		struct msghdr message = {
			.msg_iov = &whole, .msg_iovlen = 1, .msg_name = &from, .msg_namelen = sizeof(from)};
		settle();
		begin("recv(%s, %zu, %s), way %u", name(slot), size, flags & MSG_PEEK ? "peek" : "", way);
		got = way == 2 ? recvmsg(slots[slot].fd, &message, flags)
			       : recvfrom(slots[slot].fd, data, size, flags, (void *)&from,
					 &message.msg_namelen);
		if (got >= 0)
			finish_note(" %s, an address of %d, flags %x", bytes_text(data, got),
				(int)message.msg_namelen, (unsigned)message.msg_flags & ~MSG_CMSG_CLOEXEC);
		finish(got);
	}
	if (got > 0 && !(flags & MSG_PEEK))
		of->unread -= (unsigned)got < of->unread ? (unsigned)got : of->unread;
}

/* Only on a connection: TCP remembers a shutdown that failed with ENOTCONN, and what the socket accepts or
 * connects later ends at once. */
static void step_shutdown(int slot)
{
	struct description *of = slots[slot].of;
	if (of->state == LISTENING && !of->pending_count) {
		int how = pick(3);
		begin("shutdown(%s, %d), which listens", name(slot), how);
		if (finish(shutdown(slots[slot].fd, how)) == 0 && how != SHUT_WR)
			let_go(of);
	}
	if (of->state != CONNECTED || of->ended || of->peer_ended)
		return;
	begin("shutdown(%s, SHUT_WR)", name(slot));
	if (finish(shutdown(slots[slot].fd, SHUT_WR)) == 0) {
		of->ended = true;
		if (of->peer)
			of->peer->peer_ended = true;
	}
}

static void step_dup(int slot)
{
	int into = pick(SLOTS);
	if (into == slot)
		return;
	if (!slots[into].of) {
		int lowest = lowest_free(), fd;
		unsigned way = pick(3);
		begin("%s = dup(%s), way %u", name(into), name(slot), way);
		if (way == 0)
			fd = finish_fd(dup(slots[slot].fd), lowest);
		else
			fd = finish_fd(
				fcntl(slots[slot].fd, way == 1 ? F_DUPFD : F_DUPFD_CLOEXEC, 3), lowest);
		if (fd >= 0)
			hold(into, fd, slots[slot].of);
	} else if (slots[into].of != slots[slot].of && slots[into].of->references == 1 &&
		   !slots[into].of->pending_count && slots[into].of->state != CONNECTED) {
		unsigned flags = pick(3);
		begin("dup%d(%s, %s, %x)", flags ? 3 : 2, name(slot), name(into), flags);
		int fd = flags ? dup3(slots[slot].fd, slots[into].fd, flags == 2 ? O_CLOEXEC : 0)
			       : dup2(slots[slot].fd, slots[into].fd);
		finish_fd(fd, slots[into].fd);
		slots[into].of->state = FREE;
		slots[into].of->references = 0;
		hold(into, slots[into].fd, slots[slot].of);
	}
}

static void step_epoll(int slot)
{
	unsigned set = pick(SETS), operation = slots[slot].registered[set] && pick(3) ? 2 + pick(2) : 1;
	unsigned events = pick(4) ? EPOLLIN : EPOLLIN | EPOLLOUT | EPOLLRDHUP;
	static const int operations[] = {0, EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_DEL};
	char text[64];
	snprintf(text, sizeof(text), "set %u, operation %u, %s, %s", set, operation, name(slot),
		poll_names(events));
	if (do_epoll_ctl(text, sets[set], operations[operation], slots[slot].fd, events, 100 * set + slot) ==
		0)
		slots[slot].registered[set] = operation != 3;
}

static void step_epoll_anew(int slot)
{
	unsigned set = pick(SETS);
	(void)slot;
	begin("close(set %u), and a new one", set);
	finish(close(sets[set]));
	sets[set] = epoll_new();
	for (int i = 0; i < SLOTS; i++)
		slots[i].registered[set] = false;
}

static void step_epoll_wait(int slot)
{
	struct epoll_event events[16];
	unsigned set = pick(SETS), seen[SLOTS] = {0};
	(void)slot;
	settle();
	int count = epoll_wait(sets[set], events, 16, 0);
	for (int i = 0; i < count; i++)
		seen[events[i].data.u64 % 100 % SLOTS] = events[i].events;
	char text[256] = "";
	for (int i = 0; i < SLOTS; i++)
		if (slots[i].of && seen[i] & comparable(slots[i].of))
			snprintf(text + strlen(text), sizeof(text) - strlen(text), " %s %s", name(i),
				poll_names(seen[i] & comparable(slots[i].of)));
		else if (!slots[i].of && seen[i])
			snprintf(text + strlen(text), sizeof(text) - strlen(text), " a closed %s", name(i));
	record("epoll_wait(set %u):%s", set, text);
}

static void step_poll(int slot)
{
	settle();
	show_poll(slot, POLL_ALL, 0);
}

static void step_flags(int slot)
{
	int on = pick(2);
	switch (pick(4)) {
	case 0:
		begin("fcntl(%s, F_SETFL, %d)", name(slot), on);
		finish(fcntl(slots[slot].fd, F_SETFL, on ? O_NONBLOCK : 0));
		slots[slot].of->nonblocking = on;
		break;
	case 1:
		begin("ioctl(%s, FIONBIO, %d)", name(slot), on);
		finish(ioctl(slots[slot].fd, FIONBIO, &on));
		slots[slot].of->nonblocking = on;
		break;
	case 2:
		begin("fcntl(%s, F_SETFD, %d)", name(slot), on);
		finish(fcntl(slots[slot].fd, F_SETFD, on ? FD_CLOEXEC : 0));
	}
	FLAGS(name(slot), slots[slot].fd);
}

static void step_unread(int slot)
{
	if (slots[slot].of->state == CONNECTED && !getenv("PARITY_NO_PEEK"))
		do_ioctl_int(name(slot), slots[slot].fd, FIONREAD, -1);
}

/* Three slots become a listener, a client and what was accepted, so that data has somewhere to go. */
static void step_pair(int slot)
{
	int taken[3] = {slot}, found = 1;
	for (int i = 0; i < SLOTS && found < 3; i++)
		if (!slots[i].of && i != slot)
			taken[found++] = i;
	if (found < 3)
		return;
	family = AF_INET;
	struct pair made = pair();
	struct description *of[3];
	int fds[3] = {made.listener, made.client, made.server};
	for (int i = 0; i < 3; i++) {
		of[i] = description_new(AF_INET, false);
		of[i]->state = i ? CONNECTED : LISTENING;
		hold(taken[i], fds[i], of[i]);
	}
	of[0]->at = address_of(made.listener);
	of[1]->peer = of[2];
	of[2]->peer = of[1];
	record("%s listens, %s and %s are connected", name(taken[0]), name(taken[1]), name(taken[2]));
}

static void step_fork(int slot)
{
	pid_t pid = child();
	if (!pid) {
		do_name("getsockname", getsockname, name(slot), slots[slot].fd,
			sizeof(struct sockaddr_storage));
		do_getsockopt(name(slot), slots[slot].fd, IPPROTO_TCP, TCP_NODELAY, sizeof(int));
		close(slots[slot].fd);
		done();
	}
	wait_for(pid);
}

HELPER(show_of_walk)
{
	do_name("getsockname", getsockname, "it", fd, sizeof(struct sockaddr_storage));
	do_name("getpeername", getpeername, "it", fd, sizeof(struct sockaddr_storage));
	do_getsockopt("it, SO_DOMAIN", fd, SOL_SOCKET, SO_DOMAIN, sizeof(int));
	do_getsockopt("it, SO_ACCEPTCONN", fd, SOL_SOCKET, SO_ACCEPTCONN, sizeof(int));
	FLAGS("it", fd);
}

/* A socket that has no connection and no address, and an error to report, isn't handed on. */
static void step_exec(int slot)
{
	struct description *of = slots[slot].of;
	if (of->state == FAILED || of->refused || (of->ended && of->peer_ended))
		return;
	record("a program is started with %s", name(slot));
	pid_t pid = child();
	if (!pid) {
		fcntl(slots[slot].fd, F_SETFD, 0);
		char **arguments = helper_arguments("show_of_walk", slots[slot].fd);
		execv(arguments[0], arguments);
		give_up("execv");
	}
	wait_for(pid);
}

/* Which sockets a step is mostly for; one time in four it gets any. */
static bool unconnected(const struct description *of)
{
	return of->state == FRESH || of->state == BOUND || of->state == FAILED;
}

static bool fresh(const struct description *of)
{
	return of->state == FRESH;
}

static bool bound(const struct description *of)
{
	return of->state == BOUND;
}

static bool connected(const struct description *of)
{
	return of->state == CONNECTED;
}

static bool has_clients(const struct description *of)
{
	return of->pending_count > 0;
}

static const struct step {
	const char *name;
	void (*run)(int slot);
	unsigned weight;
	bool without_socket;
	bool (*mostly)(const struct description *of);
} steps[] = {
	{"socket", step_socket, 16, true, NULL},
	{"a listener and a pair", step_pair, 3, true, NULL},
	{"close", step_close, 7, false, NULL},
	{"bind", step_bind, 8, false, fresh},
	{"listen", step_listen, 8, false, bound},
	{"connect", step_connect, 14, false, unconnected},
	{"accept", step_accept, 12, false, has_clients},
	{"getsockname, getpeername", step_name, 8, false, NULL},
	{"setsockopt", step_setsockopt, 7, false, NULL},
	{"getsockopt", step_getsockopt, 6, false, NULL},
	{"send", step_send, 14, false, connected},
	{"recv", step_recv, 9, false, connected},
	{"shutdown", step_shutdown, 2, false, connected},
	{"dup", step_dup, 8, false, NULL},
	{"epoll_ctl", step_epoll, 8, false, NULL},
	{"epoll_wait", step_epoll_wait, 6, true, NULL},
	{"poll", step_poll, 5, false, NULL},
	{"fcntl", step_flags, 4, false, NULL},
	{"ioctl", step_unread, 5, false, connected},
	{"epoll_create", step_epoll_anew, 1, true, NULL},
	{"exec", step_exec, 2, false, NULL},
	{"fork", step_fork, 1, false, NULL},
};
enum { STEPS = sizeof(steps) / sizeof(steps[0]) };

/* A slot that suits the step, looked for from a random place on; -1: there is none. */
static int find_slot(const struct step *step)
{
	unsigned from = pick(SLOTS), choosy = pick(4);
	for (int round = choosy && step->mostly ? 0 : 1; round < 2; round++)
		for (unsigned i = 0; i < SLOTS; i++) {
			struct description *of = slots[(from + i) % SLOTS].of;
			if (step->without_socket
					? !of || step->run == step_epoll_wait || step->run == step_epoll_anew
					: of && (round || step->mostly(of)))
				return (from + i) % SLOTS;
		}
	return -1;
}

static void take_step(unsigned total)
{
	size_t before = record_size();
	unsigned at = pick(total), which = 0;
	while (at >= steps[which].weight)
		at -= steps[which++].weight;
	int slot = find_slot(&steps[which]);
	if (slot < 0)
		return;
	steps[which].run(slot);
	if (record_size() != before)
		__atomic_fetch_add(&counts[which], 1, __ATOMIC_RELAXED);
}

void walk_sequence(uint64_t seed, const unsigned char *wanted, unsigned length)
{
	unsigned total = 0;
	for (int i = 0; i < STEPS; i++)
		total += steps[i].weight;
	for (int i = 0; i < SETS; i++)
		sets[i] = epoll_new();
	family = AF_INET;
	nobody(); /* its socket is made once, before the numbers matter */
	for (unsigned index = 0; index < length; index++) {
		if (wanted && !wanted[index])
			continue;
		random_state = mix(seed * 1000003 + index);
		size_t before = record_size();
		for (int tries = 0; tries < 20 && record_size() == before;
			tries++) /* till one makes a call */
			take_step(total);
	}
}

void walk_prepare(void)
{
	counts = mmap(
		NULL, sizeof(*counts) * STEPS, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

void walk_report(FILE *to)
{
	unsigned long total = 0;
	for (int i = 0; i < STEPS; i++)
		total += counts[i];
	for (int i = 0; i < STEPS; i++)
		fprintf(to, "%8u %5.1f %% %s\n", counts[i], total ? 100.0 * counts[i] / total : 0,
			steps[i].name);
	fprintf(to, "%8lu steps in all\n", total);
}
