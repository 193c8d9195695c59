/* SPDX-License-Identifier: MIT */
/* bind() and listen(). For an address that the map takes, the supervisor binds a fresh socket of the
 * transport to the rule's place, and puts it on the program's fd; listen() is then the kernel's, with the
 * largest backlog. An address that is left to IP is bound by the kernel, with the program's own rights. A
 * port of the reserved ranges may be bound only as this end's own address. */
#include "serve.h"
#include "task.h"

#include "core/verdict.h"

#include "transport/dial.h"
#include "transport/transport_unix.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

static bool both_set(const struct watched *first, const struct watched *second, int name)
{
	return options_int(&first->options, SOL_SOCKET, name, 0) &&
	       options_int(&second->options, SOL_SOCKET, name, 0);
}

struct sharing {
	const struct watched *second;
	const struct address *wanted;
	struct endpoint local;
	const struct rule *rule;
};

/* Two sockets on one port that may both listen, as TCP allows them: with different addresses (0.0.0.0 and an
 * IPv6-only ::), or with SO_REUSEPORT on both. */
static bool may_listen(
	const struct watched *first, const struct watched *second, const struct address *wanted)
{
	const struct watched *six = first->family == AF_INET6	 ? first
				    : second->family == AF_INET6 ? second
								 : NULL;
	if (both_set(first, second, SO_REUSEPORT))
		return true;
	if (first->family != second->family && options_int(&six->options, IPPROTO_IPV6, IPV6_V6ONLY, 0))
		return true;
	return !address_is_wildcard(&first->name) && !address_is_wildcard(wanted) &&
	       memcmp(first->name.ip, wanted->ip, sizeof wanted->ip) != 0;
}

/* With SO_REUSEADDR on both, one may be bound while neither listens. */
static bool may_share(const struct watched *first, const struct watched *second, const struct address *wanted)
{
	return may_listen(first, second, wanted) ||
	       (both_set(first, second, SO_REUSEADDR) && first->stage != STAGE_LISTENING &&
		       second->stage != STAGE_LISTENING);
}

static bool is_at(const struct watched *first, const struct sharing *sharing)
{
	return first != sharing->second && first->rule &&
	       (first->stage == STAGE_BOUND || first->stage == STAGE_LISTENING) &&
	       first->local.cid == sharing->local.cid && first->local.port == sharing->local.port &&
	       first->rule->target.kind == sharing->rule->target.kind &&
	       first->name.port == sharing->wanted->port;
}

/* The socket is open; but is it as its twin's only? */
static bool stands(const struct watched *one)
{
	struct task_fd fd;
	return !watched_twin(one, NULL) || !one->holder ||
	       (task_look(one->holder, one->number, &fd) == 0 && fd.inode == one->inode);
}

static bool shares(const struct watched *first, const void *context)
{
	const struct sharing *sharing = context;
	return is_at(first, sharing) && may_share(first, sharing->second, sharing->wanted);
}

static bool forbids(const struct watched *first, const void *context)
{
	const struct sharing *sharing = context;
	return is_at(first, sharing) && !may_share(first, sharing->second, sharing->wanted) && stands(first);
}

/* The port is taken, because CID any takes the whole port. If TCP would allow a second socket beside ours,
 * and it can't become that one's twin, it gets a place that nobody knows, and the first one gets the clients
 * of both. */
static int bind_beside(const struct rule *rule, const struct endpoint *local, int fresh)
{
	struct place place;
	struct endpoint hidden = *local;
	if (!target_has_cid(rule))
		return EADDRINUSE;
	for (int i = 0; i < PORT_TRIES; i++) {
		hidden.port = 65536 + ports_next(PORT_OF_IPV4);
		transport_of(rule)->place(&hidden, &place);
		if (transport_of(rule)->bind(fresh, &place) == 0)
			return 0;
	}
	return EADDRINUSE;
}

/* The supervisor may have rights that the program has given up, or never had. */
static bool may_bind(const struct subject *subject, uint32_t port)
{
	return port >= 1024 || task_has_capability(subject->call->thread, CAP_NET_BIND_SERVICE) ||
	       !transport_unix_port_is_low(port);
}

/* Binds a fresh socket. 0 or an errno; *wanted has the port that the program sees. */
static int bind_fresh(const struct subject *subject, const struct rule *rule, struct address *wanted,
	struct endpoint *local, int fresh)
{
	bool any = wanted->port == 0;
	int error = EADDRINUSE;
	for (int i = 0; i < PORT_TRIES && error == EADDRINUSE; i++) {
		struct destination to;
		uint16_t port = any ? ports_next(ports_kind(wanted)) : wanted->port;
		if (!destination_of(rule, wanted, port, &to))
			return errno;
		if (target_has_cid(rule) && !may_bind(subject, to.endpoint.port))
			return EACCES;
		error = to.transport->bind(fresh, &to.place) == 0 ? 0 : errno;
		*local = to.endpoint;
		if (!error)
			wanted->port = port;
		if (!any)
			break;
	}
	return error;
}

/* A duplicate, ours to close, of a socket that the thread's process has. -1: there is none to be had. */
static int copy_of(pid_t thread, uint64_t inode)
{
	int number = task_find(thread, inode, -1);
	return number < 0 ? -1 : task_duplicate(thread, number);
}

static bool blocks_as(int fd, int flags)
{
	return !((libc.fcntl(fd, F_GETFL, NULL) ^ flags) & O_NONBLOCK);
}

/* With SO_REUSEPORT on both, and the same address, the second socket becomes the first one, which all that
 * have it accept from, and which listens until the last of them is closed. As on TCP, both are the same
 * user's. ENOTSUP: it can't. */
static int become(struct subject *subject, struct watched *first, const struct address *wanted, int flags)
{
	struct watched *second = subject->watched;
	if (!both_set(first, second, SO_REUSEPORT) || first->family != second->family ||
		memcmp(&first->name, wanted, sizeof *wanted) != 0)
		return ENOTSUP;
	if (task_user(first->holder) != task_user(subject->call->thread))
		return EADDRINUSE;
	pid_t thread = subject->call->thread, holder = first->holder;
	if (task_process(thread) == holder)
		holder = thread; /* of a traced process only a thread that makes a call has duplicates for us
				  */
	int fd = copy_of(holder, first->inode), error = ENOTSUP;
	if (fd < 0 && call_is_sure()) {
		log_error("another process listens there, with SO_REUSEPORT, which a traced program can't "
			  "share "
			  "(ip2vsock(1)): bind() fails with EADDRINUSE");
		return EADDRINUSE;
	}
	if (fd >= 0 && blocks_as(fd, flags)) {
		subject->watched = NULL; /* it goes with the socket that it is of */
		error = subject_replace(subject, fd, flags & O_CLOEXEC);
		subject->watched = error ? second : first;
		first->shared |= !error;
	}
	if (fd >= 0)
		close(fd);
	return error;
}

/* A second listener of the process with another address is a duplicate of the first one's socket: both are
 * readable when a client comes, whichever address it asked for, and whichever accepts gets it. Returns the
 * duplicate, ours to close; -1: they can't be one socket. */
static int twin_of(
	const struct subject *subject, const struct watched *first, const struct address *wanted, int flags)
{
	bool may = may_listen(first, subject->watched, wanted) && first->number != subject->number;
	int fd = may ? copy_of(subject->call->thread, first->inode) : -1;
	if (fd >= 0 && blocks_as(fd, flags))
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

static int put_bound(struct subject *subject, const struct rule *rule, const struct transport *transport,
	struct address *wanted, int fresh, int flags)
{
	struct watched *watched = subject->watched;
	struct endpoint local = {CID_ANY, PORT_ANY};
	bool any_port = wanted->port == 0;
	int twin = -1, error = bind_fresh(subject, rule, wanted, &local, fresh);
	struct sharing sharing = {.second = watched, .wanted = wanted, .local = local, .rule = rule};
	struct watched *first = error == EADDRINUSE && !any_port ? watched_first(shares, &sharing) : NULL;
	if (first && !watched_first(forbids, &sharing)) {
		error = become(subject, first, wanted, flags);
		if (error != ENOTSUP) {
			report("bind", wanted, rule, &local, error ? log_errno(error) : "bound, and shared");
			return error;
		}
		twin = twin_of(subject, first, wanted, flags);
		error = twin < 0 ? bind_beside(rule, &local, fresh) : 0;
	}
	report("bind", wanted, rule, &local, error ? log_errno(error) : "bound");
	if (error) {
		if (error == EADDRINUSE && !watched->bound) /* TCP has released the address that it had */
			memset(&watched->name, 0, sizeof watched->name);
		return error;
	}
	subject_learn_options(subject);
	if (twin < 0)
		options_apply(&watched->options, fresh, rule->buffer);
	error = subject_replace(subject, twin < 0 ? fresh : twin, flags & O_CLOEXEC);
	if (twin >= 0)
		close(twin);
	if (error)
		return error;
	watched->number = subject->number;
	watched->rule = rule;
	watched->transport = transport;
	watched->local = local;
	watched->name = *wanted;
	watched->bound = true;
	watched->any_port = any_port;
	watched->had_address |= !address_is_wildcard(wanted);
	if (watched->family == AF_INET6 && !address_is_ipv4(wanted) && !address_is_wildcard(wanted))
		options_remember(&watched->options, IPPROTO_IPV6, IPV6_V6ONLY, &(int){1},
			sizeof(int)); /* as inet6_bind() does */
	watched->stage = STAGE_BOUND;
	return 0;
}

/* 0 or an errno; -1: answered. */
static int bind_mapped(struct subject *subject, const struct rule *rule, struct address *wanted)
{
	int flags = subject_flags(subject);
	if (flags < 0)
		return -1;
	held_review(); /* an accept() that was interrupted may still hold the port */
	struct destination to;
	if (!destination_of(rule, wanted, wanted->port, &to))
		return errno;
	int fresh = to.transport->open(SOCK_CLOEXEC | (flags & O_NONBLOCK ? SOCK_NONBLOCK : 0), rule->buffer);
	if (fresh < 0)
		return errno;
	int error = put_bound(subject, rule, to.transport, wanted, fresh, flags);
	close(fresh);
	return error;
}

/* The address that getsockname() returns for this end of a connection: a client may bind to it before it
 * connects. */
static bool is_own(const struct address *address)
{
	struct endpoint own = {transport_own_cid(), PORT_ANY};
	struct address shown =
		endpoint_shown(&own, address_is_ipv4(address) ? AF_INET : AF_INET6, &shim.ranges);
	return own.cid != CID_ANY && memcmp(shown.ip, address->ip, sizeof shown.ip) == 0;
}

/* The kernel binds the program's socket, with the program's rights. Which port it chose is looked up when it
 * is needed. */
static void bind_by_ip(struct subject *subject, const struct address *wanted, const struct rule *rule)
{
	struct watched *watched = subject->watched;
	report("bind", wanted, NULL, NULL, rule ? "direct, left to IP" : "no rule, left to IP");
	int error = watched->stage == STAGE_IP ? 0 : subject_to_ip(subject);
	if (error) {
		fail(subject, error);
		return;
	}
	watched->name = *wanted;
	watched->bound = true;
	watched->any_port = wanted->port == 0;
	call_pass(subject->call);
}

/* IP doesn't have this address, so only the port is bound, on the program's own socket, with none of our
 * rights. */
static void bind_to_own(struct subject *subject, const struct address *wanted)
{
	struct address any = {.port = wanted->port};
	struct sockaddr_storage name;
	if (address_is_ipv4(wanted))
		any = address_ipv4(INADDR_ANY, wanted->port);
	socklen_t length = address_to_sockaddr(&any, subject->watched->family, &name);
	if (wanted->port && wanted->port < 1024) {
		fail(subject, EACCES);
	} else if (libc.bind(subject->fd, (struct sockaddr *)&name, length) < 0) {
		fail(subject, errno);
	} else {
		subject->watched->name = *wanted;
		subject->watched->bound = true;
		subject->watched->any_port = wanted->port == 0;
		answer(subject, 0, 0);
	}
}

static void bind_stream(struct subject *subject, struct address *wanted)
{
	struct watched *watched = subject->watched;
	const struct verdict verdict = verdict_of(shim.map, SIDE_LISTEN, SOCKET_STREAM, wanted);
	if (verdict.kind == VERDICT_RESERVED && !is_own(wanted)) {
		fail(subject, verdict.error);
	} else if (verdict.kind == VERDICT_RESERVED) {
		bind_to_own(subject, wanted);
	} else if (verdict.kind == VERDICT_IP) {
		bind_by_ip(subject, wanted, verdict.rule);
	} else if ((watched->bound && !(watched->any_port && watched->stage == STAGE_FAILED)) ||
		   (watched->family == AF_INET6 && address_is_ipv4(wanted) &&
			   options_int(&watched->options, IPPROTO_IPV6, IPV6_V6ONLY, 0))) {
		fail(subject, EINVAL);
	} else if (verdict.kind == VERDICT_REFUSED) {
		report("bind", wanted, verdict.rule, NULL, "refused");
		fail(subject, verdict.error);
	} else {
		int error = bind_mapped(subject, verdict.rule, wanted);
		if (error == ENOENT)
			subject->call->id = 0;
		else if (error >= 0)
			fail(subject, error);
	}
}

void serve_bind(struct subject *subject)
{
	struct sockaddr_storage given;
	socklen_t length;
	struct address wanted;
	int error;
	struct watched *watched = subject_know(subject, &error);
	if (!watched || watched->options.datagram) {
		if (!watched && error)
			fail(subject, error);
		else
			call_pass(subject->call);
		return;
	}
	if (!subject_read_address(subject, argument(subject, 1), argument(subject, 2), &given, &length))
		return;
	if (given.ss_family == AF_UNSPEC && watched->family == AF_INET &&
		length >= sizeof(struct sockaddr_in) &&
		((struct sockaddr_in *)&given)->sin_addr.s_addr == INADDR_ANY)
		given.ss_family = AF_INET; /* as Linux accepts it, for old programs */
	if (watched->stage != STAGE_IP && watched->stage != STAGE_FAILED)
		fail(subject, EINVAL);
	else if (!address_from_sockaddr(&wanted, (struct sockaddr *)&given, length))
		fail(subject, length < sizeof(struct sockaddr_in) || given.ss_family == watched->family
				      ? EINVAL
				      : EAFNOSUPPORT);
	else if (given.ss_family != watched->family)
		fail(subject, watched->family == AF_INET6 && length < sizeof(struct sockaddr_in6) - 4
				      ? EINVAL
				      : EAFNOSUPPORT);
	else
		bind_stream(subject, &wanted);
}

/* For an INET socket that is about to listen on an address that the map takes. Either it was never bound,
 * which means any free port on every address, or a failed connect() has left it to IP. 0 or an errno; -1:
 * answered. */
static int bind_by_map(struct subject *subject)
{
	struct watched *watched = subject->watched;
	struct address wanted;
	if (!bound_address(subject->fd, watched, &wanted))
		return errno;
	const struct verdict verdict = verdict_of(shim.map, SIDE_LISTEN, SOCKET_STREAM, &wanted);
	if (verdict.kind == VERDICT_RESERVED)
		return EADDRINUSE; /* IP would admit everybody */
	if (verdict.kind == VERDICT_IP)
		return 0;
	if (verdict.kind == VERDICT_REFUSED)
		return verdict.error;
	bool any_port = watched->bound && watched->any_port;
	int error = bind_mapped(subject, verdict.rule, &wanted);
	subject->watched->any_port |= any_port;
	if (!error)
		subject_reopen(subject);
	return error;
}

/* Two sockets that share a port by SO_REUSEADDR can't both listen. */
static bool conflicts(const struct watched *other, const void *context)
{
	const struct watched *watched = context;
	return other != watched && other->stage == STAGE_LISTENING &&
	       other->local.cid == watched->local.cid && other->local.port == watched->local.port &&
	       !may_share(other, watched, &watched->name) && stands(other);
}

/* If the backlog is full, AF_VSOCK refuses and Unix sockets fail, whereas TCP lets clients wait. So ask for
 * as much as net.core.somaxconn allows. */
enum { BACKLOG = 1 << 16 };

static void listen_mapped(struct subject *subject)
{
	struct watched *watched = subject->watched;
	if (watched->stage != STAGE_BOUND && watched->stage != STAGE_LISTENING) {
		fail(subject, EINVAL);
	} else if (watched->stage == STAGE_BOUND && watched_first(conflicts, watched)) {
		fail(subject, EADDRINUSE);
	} else if (libc.listen(subject->fd, BACKLOG) < 0) {
		fail(subject, errno);
	} else {
		watched->stage = STAGE_LISTENING;
		answer(subject, 0, 0);
	}
}

void serve_listen(struct subject *subject)
{
	int error;
	struct watched *watched = subject_know(subject, &error);
	if (!watched) {
		if (error)
			fail(subject, error);
		else
			call_pass(subject->call);
		return;
	}
	subject_settle(subject);
	if (watched->options.datagram)
		error = EOPNOTSUPP;
	else if (watched->abort_once)
		error = EINVAL; /* connect() hasn't yet reported that the attempt failed */
	else if (watched->stage == STAGE_FAILED)
		error = subject_to_ip(subject);
	if (!error && watched->stage == STAGE_IP)
		error = bind_by_map(subject);
	watched = subject->watched; /* another's, if they share a socket now */
	if (error == ENOENT)
		subject->call->id = 0;
	else if (error)
		error > 0 ? fail(subject, error) : (void)0;
	else if (watched->stage == STAGE_IP)
		call_pass(subject->call);
	else
		listen_mapped(subject);
}
