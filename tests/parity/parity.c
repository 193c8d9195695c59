/* SPDX-License-Identifier: MIT */
#include "parity.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdatomic.h>

#include <sys/prctl.h>

#include <linux/vm_sockets.h>

#include "random_walk.h"

enum { RECORD_SIZE = 1 << 20 };
/* What hangs hangs for longer than a busy machine. */
static unsigned case_seconds(void)
{
	const char *set = getenv("PARITY_CASE_SECONDS");
	return set ? (unsigned)atoi(set) : 60;
}

/* Shared by everything that a case forks; what it execs maps it again by path. */
static struct {
	atomic_size_t used;
	atomic_long ms; /* how long the machine has run: see keep_time() */
	char text[RECORD_SIZE];
} * records;
static char record_path[64];

static struct parity_case *cases, **cases_end = &cases;
static struct helper *helpers;

int family = AF_INET;
bool family_mapped;
bool through_vsock;

void case_add(struct parity_case *added)
{
	*cases_end = added;
	cases_end = &added->next;
}

void helper_add(struct helper *added)
{
	added->next = helpers;
	helpers = added;
}

/* Records */

enum { ERRNO_UNTOUCHED = EXFULL }; /* no socket call sets it */
static _Thread_local char call[512], note[256];
static _Thread_local int signals_before;
static atomic_int signal_counts[NSIG];

void record(const char *format, ...)
{
	char line[1024];
	va_list arguments;
	va_start(arguments, format);
	int length = vsnprintf(line, sizeof(line) - 1, format, arguments);
	va_end(arguments);
	if (length > (int)sizeof(line) - 2)
		length = sizeof(line) - 2;
	line[length++] = '\n';
	size_t at = atomic_fetch_add(&records->used, length);
	if (at + length < RECORD_SIZE)
		memcpy(records->text + at, line, length);
}

size_t record_size(void)
{
	return atomic_load(&records->used);
}

void begin(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(call, sizeof(call), format, arguments);
	va_end(arguments);
	note[0] = '\0';
	signals_before = atomic_load(&signal_counts[SIGPIPE]);
	errno = ERRNO_UNTOUCHED;
}

void finish_note(const char *format, ...)
{
	int saved = errno;
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(note, sizeof(note), format, arguments);
	va_end(arguments);
	errno = saved;
}

static void finish_as(const char *value, bool failed)
{
	int error = errno;
	const char *pipe = atomic_load(&signal_counts[SIGPIPE]) == signals_before ? "" : ", SIGPIPE";
	char trouble[64] = "";
	if (!failed && error != ERRNO_UNTOUCHED)
		snprintf(trouble, sizeof(trouble), ", errno became %s", error_name(error));
	if (failed)
		record("%s = %s %s%s%s", call, value, error_name(error), note, pipe);
	else
		record("%s = %s%s%s%s", call, value, note, pipe, trouble);
	errno = error;
}

long finish(long value)
{
	char text[32];
	snprintf(text, sizeof(text), "%ld", value);
	finish_as(text, value == -1);
	return value;
}

int finish_fd(int fd, int expected)
{
	if (fd >= 0)
		finish_as(fd == expected ? "the expected fd" : "another fd", false);
	else
		finish(fd);
	return fd;
}

_Noreturn void give_up(const char *what)
{
	record("scaffolding failed: %s: %s", what, error_name(errno));
	_exit(1);
}

/* Names */

const char *error_name(int error)
{
	static const struct {
		int error;
		const char *name;
	} names[] = {
#define NAME(e) {e, #e}
		NAME(EPERM),
		NAME(ENOENT),
		NAME(EINTR),
		NAME(EIO),
		NAME(ENXIO),
		NAME(EBADF),
		NAME(ECHILD),
		NAME(EAGAIN),
		NAME(ENOMEM),
		NAME(EACCES),
		NAME(EFAULT),
		NAME(EBUSY),
		NAME(EEXIST),
		NAME(ENODEV),
		NAME(ENOTDIR),
		NAME(EINVAL),
		NAME(ENFILE),
		NAME(EMFILE),
		NAME(ENOTTY),
		NAME(EFBIG),
		NAME(ENOSPC),
		NAME(ESPIPE),
		NAME(EPIPE),
		NAME(EDOM),
		NAME(ERANGE),
		NAME(ENAMETOOLONG),
		NAME(ENOSYS),
		NAME(ELOOP),
		NAME(ENODATA),
		NAME(EPROTO),
		NAME(EOVERFLOW),
		NAME(ENOTSOCK),
		NAME(EDESTADDRREQ),
		NAME(EMSGSIZE),
		NAME(EPROTOTYPE),
		NAME(ENOPROTOOPT),
		NAME(EPROTONOSUPPORT),
		NAME(ESOCKTNOSUPPORT),
		NAME(EOPNOTSUPP),
		NAME(EPFNOSUPPORT),
		NAME(EAFNOSUPPORT),
		NAME(EADDRINUSE),
		NAME(EADDRNOTAVAIL),
		NAME(ENETDOWN),
		NAME(ENETUNREACH),
		NAME(ENETRESET),
		NAME(ECONNABORTED),
		NAME(ECONNRESET),
		NAME(ENOBUFS),
		NAME(EISCONN),
		NAME(ENOTCONN),
		NAME(ESHUTDOWN),
		NAME(ETIMEDOUT),
		NAME(ECONNREFUSED),
		NAME(EHOSTDOWN),
		NAME(EHOSTUNREACH),
		NAME(EALREADY),
		NAME(EINPROGRESS),
		NAME(EDQUOT),
		NAME(ECANCELED),
#undef NAME
	};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].error == error)
			return names[i].name;
	static _Thread_local char other[32];
	snprintf(other, sizeof(other), "errno %d", error);
	return error ? other : "0";
}

const char *poll_names(unsigned events)
{
	static const struct {
		unsigned bit;
		const char *name;
	} names[] = {{POLLIN, "IN"}, {POLLPRI, "PRI"}, {POLLOUT, "OUT"}, {POLLERR, "ERR"}, {POLLHUP, "HUP"},
		{POLLNVAL, "NVAL"}, {POLLRDHUP, "RDHUP"}};
	static _Thread_local char texts[4][64];
	static _Thread_local unsigned turn;
	char *text = texts[turn++ % 4];
	text[0] = '\0';
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (events & names[i].bit) {
			if (text[0])
				strcat(text, "|");
			strcat(text, names[i].name);
		}
	return text[0] ? text : "nothing";
}

const char *bytes_text(const void *data, size_t length)
{
	static _Thread_local char texts[4][256];
	static _Thread_local unsigned turn;
	char *text = texts[turn++ % 4], *at = text;
	const unsigned char *bytes = data;
	*at++ = '"';
	for (size_t i = 0; i < length && i < 48; i++)
		at += sprintf(at, bytes[i] >= 0x20 && bytes[i] < 0x7f ? "%c" : "\\x%02x", bytes[i]);
	strcpy(at, length > 48 ? "…\"" : "\"");
	return text;
}

/* \001p…; is made P1, P2, … when the record is written out. */
static const char *whole_port_text(unsigned port, socklen_t size)
{
	return size < 4 ? "cut" : port_text(port); /* half a port could be another's half */
}

const char *port_text(unsigned port)
{
	static _Thread_local char texts[8][16];
	static _Thread_local unsigned turn;
	char *text = texts[turn++ % 8];
	snprintf(text, 16, port < 1024 ? "%u" : "\001%u;", port);
	return text;
}

const char *sockaddr_text(const void *address, socklen_t length, socklen_t size)
{
	static _Thread_local char texts[4][192];
	static _Thread_local unsigned turn;
	char *text = texts[turn++ % 4], ip[INET6_ADDRSTRLEN];
	struct sockaddr_storage copy = {0};
	memcpy(&copy, address, length < size ? length : size);
	const struct sockaddr_in *in = (void *)&copy;
	const struct sockaddr_in6 *in6 = (void *)&copy;
	char cut[32] = "";
	if (length > size)
		snprintf(cut, sizeof(cut), " cut to %d", (int)size);
	if (size < sizeof(sa_family_t) || length < sizeof(sa_family_t)) {
		snprintf(text, 192, "(length %d%s)", (int)length, cut);
	} else if (copy.ss_family == AF_INET) {
		static const char zeros[8];
		inet_ntop(AF_INET, &in->sin_addr, ip, sizeof(ip));
		snprintf(text, 192, "%s:%s (length %d%s%s)", ip, whole_port_text(ntohs(in->sin_port), size),
			(int)length, cut,
			memcmp(in->sin_zero, zeros, sizeof(zeros)) ? ", sin_zero isn't" : "");
	} else if (copy.ss_family == AF_INET6) {
		inet_ntop(AF_INET6, &in6->sin6_addr, ip, sizeof(ip));
		snprintf(text, 192, "[%s]:%s flow %u scope %u (length %d%s)", ip,
			whole_port_text(ntohs(in6->sin6_port), size), ntohl(in6->sin6_flowinfo),
			in6->sin6_scope_id, (int)length, cut);
	} else {
		snprintf(text, 192, "family %d (length %d%s)", copy.ss_family, (int)length, cut);
	}
	return text;
}

/* Addresses */

struct addr ipv4(const char *text, unsigned port)
{
	struct addr to = {.length = sizeof(struct sockaddr_in)};
	struct sockaddr_in *in = (void *)&to.storage;
	in->sin_family = AF_INET;
	in->sin_port = htons(port);
	inet_pton(AF_INET, text, &in->sin_addr);
	return to;
}

struct addr ipv6(const char *text, unsigned port)
{
	struct addr to = {.length = sizeof(struct sockaddr_in6)};
	struct sockaddr_in6 *in6 = (void *)&to.storage;
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(port);
	inet_pton(AF_INET6, text, &in6->sin6_addr);
	return to;
}

struct addr loopback(unsigned port)
{
	return family == AF_INET ? ipv4("127.0.0.1", port)
				 : ipv6(family_mapped ? "::ffff:127.0.0.1" : "::1", port);
}

struct addr wildcard(unsigned port)
{
	return family == AF_INET ? ipv4("0.0.0.0", port)
				 : ipv6(family_mapped ? "::ffff:0.0.0.0" : "::", port);
}

struct addr unspecified(void)
{
	return (struct addr){.storage.ss_family = AF_UNSPEC, .length = sizeof(struct sockaddr_in)};
}

unsigned port_of(const struct addr *address)
{
	/* the port is at the same place in both families */
	return ntohs(((const struct sockaddr_in *)&address->storage)->sin_port);
}

/* Scaffolding */

static int must(int value, const char *what)
{
	if (value < 0)
		give_up(what);
	return value;
}

int tcp(void)
{
	return must(socket(family, SOCK_STREAM, 0), "socket");
}

int listener_at(struct addr address, int backlog)
{
	int fd = must(socket(sa(&address)->sa_family, SOCK_STREAM, 0), "socket");
	must(bind(fd, sa(&address), address.length), "bind");
	must(listen(fd, backlog), "listen");
	return fd;
}

int listener(void)
{
	return listener_at(loopback(0), 64);
}

struct addr address_of(int fd)
{
	struct addr address = {.length = sizeof(address.storage)};
	must(getsockname(fd, sa(&address), &address.length), "getsockname");
	return address;
}

static bool is_in_the_record(unsigned port)
{
	size_t used = atomic_load(&records->used);
	const char *text = port_text(port);
	return memmem(records->text, used < RECORD_SIZE ? used : RECORD_SIZE, text, strlen(text)) != NULL;
}

/* Bound by a socket that stays open without listening, so that nobody else is given the port. Nor is it one
 * that the case has had and left, which would have a name in the record. */
struct addr nobody(void)
{
	static _Thread_local struct addr at;
	int held = -1; /* one fd in all, which `fds left open` counts */
	for (bool chosen = at.length; !chosen; chosen = !is_in_the_record(port_of(&at))) {
		int fd = tcp();
		if (held >= 0)
			close(held);
		at = loopback(0);
		must(bind(fd, sa(&at), at.length), "bind");
		at = address_of(fd);
		held = must(fcntl(fd, F_DUPFD_CLOEXEC, 900), "F_DUPFD");
		close(fd);
	}
	return sa(&at)->sa_family == family ? loopback(port_of(&at)) : at;
}

int accept_from(int listener)
{
	return must(accept(listener, NULL, NULL), "accept");
}

void connect_to(int fd, struct addr address)
{
	must(connect(fd, sa(&address), address.length), "connect");
}

struct pair pair(void)
{
	struct pair p = {.listener = listener(), .client = tcp()};
	connect_to(p.client, address_of(p.listener));
	p.server = accept_from(p.listener);
	return p;
}

void nonblocking(int fd)
{
	must(fcntl(fd, F_SETFL, must(fcntl(fd, F_GETFL), "F_GETFL") | O_NONBLOCK), "F_SETFL");
}

static void pause_us(int us)
{
	struct timespec left = {us / 1000000, us % 1000000 * 1000L};
	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
}

void pause_ms(int ms)
{
	pause_us(ms * 1000);
}

static int settle_ms(void)
{
	static int ms = -1;
	const char *set = getenv("PARITY_SETTLE_MS");
	if (ms < 0)
		ms = set ? atoi(set) : 5;
	return ms;
}

static int count_tasks(void)
{
	int count = 0;
	DIR *all = opendir("/proc/self/task");
	for (struct dirent *each; all && (each = readdir(all));)
		count += each->d_name[0] != '.';
	if (all)
		closedir(all);
	return count;
}

static int own_tasks = 1; /* a sanitizer, or QEMU, has threads of its own */

/* Threads of the case, and tasks of the library, which greet and have an fd open for a moment longer. */
static bool others_run(void)
{
	return count_tasks() > own_tasks;
}

/* In slices: while the machine keeps a bed from running its clock goes on, and a single sleep would be over
 * with nothing done. Where there are greetings, they are waited for; not without end, as a case may have
 * threads. */
void settle(void)
{
	enum { SLICES = 5, MOST_MS = 300 };
	int saved = errno;
	for (int i = 0; i < SLICES && settle_ms(); i++)
		pause_us(settle_ms() * 1000 / SLICES);
	for (int ms = 0; getenv("PARITY_GREETINGS") && ms < MOST_MS && others_run(); ms += 2)
		pause_ms(2);
	errno = saved;
}

int lowest_free(void)
{
	int fd = 0;
	while (fcntl(fd, F_GETFD) >= 0)
		fd++;
	return fd;
}

/* The library's second socket of a listener, where AF_VSOCK doesn't lead to this machine: one each. */
static bool is_door(int fd)
{
	struct sockaddr_un name = {.sun_family = AF_UNSPEC};
	socklen_t length = sizeof(name);
	return getsockname(fd, (struct sockaddr *)&name, &length) == 0 && name.sun_family == AF_UNIX &&
	       !memcmp(name.sun_path, "\0ip2vsock-local/", 16);
}

static bool listens(int fd)
{
	int yes = 0;
	socklen_t length = sizeof(yes);
	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &yes, &length) == 0 && yes;
}

static int open_fds(void)
{
	int count = -1, doors = 0, listeners = 0; /* the directory itself */
	DIR *all = opendir("/proc/self/fd");
	if (!all)
		give_up("/proc/self/fd");
	for (struct dirent *each; (each = readdir(all));) {
		int fd = atoi(each->d_name);
		if (each->d_name[0] == '.')
			continue;
		count++;
		if (listens(fd))
			*(is_door(fd) ? &doors : &listeners) += 1;
	}
	closedir(all);
	return count - (doors < listeners ? doors : listeners);
}

struct later {
	int ms, argument;
	void (*action)(int);
	pthread_t thread;
};

static void *act_later(void *argument)
{
	struct later later = *(struct later *)argument;
	free(argument);
	pause_ms(later.ms);
	if (later.action)
		later.action(later.argument);
	else
		pthread_kill(later.thread, later.argument);
	return NULL;
}

static void start_later(struct later what)
{
	struct later *later = malloc(sizeof(*later));
	*later = what;
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_t thread;
	if (pthread_create(&thread, NULL, act_later, later))
		give_up("pthread_create");
	pthread_detach(thread);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void after(int ms, void (*action)(int), int argument)
{
	start_later((struct later){ms, argument, action, pthread_self()});
}

void after_signal(int ms, int signal)
{
	start_later((struct later){ms, signal, NULL, pthread_self()});
}

static void count_signal(int signal)
{
	atomic_fetch_add(&signal_counts[signal], 1);
}

void on_signal(int signal, int flags)
{
	struct sigaction action = {.sa_handler = count_signal, .sa_flags = flags};
	sigaction(signal, &action, NULL);
}

int signals_seen(int signal)
{
	return atomic_load(&signal_counts[signal]);
}

pid_t child(void)
{
	return must(fork(), "fork");
}

_Noreturn void done(void)
{
	_exit(0);
}

void wait_for(pid_t pid)
{
	int status;
	if (waitpid(pid, &status, 0) != pid)
		give_up("waitpid");
	if (WIFSIGNALED(status))
		record("a child died of signal %d", WTERMSIG(status));
	else if (WEXITSTATUS(status))
		record("a child exited with %d", WEXITSTATUS(status));
}

static long now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* A clock that stands still while the machine does: a busy one can leave a virtual machine alone for longer
 * than what TOOK allows. */
static void keep_time(void)
{
	long before = now_ms();
	pause_ms(10);
	long ms = now_ms() - before;
	atomic_fetch_add(&records->ms, ms < 50 ? ms : 50);
}

static struct {
	long at, ms;
} started;

void clock_start(void)
{
	started.at = now_ms();
	started.ms = atomic_load(&records->ms);
}

void TOOK(int expected_ms)
{
	if (now_ms() - started.at < expected_ms * 7 / 10)
		record("it took much less than %d ms", expected_ms);
	else if (atomic_load(&records->ms) - started.ms <= expected_ms + 700)
		record(expected_ms ? "it took about %d ms" : "it took no time", expected_ms);
	else
		record("it took much more than %d ms", expected_ms);
}

static unsigned char pattern(uint64_t at)
{
	return (unsigned char)(at * 2654435761u >> 13);
}

void pattern_fill(void *data, size_t length, uint64_t offset)
{
	for (size_t i = 0; i < length; i++)
		((unsigned char *)data)[i] = pattern(offset + i);
}

uint64_t pattern_check(const void *data, size_t length, uint64_t offset)
{
	uint64_t wrong = 0;
	for (size_t i = 0; i < length; i++)
		wrong += ((const unsigned char *)data)[i] != pattern(offset + i);
	return wrong;
}

void send_all(int fd, uint64_t bytes)
{
	char data[65536];
	for (uint64_t sent = 0; sent < bytes;) {
		size_t size = bytes - sent < sizeof(data) ? bytes - sent : sizeof(data);
		pattern_fill(data, size, sent);
		ssize_t now = send(fd, data, size, MSG_NOSIGNAL);
		if (now < 0) {
			record("sending %llu bytes failed with %s", (unsigned long long)bytes,
				error_name(errno));
			return;
		}
		sent += now;
	}
}

void RECEIVE_ALL(int fd, uint64_t bytes)
{
	char data[65536];
	uint64_t got = 0, wrong = 0;
	while (got < bytes) {
		ssize_t now = recv(fd, data, bytes - got < sizeof(data) ? bytes - got : sizeof(data), 0);
		if (now <= 0) {
			record("receiving ended early: %s", now ? error_name(errno) : "end of file");
			break;
		}
		wrong += pattern_check(data, now, got);
		got += now;
	}
	record("received %llu bytes, %llu of them wrong", (unsigned long long)got, (unsigned long long)wrong);
}

static void start_listening(int fd)
{
	listen(fd, 64);
}

static void take_one(int fd)
{
	close(accept(fd, NULL, NULL));
}

/* On TCP: a full backlog drops the first SYN, and the second comes after a second. Through vsock, where a
 * backlog isn't felt: a port that starts to listen late, reached with retry= (the map has 7000 to 7999 so).
 */
void *connect_jointly(void *argument)
{
	struct joint *joint = argument;
	joint->result = connect(joint->fd, sa(&joint->to), joint->to.length) < 0 ? errno : 0;
	return NULL;
}

struct slow_peer slow_peer(void)
{
	struct slow_peer peer;
	if (through_vsock) {
		peer.listener = tcp();
		peer.address = loopback(7000 + getpid() % 1000);
		must(bind(peer.listener, sa(&peer.address), peer.address.length), "bind");
		must(dup2(STDERR_FILENO, 901), "dup2"); /* as many descriptors as on TCP */
		after(800, start_listening, peer.listener);
	} else {
		peer.listener = listener_at(loopback(0), 0);
		peer.address = address_of(peer.listener);
		int filler = tcp();
		connect_to(filler, peer.address);
		must(dup2(filler, 901), "dup2");
		close(filler);
		after(800, take_one, peer.listener);
	}
	return peer;
}

/* Recorded calls */

long do_name(const char *text, name_call *function, const char *name, int fd, socklen_t size)
{
	struct {
		struct sockaddr_storage storage;
		unsigned char guard[64];
	} buffer;
	memset(&buffer, 0xa5, sizeof(buffer));
	socklen_t length = size;
	int lowest = lowest_free();
	if (size == sizeof(struct sockaddr_storage))
		begin("%s(%s)", text, name);
	else
		begin("%s(%s, size %d)", text, name, (int)size);
	int value = function(fd, (struct sockaddr *)&buffer.storage, &length);
	int error = errno;
	socklen_t written = length < size ? length : size, changed = 0;
	for (size_t i = written; i < sizeof(buffer); i++)
		changed += ((unsigned char *)&buffer)[i] != 0xa5;
	if (value >= 0)
		finish_note(" %s%s", sockaddr_text(&buffer.storage, length, size),
			changed ? ", wrote behind the end" : "");
	else if (length != size || changed)
		finish_note(", and %s changed", changed ? "the buffer" : "the length");
	errno = error;
	return value > 0 ? finish_fd(value, lowest) : finish(value);
}

int do_accept(const char *name, int fd, int flags, bool four)
{
	struct sockaddr_storage peer;
	memset(&peer, 0xa5, sizeof(peer));
	socklen_t length = sizeof(peer);
	int lowest = lowest_free();
	begin("%s(%s)", four ? "accept4" : "accept", name);
	int got = four ? accept4(fd, (struct sockaddr *)&peer, &length, flags)
		       : accept(fd, (struct sockaddr *)&peer, &length);
	if (got >= 0)
		finish_note(" from %s", sockaddr_text(&peer, length, sizeof(peer)));
	return finish_fd(got, lowest);
}

static const char *option_text(const unsigned char *data, socklen_t length)
{
	static _Thread_local char text[128];
	static const unsigned char untouched[16] = {0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5};
	char *at = text;
	int number;
	if (length == sizeof(int)) {
		memcpy(&number, data, sizeof(number));
		sprintf(text, number == (int)0xa5a5a5a5 ? "untouched" : "%d", number);
		return text;
	}
	if (length && length <= 8 && !memcmp(data, untouched, length))
		return "untouched";
	at += sprintf(at, "{");
	for (socklen_t i = 0; i < length && i < 24; i++)
		at += sprintf(at, i ? " %u" : "%u", data[i]);
	sprintf(at, "}");
	return text;
}

long do_getsockopt(const char *text, int fd, int level, int option, socklen_t size)
{
	unsigned char data[512];
	memset(data, 0xa5, sizeof(data));
	socklen_t length = size;
	begin(size == sizeof(int) ? "getsockopt(%s)" : "getsockopt(%s, size %d)", text, (int)size);
	long value = getsockopt(fd, level, option, data, &length);
	if (value == 0 && level == SOL_SOCKET && option == SO_ERROR && size == sizeof(int))
		finish_note(", %s", error_name(*(int *)data));
	else if (value == 0 && length == size)
		finish_note(", %s", option_text(data, length));
	else if (value == 0)
		finish_note(", %s, length %d", option_text(data, length < size ? length : size), (int)length);
	return finish(value);
}

long do_setsockopt(const char *text, int fd, int level, int option, int value)
{
	begin("setsockopt(%s, %d)", text, value);
	return finish(setsockopt(fd, level, option, &value, sizeof(value)));
}

long do_send(const char *name, int fd, const char *text, int flags, const char *flags_text)
{
	begin("send(%s, \"%s\", %s)", name, text, flags_text);
	return finish(send(fd, text, strlen(text), flags));
}

long do_recv(const char *name, int fd, size_t size, int flags, const char *flags_text)
{
	char data[4096];
	if (size > sizeof(data))
		give_up("RECV is for little");
	if (flags & MSG_DONTWAIT || fcntl(fd, F_GETFL) & O_NONBLOCK)
		settle();
	begin("recv(%s, %zu, %s)", name, size, flags_text);
	ssize_t got = recv(fd, data, size, flags);
	if (got > 0)
		finish_note(" %s", bytes_text(data, (size_t)got < size ? (size_t)got : size));
	return finish(got);
}

long do_read(const char *name, int fd, size_t size)
{
	char data[4096];
	if (size > sizeof(data))
		give_up("READ is for little");
	if (fcntl(fd, F_GETFL) & O_NONBLOCK)
		settle();
	begin("read(%s, %zu)", name, size);
	ssize_t got = read(fd, data, size);
	if (got > 0)
		finish_note(" %s", bytes_text(data, got));
	return finish(got);
}

long do_poll(const char *name, int fd, short events, int timeout)
{
	if (!timeout)
		settle();
	struct pollfd entry = {.fd = fd, .events = events};
	begin(timeout ? "poll(%s, %s)" : "poll(%s)", name, poll_names(events));
	int value = poll(&entry, 1, timeout);
	finish_note(" %s", poll_names(entry.revents));
	finish(value);
	return entry.revents;
}

int do_epoll_ctl(const char *text, int epoll, int operation, int fd, unsigned events, uint64_t data)
{
	struct epoll_event event = {.events = events, .data.u64 = data};
	begin("epoll_ctl(%s)", text);
	return finish(epoll_ctl(epoll, operation, fd, &event));
}

static int by_data(const void *a, const void *b)
{
	const struct epoll_event *left = a, *right = b;
	return (left->data.u64 > right->data.u64) - (left->data.u64 < right->data.u64);
}

int do_epoll_wait(const char *name, int epoll)
{
	struct epoll_event events[16];
	char text[256] = "";
	settle();
	begin("epoll_wait(%s)", name);
	int count = epoll_wait(epoll, events, 16, 0);
	int error = errno;
	if (count > 0)
		qsort(events, count, sizeof(events[0]), by_data);
	for (int i = 0; i < count; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s %llx: %s", i ? "," : "",
			(unsigned long long)events[i].data.u64, poll_names(events[i].events));
	finish_note("%s", text);
	errno = error;
	return finish(count);
}

int epoll_new(void)
{
	return must(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
}

long do_ioctl_int(const char *text, int fd, unsigned long request, int value)
{
	settle();
	begin("ioctl(%s)", text);
	long got = ioctl(fd, request, &value);
	if (got >= 0)
		finish_note(", %d", value);
	return finish(got);
}

void FLAGS(const char *name, int fd)
{
	int fd_flags = fcntl(fd, F_GETFD), file = fcntl(fd, F_GETFL);
	if (fd_flags < 0 || file < 0)
		record("%s: %s", name, error_name(errno));
	else
		record("%s: %s%s%s%s", name, fd_flags & FD_CLOEXEC ? "CLOEXEC" : "inherited",
			(file & O_ACCMODE) == O_RDWR ? ", O_RDWR" : ", not O_RDWR",
			file & O_NONBLOCK ? ", O_NONBLOCK" : "", file & O_ASYNC ? ", O_ASYNC" : "");
}

static bool carries(int from, int to)
{
	char data[4] = "";
	struct pollfd entry = {.fd = to, .events = POLLIN};
	return send(from, "ping", 4, MSG_NOSIGNAL) == 4 && poll(&entry, 1, 2000) == 1 &&
	       recv(to, data, sizeof(data), 0) == 4 && !memcmp(data, "ping", 4);
}

void do_carries(const char *text, int a, int b)
{
	record("%s are connected: %s there, %s back", text, carries(a, b) ? "yes" : "no",
		carries(b, a) ? "yes" : "no");
}

/* The program */

static void records_open(void)
{
	int fd = memfd_create("parity", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, sizeof(*records)) < 0)
		perror("parity: memfd_create"), exit(1);
	records = mmap(NULL, sizeof(*records), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	int high = fcntl(fd, F_DUPFD_CLOEXEC, 990);
	close(fd);
	snprintf(record_path, sizeof(record_path), "/proc/%d/fd/%d", getpid(), high);
}

char **helper_arguments(const char *name, int fd)
{
	static char number[16], self[256];
	static char *arguments[6];
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
	self[length < 0 ? 0 : length] = '\0';
	snprintf(number, sizeof(number), "%d", fd);
	char *const all[] = {self, (char *)"--helper", record_path, (char *)name, number, NULL};
	memcpy(arguments, all, sizeof(all));
	return arguments;
}

static void prepare(void)
{
	on_signal(SIGPIPE, SA_RESTART);
	on_signal(SIGUSR1, 0);
	on_signal(SIGUSR2, SA_RESTART);
	on_signal(SIGURG, SA_RESTART);
	on_signal(SIGIO, SA_RESTART);
	through_vsock = getenv("PARITY_MAPPED") != NULL;
}

static int run_helper(char **arguments)
{
	int fd = open(arguments[0], O_RDWR | O_CLOEXEC);
	records = mmap(NULL, sizeof(*records), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (records == MAP_FAILED)
		return 3;
	snprintf(record_path, sizeof(record_path), "%s", arguments[0]);
	prepare();
	for (struct helper *helper = helpers; helper; helper = helper->next)
		if (!strcmp(helper->name, arguments[1])) {
			helper->run(atoi(arguments[2]));
			return 0;
		}
	return 4;
}

static void run_family(const struct parity_case *what, int run_family, bool mapped)
{
	family = run_family;
	family_mapped = mapped;
	int before = open_fds();
	own_tasks = count_tasks();
	what->run();
	settle();
	for (int i = 0; i < 100 && others_run(); i++)
		pause_ms(10);
	record("fds left open: %d", open_fds() - before);
}

static void run_here(const struct parity_case *what)
{
	prepare();
	alarm(case_seconds());
	if (!what->each_family)
		return run_family(what, AF_INET, false);
	static const struct {
		const char *name;
		int family;
		bool mapped;
	} families[] = {{"IPv4", AF_INET, false}, {"IPv6", AF_INET6, false}, {"v4-mapped", AF_INET6, true}};
	for (int i = 0; i < 3; i++) {
		record("-- %s", families[i].name);
		pid_t pid = child();
		if (!pid) {
			alarm(case_seconds());
			run_family(what, families[i].family, families[i].mapped);
			done();
		}
		wait_for(pid);
	}
}

static void start_clock(void)
{
	pid_t parent = getpid(), pid = fork();
	if (pid < 0)
		perror("parity: fork"), exit(1);
	if (pid)
		return;
	for (int fd = 0; fd < 1024; fd++) /* above all a pipe that somebody reads to its end */
		close(fd);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (getppid() == parent)
		keep_time();
	_exit(0);
}

static void run_case(const struct parity_case *what)
{
	atomic_store(&records->used, 0);
	fflush(stdout);
	pid_t pid = fork();
	if (pid < 0)
		perror("parity: fork"), exit(1);
	if (!pid) {
		setpgid(0, 0);
		/* a case starts with 0, 1 and 2 and nothing else */
		syscall(SYS_close_range, 3, 1023, 0);
		run_here(what);
		done();
	}
	setpgid(pid, pid);
	int status;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	kill(-pid, SIGKILL);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
		record("hung");
	else if (WIFSIGNALED(status))
		record("died of signal %d", WTERMSIG(status));
}

/* Makes P1, P2, … of the ports, in the order in which they first occur, anew for each family. */
static void write_record(FILE *to)
{
	size_t used = atomic_load(&records->used);
	unsigned ports[256], count = 0;
	for (const char *at = records->text, *end = at + (used < RECORD_SIZE ? used : RECORD_SIZE); at < end;
		at++) {
		if (*at != '\001') {
			if (*at == '-' && at[1] == '-' && (at == records->text || at[-1] == '\n'))
				count = 0;
			putc(*at, to);
			continue;
		}
		char *rest;
		unsigned port = strtoul(at + 1, &rest, 10), i = 0;
		while (i < count && ports[i] != port)
			i++;
		if (i == count && count < 256)
			ports[count++] = port;
		fprintf(to, "P%u", i + 1);
		at = rest;
	}
}

/* The random walk: the record of each sequence behind a line with its seed, which begins with \036; or the
 * record of one. */
static struct {
	uint64_t seed;
	unsigned length;
	unsigned char *wanted;
} walk;

static void run_walk(void)
{
	walk_sequence(walk.seed, walk.wanted, walk.length);
}

static int walk_many(uint64_t first, unsigned count, unsigned length)
{
	static const struct parity_case what = {"walk", "", false, run_walk, NULL};
	walk_prepare();
	walk.length = length;
	for (walk.seed = first; walk.seed < first + count; walk.seed++) {
		run_case(&what);
		printf("\036%llu\n", (unsigned long long)walk.seed);
		write_record(stdout);
	}
	walk_report(stderr);
	return 0;
}

static int walk_one(uint64_t seed, unsigned length, char *steps)
{
	static const struct parity_case what = {"walk", "", false, run_walk, NULL};
	walk_prepare();
	walk.seed = seed;
	walk.length = length;
	if (steps) {
		walk.wanted = calloc(1, length + 1);
		for (char *each = strtok(steps, ","); each; each = strtok(NULL, ","))
			if (strtoul(each, NULL, 10) < length)
				walk.wanted[strtoul(each, NULL, 10)] = 1;
	}
	run_case(&what);
	write_record(stdout);
	return 0;
}

/* Is vsock's loopback there? Binding to CID 1 sends nothing and works exactly where it is; without it CID 1
 * would reach whoever runs this machine. */
static int have_vsock_loopback(void)
{
	struct sockaddr_vm own = {
		.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_LOCAL, .svm_port = VMADDR_PORT_ANY};
	return bind(socket(AF_VSOCK, SOCK_STREAM, 0), (struct sockaddr *)&own, sizeof(own)) ? 1 : 0;
}

static int usage(void)
{
	fputs("usage: parity [--output DIR] [NAME...]        run the cases, print or write their records\n"
	      "       parity --list                          their names and what they are about\n"
	      "       parity --have-vsock-loopback           status 0 if AF_VSOCK reaches this machine by "
	      "CID 1\n"
	      "       parity --walk SEED COUNT LENGTH        random sequences: seed and record of each\n"
	      "       parity --walk-one SEED LENGTH [N,N...] the record of one, whole or of some of its "
	      "steps\n",
		stderr);
	return 2;
}

static bool wanted(const char *name, int count, char **names)
{
	for (int i = 0; i < count; i++)
		if (!strcmp(name, names[i]))
			return true;
	return count == 0;
}

int main(int count, char **arguments)
{
	const char *output = NULL;
	if (count == 5 && !strcmp(arguments[1], "--helper"))
		return run_helper(arguments + 2);
	if (count == 2 && !strcmp(arguments[1], "--list")) {
		for (struct parity_case *each = cases; each; each = each->next)
			printf("%s\t%s\n", each->name, each->text);
		return 0;
	}
	if (count == 2 && !strcmp(arguments[1], "--have-vsock-loopback"))
		return have_vsock_loopback();
	count--, arguments++;
	if (count >= 2 && !strcmp(arguments[0], "--output")) {
		output = arguments[1];
		count -= 2, arguments += 2;
	}
	struct rlimit limit = {1024, 1024};
	setrlimit(RLIMIT_NOFILE, &limit);
	records_open();
	start_clock();
	if (count == 4 && !strcmp(arguments[0], "--walk"))
		return walk_many(strtoull(arguments[1], NULL, 10), atoi(arguments[2]), atoi(arguments[3]));
	if ((count == 3 || count == 4) && !strcmp(arguments[0], "--walk-one"))
		return walk_one(strtoull(arguments[1], NULL, 10), atoi(arguments[2]),
			count == 4 ? arguments[3] : NULL);
	if (count && arguments[0][0] == '-')
		return usage();
	for (struct parity_case *each = cases; each; each = each->next) {
		if (!wanted(each->name, count, arguments))
			continue;
		FILE *to = stdout;
		if (output) {
			char path[4096];
			snprintf(path, sizeof(path), "%s/%s", output, each->name);
			to = fopen(path, "w");
			if (!to)
				return perror(path), 1;
		} else {
			printf("== %s\n", each->name);
		}
		run_case(each);
		write_record(to);
		if (output)
			fclose(to);
	}
	return 0;
}
