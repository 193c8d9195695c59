/* SPDX-License-Identifier: MIT */
/* What the program's parent sees: a process that stops, ends and is killed as the program is, and passes on
 * the signals that it gets. The supervisor reports the program's stops and its end through a pipe, and the
 * stand-in does the same to itself. A signal that the whole group has got isn't passed on, because the
 * program already has it. */
#include "supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct stand_in *shared;
static pid_t supervisor;

static int64_t now_in_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* A signal to the whole process group (from the terminal, or kill(0)) or to the whole control group (from
 * systemd) has already reached the program. The supervisor is in both, so it has got the signal at the same
 * time. */
static bool was_for_all(const struct signalfd_siginfo *info)
{
	enum { SAME_MS = 50, PATIENCE_NS = 20000000 };
	if (info->ssi_code == SI_KERNEL)
		return true;
	nanosleep(&(struct timespec){0, PATIENCE_NS}, NULL);
	return now_in_ms() - atomic_load(&shared->seen[info->ssi_signo]) < SAME_MS;
}

static void pass_on(int signals)
{
	struct signalfd_siginfo info;
	if (read(signals, &info, sizeof info) != sizeof info || info.ssi_signo == SIGCHLD)
		return;
	pid_t program = atomic_load(&shared->program);
	if (program > 0 && info.ssi_signo < SIGNALS && !was_for_all(&info))
		kill(program, (int)info.ssi_signo);
}

/* Ends in the same way as the program. */
__attribute__((noreturn)) static void end_as(int status)
{
	sigset_t one;
	if (WIFEXITED(status))
		_exit(WEXITSTATUS(status));
	int signal_number = WTERMSIG(status);
	struct rlimit none = {0, 0};
	setrlimit(RLIMIT_CORE, &none); /* if anybody wants a core, it is the program's */
	signal(signal_number, SIG_DFL);
	sigemptyset(&one);
	sigaddset(&one, signal_number);
	raise(signal_number);
	sigprocmask(SIG_UNBLOCK, &one, NULL);
	_exit(128 + signal_number); /* the first process of a pid namespace isn't killed by its own signals */
}

/* A supervisor that was killed left no message. */
static void explain_end(int status, char message[OUTSIDE_MESSAGE])
{
	if (WIFSIGNALED(status))
		snprintf(message, OUTSIDE_MESSAGE,
			"the supervisor was killed while it started, by signal %d (%s): is there too little "
			"memory, or does a seccomp filter kill it? The kernel's log says which",
			WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		snprintf(message, OUTSIDE_MESSAGE, "the supervisor ended while it started, with status %d",
			WEXITSTATUS(status));
}

/* The supervisor has been killed. The program's connections live on, but each call that the supervisor would
 * have seen fails (ENOSYS). If it was traced, the kernel has killed it. */
__attribute__((noreturn)) static void go_on_alone(void)
{
	int status = 0;
	pid_t program = atomic_load(&shared->program), ended;
	if (!shared->begun && !shared->message[0] && waitpid(supervisor, &status, 0) == supervisor)
		explain_end(status, shared->message);
	if (shared->message[0]) {
		dprintf(STDERR_FILENO, "ip2vsock: %s\n", shared->message);
		_exit(STATUS_REFUSED);
	}
	dprintf(STDERR_FILENO, "ip2vsock: the supervisor has ended: %s\n",
		shared->traced
			? "the program, which it traced, is killed"
			: "the program's connections go on, but it can't make new ones, and nothing of it "
			  "goes over IP");
	while ((ended = waitpid(-1, &status, 0)) != program && (ended > 0 || errno == EINTR))
		;
	if (ended == program)
		end_as(status);
	_exit(STATUS_REFUSED);
}

__attribute__((noreturn)) static void stand_in(int pipe, int signals)
{
	struct pollfd sources[] = {{.fd = pipe, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
	struct report report;
	for (;;) {
		if (poll(sources, 2, -1) < 0)
			continue;
		if (sources[1].revents)
			pass_on(signals);
		if (!sources[0].revents)
			continue;
		if (read(pipe, &report, sizeof report) != sizeof report)
			go_on_alone();
		if (report.kind == REPORT_END)
			end_as(report.status);
		raise(SIGSTOP);
	}
}

static bool prepare(int pipes[2], sigset_t *mask)
{
	sigset_t all;
	void *memory = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED || pipe2(pipes, O_CLOEXEC) < 0)
		return false;
	shared = memory;
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0,
		0); /* adopt what the supervisor leaves behind if it is killed */
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, mask);
	return true;
}

int outside_run(const struct settings *settings, void (*run)(void *context), void *context)
{
	int pipes[2];
	sigset_t mask, all;
	if (!prepare(pipes, &mask) ||
		(supervisor = supervise(settings, shared, pipes[1], &mask, run, context)) < 0) {
		dprintf(STDERR_FILENO, "ip2vsock: the supervisor can't be started: %s\n", strerror(errno));
		return STATUS_REFUSED;
	}
	signal(SIGCHLD, SIG_DFL);
	sigfillset(&all);
	int signals = signalfd(-1, &all, SFD_CLOEXEC);
	supervise_let_go((int[]){pipes[0], signals}, 2);
	stand_in(pipes[0], signals);
}

static void do_nothing(void *context)
{
	(void)context;
	_exit(0);
}

bool outside_works(const struct settings *settings, char message[OUTSIDE_MESSAGE])
{
	int pipes[2], status, end = 0;
	pid_t ended;
	sigset_t mask;
	struct report report = {.kind = REPORT_STOP};
	if (!prepare(pipes, &mask)) {
		snprintf(message, OUTSIDE_MESSAGE, "%s", strerror(errno));
		return false;
	}
	supervisor = supervise(settings, shared, pipes[1], &mask, do_nothing, NULL);
	if (supervisor < 0)
		snprintf(shared->message, OUTSIDE_MESSAGE, "%s", strerror(errno));
	close(pipes[1]);
	bool works = supervisor > 0 && read(pipes[0], &report, sizeof report) == sizeof report &&
		     report.kind == REPORT_END;
	close(pipes[0]);
	while (supervisor > 0 && (ended = waitpid(-1, &status, 0)) > 0)
		end = ended == supervisor ? status : end;
	sigprocmask(SIG_SETMASK, &mask, NULL);
	if (works && shared->traced)
		snprintf(message, OUTSIDE_MESSAGE,
			" by ptrace (there is no user notification, or no pidfd_getfd)");
	else if (works || shared->message[0])
		snprintf(message, OUTSIDE_MESSAGE, "%s", shared->message);
	else
		explain_end(end, message);
	munmap(shared, sizeof *shared);
	return works;
}
