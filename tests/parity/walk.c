/* SPDX-License-Identifier: MIT */
/* The random walk: sequences of calls that a seed decides, on eight descriptors, their dups and two epoll
 * sets. The same seeds run on TCP and through the library, and `walk` compares. Every step takes its random
 * numbers from the seed and its own index alone, so that a sequence with steps left out stays the same
 * sequence otherwise: that is how a failure is shrunk. The model below knows just enough of each socket to
 * keep away from what can't be the same (the file `differences`): resets, writes to the dead, one's own
 * SHUT_RD. */
#include "walk.h"

#include "parity.h"

enum { SLOTS = 8, SETS = 2, PENDING = 16 };

struct description {
	enum { FREE, FRESH, BOUND, LISTENING, CONNECTED, FAILED } state;
	int family, references;
	bool nonblocking, ended, peer_ended; /* SHUT_WR here, SHUT_WR or close there */
	bool waits;			     /* in a listener's backlog, even if it was closed meanwhile */
	bool wide;			     /* bound to [::]: the family of its connection isn't known */
	bool let_go;			     /* bound to port 0, then refused: TCP gives that port up */
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

static void step_bind(int slot)
{
	struct description *of = slots[slot].of, *other = slots[pick(SLOTS)].of;
	if (of->ended && of->peer_ended)
		return; /* TCP has forgotten its port by then, and binds it anew */
	struct addr to = own_loopback(of, 0);
	bool wide = !pick(4);
	if (wide)
		to = of->family == AF_INET ? ipv4("0.0.0.0", 0) : ipv6("::", 0);
	else if (!pick(3) && other && other->state == LISTENING && other->family == of->family &&
		 !of->refused)
		to = other->at;
	else if (!pick(6))
		to.length = pick(16);
	begin("bind(%s, %s)", name(slot), addr_text(&to));
	if (finish(bind(slots[slot].fd, sa(&to), to.length)) == 0) {
		of->state = BOUND;
		of->wide = wide && of->family == AF_INET6;
	}
}

static void step_listen(int slot)
{
	struct description *of = slots[slot].of;
	if (of->state == FAILED)
		return;
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

static void step_connect(int slot)
{
	struct description *of = slots[slot].of, *listener = NULL;
	struct addr to;
	if (of->state == BOUND && of->wide)
		return;
	unsigned kind = pick(8), from = pick(SLOTS);
	for (unsigned i = 0; i < SLOTS && !(listener && listener->state == LISTENING); i++)
		listener = slots[(from + i) % SLOTS].of;
	bool reaches = false;
	if (listener && listener->state == LISTENING && kind < 6) {
		if (listener->pending_count == PENDING)
			return;
		to = listener->at;
		reaches = listener->family == of->family;
	} else if (kind == 6 && of->state != CONNECTED && of->state != LISTENING) {
		to = unspecified();
		reaches = false;
	} else {
		family = of->family;
		to = nobody();
	}
	bool fresh = of->state != CONNECTED && of->state != LISTENING, bound_before = of->state == BOUND;
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
		value = do_getsockopt(name(slot), slots[slot].fd, SOL_SOCKET, SO_ERROR, sizeof(int));
	} else if (fresh && value == 0 && reaches) {
		connected_to(of, listener);
	} else if (fresh && sa(&to)->sa_family == of->family) {
		of->state = of->state == BOUND ? BOUND : FAILED;
	}
	of->let_go = bound_before && of->state != CONNECTED && sa(&to)->sa_family != AF_UNSPEC;
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
	int fd = do_accept(name(slot), slots[slot].fd, flags, true);
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
	{"TCP_USER_TIMEOUT", IPPROTO_TCP, TCP_USER_TIMEOUT, 9000},
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
	if (!tuned && !slots[slot].of->pending_count && option != SO_REUSEADDR && option != IPV6_V6ONLY)
		do_setsockopt(text, slots[slot].fd, options[which].level, option, pick(options[which].below));
}

static void step_getsockopt(int slot)
{
	char text[64];
	unsigned which = pick_option(slot, text);
	if (options[which].option != SO_RCVBUF || slots[slot].of->state == FRESH)
		do_getsockopt(text, slots[slot].fd, options[which].level, options[which].option, sizeof(int));
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
	if (do_send(name(slot), slots[slot].fd, part, MSG_NOSIGNAL | MSG_DONTWAIT, "") > 0)
		of->peer->unread += strlen(part);
}

static void step_recv(int slot)
{
	struct description *of = slots[slot].of;
	if (of->state != CONNECTED)
		return;
	int flags = MSG_DONTWAIT | (pick(4) ? 0 : MSG_PEEK);
	long got = do_recv(name(slot), slots[slot].fd, 1 + pick(200), flags, flags & MSG_PEEK ? "peek" : "");
	if (got > 0 && !(flags & MSG_PEEK))
		of->unread -= (unsigned)got < of->unread ? (unsigned)got : of->unread;
}

/* Only on a connection: TCP remembers a shutdown that failed with ENOTCONN, and what the socket accepts or
 * connects later ends at once. */
static void step_shutdown(int slot)
{
	struct description *of = slots[slot].of;
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
		   slots[into].of->state == FRESH) {
		begin("dup2(%s, %s)", name(slot), name(into));
		finish_fd(dup2(slots[slot].fd, slots[into].fd), slots[into].fd);
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
	if (!pick(3)) {
		bool on = pick(2);
		begin("fcntl(%s, F_SETFL, %d)", name(slot), on);
		finish(fcntl(slots[slot].fd, F_SETFL, on ? O_NONBLOCK : 0));
		slots[slot].of->nonblocking = on;
	}
	FLAGS(name(slot), slots[slot].fd);
}

static void step_unread(int slot)
{
	if (slots[slot].of->state == CONNECTED)
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
	bool without_socket, names; /* names: it gives or shows an address */
	bool (*mostly)(const struct description *of);
} steps[] = {
	{"socket", step_socket, 16, true, false, NULL},
	{"a listener and a pair", step_pair, 3, true, false, NULL},
	{"close", step_close, 7, false, false, NULL},
	{"bind", step_bind, 8, false, true, fresh},
	{"listen", step_listen, 8, false, true, bound},
	{"connect", step_connect, 14, false, true, unconnected},
	{"accept", step_accept, 12, false, true, has_clients},
	{"getsockname, getpeername", step_name, 8, false, true, NULL},
	{"setsockopt", step_setsockopt, 7, false, false, NULL},
	{"getsockopt", step_getsockopt, 6, false, false, NULL},
	{"send", step_send, 14, false, false, connected},
	{"recv", step_recv, 9, false, false, connected},
	{"shutdown", step_shutdown, 2, false, false, connected},
	{"dup", step_dup, 8, false, false, NULL},
	{"epoll_ctl", step_epoll, 8, false, false, NULL},
	{"epoll_wait", step_epoll_wait, 6, true, false, NULL},
	{"poll", step_poll, 5, false, false, NULL},
	{"fcntl", step_flags, 4, false, false, NULL},
	{"ioctl", step_unread, 5, false, false, connected},
	{"fork", step_fork, 1, false, true, NULL},
};
enum { STEPS = sizeof(steps) / sizeof(steps[0]) };

/* A slot that suits the step, looked for from a random place on; -1: there is none. */
static int find_slot(const struct step *step)
{
	unsigned from = pick(SLOTS), choosy = pick(4);
	for (int round = choosy && step->mostly ? 0 : 1; round < 2; round++)
		for (unsigned i = 0; i < SLOTS; i++) {
			struct description *of = slots[(from + i) % SLOTS].of;
			if (step->without_socket ? !of || step->run == step_epoll_wait
						 : of && (round || step->mostly(of)))
				return (from + i) % SLOTS;
		}
	return -1;
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
		unsigned at = pick(total), which = 0;
		while (at >= steps[which].weight)
			at -= steps[which++].weight;
		int slot = find_slot(&steps[which]);
		if (slot < 0 || (slots[slot].of && slots[slot].of->let_go && steps[which].names))
			continue;
		size_t before = record_size();
		steps[which].run(slot);
		if (record_size() != before)
			__atomic_fetch_add(&counts[which], 1, __ATOMIC_RELAXED);
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
