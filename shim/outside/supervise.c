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

#include "transport/ports.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/uio.h>
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

static long install(bool datagrams)
{
	static struct sock_filter filter[FILTER_LENGTH];
	struct sock_fprog program = {
		.filter = filter, .len = (unsigned short)filter_build(filter, datagrams)};
	unsigned long flags = SECCOMP_FILTER_FLAG_NEW_LISTENER |
			      SECCOMP_FILTER_FLAG_SPEC_ALLOW; /* without it, kernels before 5.16 would slow
								 the program down */
	long listener = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
	if (listener >= 0 || errno != EACCES)
		return listener;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -1;
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

__attribute__((noreturn)) static void be_program(
	const int ends[2], bool datagrams, const sigset_t *mask, void (*run)(void *context), void *context)
{
	struct installed installed = {.listener = (int)install(datagrams), .error = errno};
	int channel = ends[1];
	char go;
	close(ends[0]); /* a supervisor that ends before its time is noticed */
	if (write(channel, &installed, sizeof installed) != sizeof installed || read(channel, &go, 1) != 1)
		_exit(STATUS_REFUSED);
	close(channel);
	if (installed.listener >= 0)
		close(installed.listener);
	sigprocmask(SIG_SETMASK, mask, NULL);
	run(context);
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

static bool refuse_kernel(void)
{
	struct utsname name = {.release = "?"};
	uname(&name);
	return refuse("supervising a program needs Linux 5.9 or newer, and this is %s: link the program "
		      "dynamically, so that the "
		      "library can be preloaded, or give it a proxy that runs under ip2vsock",
		name.release);
}

static bool refuse_filter(int error)
{
	if (error == EBUSY)
		return refuse("another supervisor watches this process already (ip2vsock with another map, "
			      "or a container's "
			      "runtime), and the kernel allows one");
	if (error == ENOSYS || error == EINVAL)
		return refuse_kernel();
	return refuse(
		"the kernel refuses the seccomp filter: %s: allow seccomp(2) in this container's profile",
		strerror(error));
}

static bool refuse_access(const char *what)
{
	int error = errno;
	if (error == ENOSYS)
		return refuse_kernel();
	return refuse("%s: %s: a program can't be supervised here; in a container allow pidfd_getfd and "
		      "process_vm_readv "
		      "(docker run --cap-add SYS_PTRACE), and see /proc/sys/kernel/yama/ptrace_scope",
		what, strerror(error));
}

bool supervise_proc_is_ours(void)
{
	char text[16];
	ssize_t length = readlink("/proc/self", text, sizeof text - 1);
	text[length > 0 ? length : 0] = '\0';
	return atoi(text) == getpid();
}

/* Everything that will be needed from the program's process is tried before the program is let go. Returns
 * the listener, or -1. */
static int take_listener(pid_t program, int number)
{
	static const int known = 0x76736f63;
	int read_back = 0, pidfd = (int)syscall(SYS_pidfd_open, program, 0);
	struct iovec here = {&read_back, sizeof read_back}, there = {(void *)&known, sizeof known};
	char path[48];
	int listener = pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);
	if (listener < 0) {
		refuse_access("pidfd_getfd");
		return -1;
	}
	close(pidfd);
	if (process_vm_readv(program, &here, 1, &there, 1, 0) != sizeof known || read_back != known) {
		refuse_access("process_vm_readv");
		return -1;
	}
	snprintf(path, sizeof path, "/proc/%d/fdinfo/%d", program, number);
	if (access(path, R_OK)) {
		refuse("%s can't be read: %s: mount the proc of this pid namespace, without hidepid", path,
			strerror(errno));
		return -1;
	}
	return listener;
}

static int meet_program(pid_t program, int channel)
{
	struct installed installed;
	if (!supervise_proc_is_ours()) {
		refuse("/proc is another pid namespace's, so a program can't be supervised: mount one of its "
		       "own (bwrap: --proc "
		       "/proc; unshare: --mount-proc)");
		return -1;
	}
	if (read(channel, &installed, sizeof installed) != sizeof installed) {
		refuse("the program's process ended before it was started");
		return -1;
	}
	if (installed.listener < 0) {
		refuse_filter(installed.error);
		return -1;
	}
	int listener = take_listener(program, installed.listener);
	if (listener >= 0 && !call_start(listener)) {
		refuse_kernel();
		return -1;
	}
	return listener;
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

static void reap(void)
{
	int status;
	pid_t child;
	while ((child = waitpid(-1, &status, WNOHANG | WUNTRACED | WCONTINUED)) > 0) {
		if (child != program)
			continue;
		if (WIFSTOPPED(status))
			send_report(REPORT_STOP, status);
		else if (!WIFCONTINUED(status))
			program_ended(status);
	}
}

static void signal_came(struct watch *watch, uint32_t events)
{
	struct signalfd_siginfo info;
	(void)events;
	while (read(watch->fd, &info, sizeof info) == sizeof info) {
		if (info.ssi_signo == SIGCHLD)
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
	syscall(SYS_close_range, first, UINT32_MAX, 0);
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

static bool begin(int listener, const sigset_t *all)
{
	int incoming = signalfd(-1, all, SFD_CLOEXEC | SFD_NONBLOCK);
	return incoming >= 0 && wait_start() && watch_begin(&calls, listener, EPOLLIN, call_came) &&
	       watch_begin(&signals, incoming, EPOLLIN, signal_came) &&
	       watch_begin(&stand_in, reports, 0, stand_in_gone);
}

static bool have_names(const struct settings *settings)
{
	for (uint32_t i = 0; settings->map && i < map_count(settings->map); i++)
		if (map_rule(settings->map, i)->target.kind == TARGET_NAMES)
			return true;
	return false;
}

__attribute__((noreturn)) static void be_supervisor(
	const struct settings *settings, const sigset_t *mask, void (*run)(void *context), void *context)
{
	int channel[2];
	sigset_t all;
	sigfillset(&all);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel) < 0 || (program = fork()) < 0) {
		refuse("a process can't be started: %s", strerror(errno));
		_exit(STATUS_REFUSED);
	}
	if (program == 0)
		be_program(channel, have_names(settings), mask, run, context);
	shared->program = program;
	close(channel[1]);
	signal(SIGCHLD, SIG_DFL);
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	let_go_of_inherited((int[]){channel[0], reports}, 2);
	int listener = meet_program(program, channel[0]);
	if (listener < 0) {
		kill(program, SIGKILL);
		_exit(STATUS_REFUSED);
	}
	outside_prepare(settings);
	protect();
	if (!begin(listener, &all) || write(channel[0], "", 1) != 1) {
		refuse("the supervisor can't start: %s", strerror(errno));
		kill(program, SIGKILL);
		_exit(STATUS_REFUSED);
	}
	close(channel[0]);
	for (;;)
		wait_once();
}

pid_t supervise(const struct settings *settings, struct stand_in *stand_in_memory, int pipe,
	const sigset_t *mask, void (*run)(void *context), void *context)
{
	shared = stand_in_memory;
	reports = pipe;
	pid_t supervisor = fork();
	if (supervisor == 0)
		be_supervisor(settings, mask, run, context);
	return supervisor;
}
