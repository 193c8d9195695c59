/* SPDX-License-Identifier: MIT */
/* There are three processes. The one that was started stands in for the program, and ends as the program ends
 * (stand_in.c). Its child is the supervisor, which serves the program's calls, and the program is the
 * supervisor's child: a kernel that lets only ancestors look into a process (yama's ptrace_scope=1) allows
 * that. First everything that will be needed from the program's process is tried, before the program is let
 * go. Then the supervisor waits for calls and for the ends of processes. It outlives the program if that
 * leaves daemons behind, and ends with the last of them. */
#include "supervise.h"

#include "filter.h"
#include "kernel.h"
#include "serve.h"
#include "stops.h"
#include "task.h"

#include "transport/ports.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct stand_in *shared;
static int reports; /* the pipe to the stand-in */

/* ---- the program's process ---- */

struct installed {
	int listener, error;
};

static long set_filter(unsigned long flags, const struct sock_fprog *program)
{
	long result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, program);
	if (result >= 0 || errno != EACCES)
		return result;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -1;
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, program);
}

/* SPEC_ALLOW (4.17): without it, kernels before 5.16 would slow the program down. */
static struct installed install(enum filter_way way, bool datagrams)
{
	static struct sock_filter filter[FILTER_LENGTH];
	struct filter_wish wish = {way, datagrams, way == FILTER_TRACED && stops_after_receiving()};
	struct sock_fprog program = {.filter = filter, .len = (unsigned short)filter_build(filter, wish)};
	unsigned long wanted = way == FILTER_NOTIFIED ? SECCOMP_FILTER_FLAG_NEW_LISTENER : 0;
	long result = set_filter(wanted | SECCOMP_FILTER_FLAG_SPEC_ALLOW, &program);
	if (result < 0 && errno == EINVAL && way == FILTER_TRACED)
		result = set_filter(0, &program);
	return (struct installed){
		.listener = way == FILTER_NOTIFIED ? (int)result : -1, .error = result < 0 ? errno : 0};
}

struct plan {
	const struct settings *settings;
	const sigset_t *mask;
	void (*run)(void *context);
	void *context;
};

static bool have_names(const struct settings *settings)
{
	for (uint32_t i = 0; settings->map && i < map_count(settings->map); i++)
		if (map_rule(settings->map, i)->target.kind == TARGET_NAMES)
			return true;
	return false;
}

/* Until then nobody traces this process, and calls that the filter shows to a tracer, read() perhaps, fail.
 */
static bool is_let_go(int channel)
{
	struct pollfd wait = {.fd = channel, .events = POLLIN};
	char go;
	return poll(&wait, 1, -1) == 1 && read(channel, &go, 1) == 1;
}

__attribute__((noreturn)) static void be_program(
	const int ends[2], enum filter_way way, const struct plan *plan)
{
	struct installed installed = install(way, have_names(plan->settings));
	int channel = ends[1];
	close(ends[0]); /* a supervisor that ends before its time is noticed */
	if (write(channel, &installed, sizeof installed) != sizeof installed || !is_let_go(channel))
		_exit(STATUS_REFUSED);
	close(channel);
	if (installed.listener >= 0)
		close(installed.listener);
	sigprocmask(SIG_SETMASK, plan->mask, NULL);
	plan->run(plan->context);
	_exit(STATUS_REFUSED);
}

/* ---- can it be supervised? ---- */

__attribute__((format(printf, 1, 2))) static bool refuse(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(shared->message, sizeof shared->message, format, arguments);
	va_end(arguments);
	return false;
}

bool supervise_proc_is_ours(void)
{
	char text[16];
	ssize_t length = readlink("/proc/self", text, sizeof text - 1);
	text[length > 0 ? length : 0] = '\0';
	return atoi(text) == getpid();
}

/* What is needed of every process. */
static bool can_look_into(pid_t process, int number)
{
	static const int known = 0x76736f63;
	const struct call call = {.thread = process};
	int read_back = 0, error = call_read(&call, (uintptr_t)&known, &read_back, sizeof read_back);
	char path[48];
	if (error || read_back != known)
		return refuse(
			"process_vm_readv: %s: a program can't be supervised here; in a container allow it "
			"(docker run --cap-add SYS_PTRACE), and see /proc/sys/kernel/yama/ptrace_scope",
			strerror(error));
	snprintf(path, sizeof path, "/proc/%d/fdinfo/%d", process, number);
	if (access(path, R_OK))
		return refuse("%s can't be read: %s: mount the proc of this pid namespace, without hidepid",
			path, strerror(errno));
	return true;
}

/* The process that is to become the program. */
struct candidate {
	pid_t process;
	int channel; /* to it: it waits for a byte */
	int number;  /* of its end */
	struct installed installed;
};

static void give_up(struct candidate *candidate)
{
	if (candidate->process <= 0)
		return;
	kill(candidate->process, SIGKILL);
	waitpid(candidate->process, NULL, 0);
	close(candidate->channel);
	candidate->process = 0;
}

/* Starts it, with the filter installed. */
static bool start(struct candidate *candidate, enum filter_way way, const struct plan *plan)
{
	int ends[2];
	*candidate = (struct candidate){.process = -1};
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0 || (candidate->process = fork()) < 0)
		return refuse("a process can't be started: %s", strerror(errno));
	if (candidate->process == 0)
		be_program(ends, way, plan);
	close(ends[1]);
	shared->program = candidate->process;
	candidate->channel = ends[0];
	candidate->number = ends[1];
	struct installed *installed = &candidate->installed;
	if (read(candidate->channel, installed, sizeof *installed) != sizeof *installed)
		return refuse("the program's process ended before it was started");
	if (installed->error == EBUSY)
		return refuse("another supervisor watches this process already (ip2vsock with another map, "
			      "or a container's runtime), and the kernel allows one");
	bool unknown = installed->error == ENOSYS || installed->error == EINVAL;
	if (installed->error && !(unknown && way == FILTER_NOTIFIED))
		return refuse(
			"the kernel refuses the seccomp filter: %s: allow seccomp(2) in this container's "
			"profile",
			strerror(installed->error));
	return can_look_into(candidate->process, candidate->number);
}

/* The listener of user notification. -1: that doesn't work here, and *why says what is missing. */
static int take_listener(const struct candidate *candidate, const char **why)
{
	int pidfd = -1, listener = -1;
	*why = "user notification";
	errno = candidate->installed.error;
	if (!errno) {
		*why = "pidfd_getfd";
		pidfd = (int)syscall(SYS_pidfd_open, candidate->process, 0);
		listener = pidfd < 0 ? -1
				     : (int)syscall(SYS_pidfd_getfd, pidfd, candidate->installed.listener, 0);
	}
	if (listener >= 0 && !call_start(listener)) {
		*why = "SECCOMP_IOCTL_NOTIF_ADDFD";
		close(listener);
		listener = -1;
	}
	int error = errno;
	if (pidfd >= 0)
		close(pidfd);
	errno = error;
	return listener;
}

/* The second way. */
static bool start_traced(struct candidate *candidate, const struct plan *plan, const char *what, int error)
{
	struct utsname name = {.release = "?"};
	uname(&name);
	if (!start(candidate, FILTER_TRACED, plan))
		return false;
	if (!kernel_is_before(4, 8) && stops_start(candidate->process))
		return true;
	return refuse(
		"a program can't be supervised here, with Linux %s: %s: %s, and ptrace: %s: in a container "
		"allow ptrace, or pidfd_getfd (docker run --cap-add SYS_PTRACE), and see "
		"/proc/sys/kernel/yama/ptrace_scope; what strace or gdb has started can't be traced twice",
		name.release, what, strerror(error),
		kernel_is_before(4, 8) ? "needs Linux 4.8" : strerror(errno));
}

/* Everything that will be needed from the program's process is tried before the program is let go. *listener
 * is -1 if it is traced. */
static bool meet_program(struct candidate *candidate, const struct plan *plan, int *listener)
{
	const char *what;
	if (!NATIVE_ARCH)
		return refuse(
			"a program can be supervised on x86-64 and arm64: link the program dynamically, so "
			"that the library can be preloaded");
	if (!supervise_proc_is_ours())
		return refuse(
			"/proc is another pid namespace's, so a program can't be supervised: mount one of "
			"its own (bwrap: --proc /proc; unshare: --mount-proc)");
	if (!start(candidate, FILTER_NOTIFIED, plan))
		return false;
	*listener = take_listener(candidate, &what);
	if (*listener >= 0)
		return true;
	int error = errno;
	give_up(candidate);
	return start_traced(candidate, plan, what, error);
}

/* ---- the supervisor's process ---- */

static struct watch calls, signals, stand_in;
static pid_t program; /* 0: it has ended */
static bool unused;   /* no process has the filter any longer */

static void send_report(enum report_kind kind, int status)
{
	struct report report = {kind, status};
	ssize_t written = write(reports, &report, sizeof report);
	(void)written; /* if nobody reads, see stand_in_gone() */
}

/* Whatever continues to run is a daemon, which has closed stderr or is about to. */
static void program_ended(int status)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	program = 0;
	if (null >= 0)
		dup2(null, STDERR_FILENO);
	close(null);
	watch_end(&stand_in);
	send_report(REPORT_END, status);
	if (unused)
		_exit(0);
}

static void changed(pid_t child, int status)
{
	if (child != program)
		return;
	if (WIFSTOPPED(status))
		send_report(REPORT_STOP, status);
	else if (!WIFCONTINUED(status))
		program_ended(status);
}

static void reap(void)
{
	int status;
	pid_t child;
	while ((child = waitpid(-1, &status, WNOHANG | WUNTRACED | WCONTINUED)) > 0)
		changed(child, status);
}

/* The same of traced processes, and their calls. */
static void follow(void)
{
	int status;
	pid_t thread;
	do {
		while ((thread = stops_wait(&status)) > 0) {
			bool executed = status >> 16;
			if (!WIFSTOPPED(status) || executed) {
				task_ended(thread);
				held_superseded(thread);
			}
			if (!executed)
				changed(thread, status);
		}
		unused = thread < 0;
		if (unused && !program)
			_exit(0);
		while (stops_waiting() && serve_next())
			;
		call_settle();
	} while (stops_more());
}

static void signal_came(struct watch *watch, uint32_t events)
{
	struct signalfd_siginfo info;
	(void)events;
	while (read(watch->fd, &info, sizeof info) == sizeof info) {
		if (info.ssi_signo == SIGCHLD && !shared->traced)
			reap();
		else if (info.ssi_signo < SIGNALS)
			atomic_store(&shared->seen[info.ssi_signo], now_ms());
	}
}

/* The stand-in was killed, as the program would have been. */
static void stand_in_gone(struct watch *watch, uint32_t events)
{
	(void)events;
	watch_end(watch);
	if (program)
		kill(program, SIGKILL);
}

static void call_came(struct watch *watch, uint32_t events)
{
	if (events & EPOLLIN) {
		serve_next();
		return;
	}
	unused = true; /* a moment before the last process can be waited for */
	watch_end(watch);
	if (!program)
		_exit(0);
}

static bool is_kept(int fd, const int *kept, int count)
{
	while (count > 0)
		if (kept[--count] == fd)
			return true;
	return fd <= STDERR_FILENO;
}

/* Before Linux 5.9 there is no close_range(2). */
static void close_all_but(const int *kept, int count)
{
	DIR *own = opendir("/proc/self/fd");
	for (struct dirent *entry; own && (entry = readdir(own));) {
		int fd = atoi(entry->d_name);
		if (fd != dirfd(own) && !is_kept(fd, kept, count))
			close(fd);
	}
	if (own)
		closedir(own);
}

/* The supervisor must not keep open what the program inherited, nor keep its directory from being unmounted.
 */
static void let_go_of_inherited(const int *kept, int count)
{
	unsigned first = STDERR_FILENO + 1;
	for (unsigned last; count; first = last + 1) { /* the smallest fd to keep that is left */
		last = UINT32_MAX;
		for (int i = 0; i < count; i++)
			if ((unsigned)kept[i] >= first && (unsigned)kept[i] < last)
				last = (unsigned)kept[i];
		if (last == UINT32_MAX)
			break;
		if (last > first)
			syscall(SYS_close_range, first, last - 1, 0);
	}
	if (syscall(SYS_close_range, first, UINT32_MAX, 0) < 0)
		close_all_but(kept, count);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		if (null > STDERR_FILENO)
			close(null);
	}
	if (chdir("/") < 0)
		return;
}

void supervise_let_go(const int *kept, int count)
{
	let_go_of_inherited(kept, count);
}

static void protect(void)
{
	struct rlimit files;
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	int score = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (score >= 0) { /* without the supervisor the program can make no connections; this needs a right
			     that few have */
		ssize_t written = write(score, "-900", 4);
		(void)written;
		close(score);
	}
}

void outside_prepare(const struct settings *settings)
{
	libc_start();
	log_start(settings);
	transport_start(settings);
	ports_start();
	if (settings->map)
		shim_start(settings);
}

/* listener: -1, the program is traced */
static bool begin(int listener, const sigset_t *all)
{
	int incoming = signalfd(-1, all, SFD_CLOEXEC | SFD_NONBLOCK);
	return incoming >= 0 && wait_start() &&
	       (listener < 0 ? call_start_tracing() : watch_begin(&calls, listener, EPOLLIN, call_came)) &&
	       watch_begin(&signals, incoming, EPOLLIN, signal_came) &&
	       watch_begin(&stand_in, reports, 0, stand_in_gone);
}

__attribute__((noreturn)) static void be_supervisor(const struct plan *plan)
{
	struct candidate candidate = {.process = 0};
	int listener = -1;
	sigset_t all;
	sigfillset(&all);
	signal(SIGCHLD, SIG_DFL);
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	if (!meet_program(&candidate, plan, &listener)) {
		give_up(&candidate);
		_exit(STATUS_REFUSED);
	}
	program = candidate.process;
	shared->traced = listener < 0;
	let_go_of_inherited((int[]){candidate.channel, reports, listener}, 3);
	outside_prepare(plan->settings);
	protect();
	shared->begun = true;
	if (!begin(listener, &all) || write(candidate.channel, "", 1) != 1) {
		refuse("the supervisor can't start: %s", strerror(errno));
		give_up(&candidate);
		_exit(STATUS_REFUSED);
	}
	close(candidate.channel);
	for (;;) {
		wait_once();
		if (listener < 0)
			follow();
	}
}

pid_t supervise(const struct settings *settings, struct stand_in *stand_in_memory, int pipe,
	const sigset_t *mask, void (*run)(void *context), void *context)
{
	shared = stand_in_memory;
	reports = pipe;
	pid_t supervisor = fork();
	if (supervisor == 0)
		be_supervisor(&(struct plan){settings, mask, run, context});
	return supervisor;
}
