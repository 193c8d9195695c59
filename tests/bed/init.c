/* SPDX-License-Identifier: MIT */
/* init STATE NAME up|down [MODULES]: PID 1 in the bed, a host called NAME. Makes the kernel's file systems,
 * loads AF_VSOCK from the directory MODULES, sets lo, runs the command that STATE/command holds, and powers
 * off. In C, because a fork costs 50 ms in User-Mode Linux. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct {
	const char *type, *directory, *data;
} mounts[] = {
	{"proc", "/proc", ""},
	{"sysfs", "/sys", ""},
	{"tmpfs", "/dev/shm", "mode=1777"},
	{"devpts", "/dev/pts", "mode=620,ptmxmode=666"},
	{"tmpfs", "/run", "mode=755"},
};
static const char *const modules[] = {"lib/crc-ccitt", "net/ipv6/ipv6", "net/unix/unix_diag",
	"net/vmw_vsock/vsock", "net/vmw_vsock/vmw_vsock_virtio_transport_common",
	"net/vmw_vsock/vsock_loopback", "net/vmw_vsock/vsock_diag"};

/* Says what went wrong on the console, which the caller keeps, and ends the kernel. */
static _Noreturn void die(const char *what, const char *which)
{
	printf("init: %s %s: %s\n", what, which, strerror(errno));
	fflush(stdout);
	reboot(RB_POWER_OFF);
	abort();
}

static void make_file_systems(void)
{
	mkdir("/dev/shm", 0755); /* the kernel mounted /dev */
	mkdir("/dev/pts", 0755);
	for (size_t i = 0; i < sizeof mounts / sizeof *mounts; i++)
		if (mount(mounts[i].type, mounts[i].directory, mounts[i].type, 0, mounts[i].data) < 0)
			die("mount", mounts[i].directory);
	umask(0);
	mkdir("/run/tmp", 01777);
	mkdir("/run/lock", 01777);
	umask(022);
	mkdir("/run/vsock-bed", 0755); /* for tests/guard/guard.sh: AF_VSOCK may be opened here */
	if (symlink("/proc/self/fd", "/dev/fd") < 0 || symlink("fd/0", "/dev/stdin") < 0 ||
		symlink("fd/1", "/dev/stdout") < 0 || symlink("fd/2", "/dev/stderr") < 0)
		die("symlink", "/dev/fd");
}

/* One that isn't there is part of the kernel, or this kernel needs none. */
static void load(const char *directory, const char *module)
{
	struct utsname kernel;
	char path[256];
	uname(&kernel);
	snprintf(path, sizeof path, "%s/%s/kernel/%s.ko", directory, kernel.release, module);
	int file = open(path, O_RDONLY | O_CLOEXEC);
	if (file < 0 && errno == ENOENT)
		return;
	if (file < 0 || (syscall(SYS_finit_module, file, "", 0) < 0 && errno != EEXIST))
		die("load", path);
	close(file);
}

static void set_loopback_up(void)
{
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	int socket_ = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (ioctl(socket_, SIOCSIFFLAGS, &request) < 0)
		die("set up", "lo");
	close(socket_);
}

/* STATE/command: NUL-terminated strings, VARIABLE=value … COMMAND ARG …, which are what env(1) takes. */
static char **read_command(void)
{
	FILE *file = fopen("command", "re");
	char **strings = calloc(3, sizeof *strings), *string = NULL;
	size_t count = 0, size = 0;
	if (!file || !strings)
		die("read", "command");
	strings[count++] = "env";
	strings[count++] = "-i";
	while (getdelim(&string, &size, '\0', file) > 0) {
		char **larger = realloc(strings, (count + 2) * sizeof *strings);
		if (!larger)
			die("read", "command");
		strings = larger;
		strings[count++] = string;
		strings[count] = string = NULL;
	}
	fclose(file);
	return strings;
}

static pid_t start(int out, int error)
{
	pid_t child = fork();
	if (child != 0)
		return child;
	char **command = read_command();
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	if (dup2(open("/dev/null", O_RDONLY), 0) < 0 || dup2(out, 1) < 0 || dup2(error, 2) < 0)
		die("open", "/dev/null");
	if (chdir("directory") < 0) {
		fprintf(stderr, "the working directory can't be used in the bed: %s\n", strerror(errno));
		_exit(125);
	}
	execv("/usr/bin/env", command);
	die("execute", "/usr/bin/env");
}

/* A pipe, as a shell would give the command, whose bytes go on to a file of the caller. */
struct output {
	int read, write, file;
};

static struct output open_output(const char *name)
{
	struct output output = {.file = open(name, O_WRONLY | O_APPEND | O_CLOEXEC)};
	int ends[2];
	if (output.file < 0 || pipe2(ends, O_CLOEXEC) < 0)
		die("open", name);
	output.read = ends[0];
	output.write = ends[1];
	return output;
}

/* false: nobody is left who could write. */
static bool copy(const struct output *output)
{
	static char bytes[1 << 16];
	ssize_t n = read(output->read, bytes, sizeof bytes);
	for (ssize_t done = 0, wrote; done < n; done += wrote) {
		wrote = write(output->file, bytes + done, n - done);
		if (wrote < 0)
			die("write", "what the command printed");
	}
	return n > 0;
}

static bool same_file(int a, int b)
{
	struct stat of_a, of_b;
	return fstat(a, &of_a) == 0 && fstat(b, &of_b) == 0 && of_a.st_ino == of_b.st_ino;
}

static void wake(int signal)
{
	(void)signal;
}

/* Copies and reaps orphans until the child has ended; returns its status as a shell does. */
static int wait_for(pid_t child, const struct output outputs[2])
{
	sigset_t all;
	sigemptyset(&all);
	for (;;) {
		int status;
		for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
			if (pid == child)
				return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
		struct pollfd polls[] = {{outputs[0].read, POLLIN, 0}, {outputs[1].read, POLLIN, 0}};
		if (ppoll(polls, 2, NULL, &all) < 0)
			continue; /* a child ended */
		for (int i = 0; i < 2; i++)
			if (polls[i].revents)
				copy(&outputs[i]);
	}
}

int main(int count, char **arguments)
{
	if (count < 4 || chdir(arguments[1]) < 0)
		die("enter", "STATE");
	make_file_systems();
	for (size_t i = 0; count > 4 && i < sizeof modules / sizeof *modules; i++)
		load(arguments[4], modules[i]);
	if (chmod("/dev/vsock", 0666) < 0)
		die("find", "/dev/vsock");
	if (sethostname(arguments[2], strlen(arguments[2])) < 0)
		die("name", arguments[2]);
	setrlimit(RLIMIT_NOFILE, &(struct rlimit){1024, 524288}); /* as systemd does */
	if (strcmp(arguments[3], "up") == 0)
		set_loopback_up();

	sigset_t child_ends;
	sigemptyset(&child_ends);
	sigaddset(&child_ends, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child_ends, NULL);
	sigaction(SIGCHLD, &(struct sigaction){.sa_handler = wake}, NULL);

	struct output outputs[] = {open_output("out"), open_output("err")};
	bool merged = same_file(outputs[0].file, outputs[1].file); /* then one pipe keeps the order */
	pid_t child = start(outputs[0].write, outputs[merged ? 0 : 1].write);
	int status = wait_for(child, outputs);

	kill(-1, SIGKILL); /* what the command left running */
	for (int i = 0; i < 2; i++) {
		close(outputs[i].write);
		while (copy(&outputs[i]))
			;
	}
	FILE *file = fopen("status", "w");
	if (!file || fprintf(file, "%d\n", status) < 0 || fclose(file) != 0)
		die("write", "status");
	sync();
	reboot(RB_POWER_OFF);
}
