/* SPDX-License-Identifier: MIT */
#include "doctor.h"

#include "core/text.h"
#include "outside/outside.h"
#include "system/kernel.h"
#include "system/supervised.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

static bool healthy;

__attribute__((format(printf, 3, 4))) static void say(
	const char *mark, const char *about, const char *format, ...)
{
	va_list arguments;
	printf("%-5s %-9s ", mark, about);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	putchar('\n');
}

#define ok(...) say("ok", __VA_ARGS__)
#define note(...) say("note", __VA_ARGS__)
#define bad(...) (healthy = false, say("BAD", __VA_ARGS__))
#define remedy(...) say("", "", __VA_ARGS__)

/* Runs this command again, with the library preloaded and a map that it must refuse: --version succeeds only
 * if it isn't loaded. What the loader says about that is on the pipe. */
static bool preloads(const char *preload, char said[512])
{
	int pipes[2], status = 0;
	char *variable = NULL;
	if (pipe2(pipes, O_CLOEXEC) || asprintf(&variable, "LD_PRELOAD=%s", preload) < 0)
		return false;
	fflush(stdout);
	pid_t child = fork();
	if (!child) {
		char name[] = "ip2vsock", option[] = "--version", map[] = "IP2VSOCK_MAP=!";
		char *arguments[] = {name, option, NULL}, *environment[] = {variable, map, NULL};
		dup2(pipes[1], 1);
		dup2(pipes[1], 2);
		execve("/proc/self/exe", arguments, environment);
		_exit(0);
	}
	close(pipes[1]);
	free(variable);
	ssize_t length = child > 0 ? read(pipes[0], said, 511) : 0;
	close(pipes[0]);
	said[length > 0 ? length : 0] = '\0';
	said[strcspn(said, "\n")] = '\0';
	return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status);
}

static void check_library(const char *preload, const char *missing)
{
	char said[512] = "";
	if (missing)
		bad("library", "%s", missing);
	else if (preloads(preload, said))
		ok("library", "loaded into programs by LD_PRELOAD=%s", preload);
	else
		bad("library", "not loaded by LD_PRELOAD=%s: %s", preload, said);
}

static void check_settings(const struct settings *settings)
{
	char names[PREFIX_TEXT], peers[PREFIX_TEXT];
	prefix_format(&settings->ranges.names, names, sizeof(names));
	prefix_format(&settings->ranges.peers, peers, sizeof(peers));
	uint32_t count = settings->map ? map_count(settings->map) : 0;
	if (count)
		ok("map", "%u rule%s (ip2vsock --check prints them)", count, count == 1 ? "" : "s");
	else
		note("map", "none is in force, everything would be left to IP: give -m RULE, -f FILE or "
			    "IP2VSOCK_MAP");
	static const char *const levels[] = {"off", "error", "connect", "debug"};
	note("settings", "names resolve to %s, peers are shown in %s, children %s, log %s%s%s", names, peers,
		settings->follow ? "follow" : "don't follow", levels[settings->log],
		settings->log_path ? " to " : "", settings->log_path ? settings->log_path : "");
}

static bool file_has(const char *path, const char *start)
{
	char line[512];
	bool found = false;
	FILE *file = fopen(path, "re");
	while (file && !found && fgets(line, sizeof(line), file))
		found = text_begins(line, start);
	if (file)
		fclose(file);
	return found;
}

/* The first line of a file of /proc, or "". */
static const char *first_line(const char *path, char line[256])
{
	FILE *file = fopen(path, "re");
	line[0] = '\0';
	if (file) {
		if (fgets(line, 256, file))
			line[strcspn(line, "\n")] = '\0';
		fclose(file);
	}
	return line;
}

/* AppArmor calls what confines a process "PROFILE (MODE)", SELinux "USER:ROLE:TYPE:LEVEL". */
static bool confined(const char *label, bool *apparmor)
{
	size_t length = strlen(label);
	*apparmor = length && label[length - 1] == ')';
	return *apparmor || (strchr(label, ':') && !strstr(label, ":unconfined_t:"));
}

static void explain_filter(void)
{
	remedy("a seccomp filter refuses it, as the default profiles of Docker, Podman and containerd do: "
	       "run the "
	       "container with a profile that allows socket(AF_VSOCK), by --security-opt seccomp=FILE "
	       "(docker, "
	       "podman) or as the seccompProfile of its securityContext (Kubernetes)");
}

/* Seccomp's filter comes before the security modules, so what they say is seen when no filter refuses the
 * call. */
static void explain_module(const char *label)
{
	bool apparmor;
	if (!confined(label, &apparmor))
		remedy("there is no seccomp filter, so a security module refuses it (SELinux, AppArmor): see "
		       "its "
		       "audit log");
	else if (apparmor)
		remedy("AppArmor may refuse it, by the profile %s: run the container with a profile that has "
		       "'network "
		       "vsock', by --security-opt apparmor=PROFILE (docker, podman) or as the "
		       "appArmorProfile of its "
		       "securityContext (Kubernetes)",
			label);
	else
		remedy("SELinux may refuse it to %s (its audit log has vsock_socket then): run the container "
		       "as another "
		       "type, by --security-opt label=type:TYPE (docker, podman) or by the seLinuxOptions of "
		       "its "
		       "securityContext (Kubernetes)",
			label);
}

/* Containers' filters say EPERM, security modules EACCES. */
static void explain_denial(int error, bool filtered)
{
	char line[256];
	bool apparmor;
	const char *label = first_line("/proc/self/attr/current", line);
	bool by_module = error == EACCES && confined(label, &apparmor);
	if (filtered && !by_module)
		explain_filter();
	if (!filtered || by_module)
		explain_module(label);
	else if (error == EACCES)
		remedy("if it has one, a security module refuses it: see the audit log of AppArmor or "
		       "SELinux");
}

/* A filter and a kernel without vsock give the same error, so the kernel's own lists are asked as well. */
static void explain_absence(bool filtered)
{
	bool loaded = file_has("/proc/net/protocols", "AF_VSOCK ");
	if (filtered && loaded)
		remedy("the kernel has AF_VSOCK, so a seccomp filter refuses it, as systemd's "
		       "RestrictAddressFamilies= does: add AF_VSOCK to it in the unit");
	else if (filtered)
		remedy("either the vsock module isn't loaded, or a seccomp filter refuses it, as systemd's "
		       "RestrictAddressFamilies= does: modprobe vsock on the machine; add AF_VSOCK in the "
		       "unit");
	else
		remedy("the kernel has no AF_VSOCK: modprobe vsock (in a container: on its machine), or take "
		       "a kernel with CONFIG_VSOCKETS; without it, IP2VSOCK_TRANSPORT=unix:DIR emulates "
		       "CIDs");
}

static void explain_refusal(int error)
{
	bool filtered = file_has("/proc/self/status", "Seccomp:\t2");
	bad("AF_VSOCK", "socket(AF_VSOCK) fails: %s", strerror(error));
	if (error == EAFNOSUPPORT)
		explain_absence(filtered);
	else if (filtered || error == EPERM || error == EACCES)
		explain_denial(error, filtered);
}

/* What docs/kernels.md knows of versions: what was tested, and what was reported from elsewhere. */
static const uint64_t oldest_tested = KERNEL(5, 10, 0), newest_tested = KERNEL(7, 2, UINT16_MAX);
static const struct {
	uint64_t from, to;
	const char *words;
} reports[] = {
	{KERNEL(6, 2, 0), KERNEL(6, 3, UINT16_MAX),
		"below Cloud Hypervisor without the fix of its issue #5691, connections break: take a newer "
		"monitor"},
	{KERNEL(6, 12, 92), KERNEL(6, 12, 94),
		"some hundred small unread packets reset a stream: a larger buffer= at the receiving end"},
	{KERNEL(6, 17, 0), UINT64_MAX,
		"below Cloud Hypervisor without the fix of its issue #7672, Firecracker without that of "
		"#5485 and libkrun without those of #535 and #674, packets of more than 32 KiB break "
		"connections: take a newer monitor, or chunk=32K at the sending end"},
};

static void check_version(void)
{
	struct utsname name;
	uint64_t version = kernel_version();
	if (!version || uname(&name))
		return;
	if (version < oldest_tested)
		note("kernel",
			"%s is older than those that are tested, 5.10 to 7.2; libip2vsock(7), KERNELS, says "
			"what "
			"is missing",
			name.release);
	else if (version > newest_tested)
		note("kernel", "%s is newer than those that are tested, 5.10 to 7.2", name.release);
	else
		ok("kernel", "%s is between the oldest and the newest that are tested, 5.10 and 7.2",
			name.release);
	for (size_t i = 0; i < sizeof(reports) / sizeof(*reports); ++i)
		if (version >= reports[i].from && version <= reports[i].to)
			note("kernel", "%s", reports[i].words);
}

enum { NO_TRANSPORT = 0 }; /* 0 is the hypervisor's CID, no machine's */

static uint32_t own_cid(void)
{
	uint32_t cid = CID_ANY;
	int fd = open("/dev/vsock", O_RDONLY | O_CLOEXEC);
	int error = fd < 0 || ioctl(fd, IOCTL_VM_SOCKETS_GET_LOCAL_CID, &cid) ? errno : 0;
	if (fd >= 0)
		close(fd);
	if (error) {
		note("own CID", "unknown: /dev/vsock: %s%s", strerror(error),
			error == ENOENT ? " (in a container: --device /dev/vsock)" : "");
		return CID_ANY;
	}
	/* With loopback alone some kernels say -1, others 1 (6.1.176). */
	if (cid == CID_ANY || cid == CID_LOCAL) {
		note("own CID", "none: no transport to another machine is loaded");
		return NO_TRANSPORT;
	}
	ok("own CID", "%u%s", cid, cid == CID_HOST ? ": this machine is the host of others" : "");
	return cid;
}

/* See vsock_local.h. */
static void check_loopback(const struct summary *needs)
{
	uint32_t local = outside_way_to_itself();
	if (local == CID_LOCAL) {
		ok("loopback", "CID 1 is this machine");
	} else if (local == CID_ANY) {
		ok("loopback", "none in AF_VSOCK (modprobe vsock_loopback); local goes to a Unix socket "
			       "beside the listener");
	} else if (needs->at_local) {
		bad("loopback", "rule %u listens at local, which CID 1 isn't before Linux 5.6",
			needs->at_local->number);
		remedy("listen at any with allow=local");
	} else {
		ok("loopback", "before Linux 5.6 CID 1 is not this machine; local goes to its own CID, %u",
			local);
	}
}

/* Since Linux 7.0 a network namespace may have CIDs of its own. */
static void check_namespace(void)
{
	static const char path[] = "/proc/sys/net/vsock/ns_mode";
	if (file_has(path, "local"))
		note("CIDs", "of this network namespace alone (%s): other machines don't reach it", path);
	else if (file_has(path, "global"))
		ok("CIDs", "those of the whole machine (%s)", path);
}

static void check_machines(uint32_t own, const struct summary *needs)
{
	if (own == NO_TRANSPORT && needs->to_remote) {
		bad("machines", "rule %u goes to another machine, but no transport to one is loaded",
			needs->to_remote->number);
		remedy("in a virtual machine: modprobe vmw_vsock_virtio_transport (KVM, Nitro, Firecracker), "
		       "vmw_vsock_vmci_transport, hv_sock; on a host: modprobe vhost_vsock");
	}
	const struct rule *listener = needs->at_one_cid;
	if (listener && own != CID_ANY && own != listener->target.cid) {
		bad("machines", "rule %u listens at CID %u, which is not this machine's", listener->number,
			listener->target.cid);
		remedy("listen at any, and say allow=%u if only that machine may connect",
			listener->target.cid);
	}
}

/* capable() asks for the capability in the first user namespace, whose inode number is fixed
 * (PROC_USER_INIT_INO). */
static void check_low_ports(const struct summary *needs)
{
	struct stat namespace;
	unsigned long long effective = 0;
	char line[256];
	FILE *file = fopen("/proc/self/status", "re");
	while (file && fgets(line, sizeof(line), file))
		sscanf(line, "CapEff: %llx", &effective);
	if (file)
		fclose(file);
	bool first = !stat("/proc/self/ns/user", &namespace) && namespace.st_ino == 0xEFFFFFFDU;
	bool capable = effective >> CAP_NET_BIND_SERVICE & 1;
	if (first && capable) {
		ok("ports", "below 1024 can be listened on");
		return;
	}
	const char *why = capable ? "in a user namespace, as in rootless containers, AF_VSOCK never grants it"
				  : "this needs CAP_NET_BIND_SERVICE";
	if (needs->low_port) {
		bad("ports", "rule %u listens on a vsock port below 1024: %s", needs->low_port->number, why);
		remedy("map the port to a higher one: listen *:80=any:8080");
	} else {
		note("ports", "below 1024 can't be listened on: %s", why);
	}
}

static void check_kernel(const struct summary *needs)
{
	check_version();
	int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		explain_refusal(errno);
		return;
	}
	ok("AF_VSOCK", "sockets can be made");
	uint32_t own = own_cid();
	check_namespace();
	check_machines(own, needs);
	check_loopback(needs);
	check_low_ports(needs);
	close(fd);
}

static void check_proxy(const struct rule *rule)
{
	struct greeting greeting = {.sent = false};
	int error = outside_ask(rule, &greeting);
	const char *word = target_word(rule),
		   *cure = greeting_remedy(&greeting, target_greeting(rule), rule->login);
	char found[GREETING_ANSWER + 1];
	greeting_quote(&greeting, found);
	if (error && !greeting.refused)
		bad("proxy", "rule %u: no %s proxy answers: %s%s", rule->number, word,
			greeting.error ? "what is there says " : strerror(error),
			greeting.error ? found : "");
	else if (cure)
		bad("proxy", "rule %u: %s", rule->number, cure);
	else
		ok("proxy", "rule %u: the %s proxy answers", rule->number, word);
}

static void check_proxies(const struct settings *settings)
{
	struct settings quiet = *settings;
	bool begun = false;
	quiet.log = LOG_OFF;
	for (uint32_t i = 0; settings->map && i < map_count(settings->map); i++) {
		const struct rule *rule = map_rule(settings->map, i);
		if (!target_has(rule, TARGET_TAKES_NAMES))
			continue;
		if (!begun)
			outside_prepare(&quiet);
		begun = true;
		check_proxy(rule);
	}
}

static void check_emulation(const struct settings *settings)
{
	struct stat status;
	const char *directory = settings->emulated;
	if (stat(directory, &status))
		bad("emulated", "%s: %s; make the directory", directory, strerror(errno));
	else if (!S_ISDIR(status.st_mode))
		bad("emulated", "%s isn't a directory", directory);
	else if (access(directory, W_OK | X_OK))
		bad("emulated", "%s: %s; servers make their sockets there", directory, strerror(errno));
	else
		ok("emulated", "CIDs are Unix sockets in %s, this end is CID %u", directory, settings->cid);
}

/* Programs that can't be preloaded into matter only if there are any. */
static void check_supervising(const struct settings *settings, const struct doctor_program *program)
{
	char why[OUTSIDE_MESSAGE];
	uint64_t identity;
	if (supervised(&identity))
		ok("outside", "an ip2vsock supervises this process and its children already");
	else if (outside_works(settings, why))
		ok("outside", "programs can be supervised%s: static ones, Go's, other libcs'", why);
	else if (program->supervised)
		bad("outside", "%s", why);
	else
		note("outside", "static and Go programs can't be run: %s", why);
}

static void check_program(const struct doctor_program *program)
{
	if (program->words && program->runs)
		ok("program", "%s", program->words);
	else if (program->words)
		bad("program", "%s", program->words);
}

bool doctor(const struct settings *settings, const char *preload, const char *missing,
	const struct doctor_program *program)
{
	/* Without a map CIDs are taken to be wanted. */
	struct summary needs = settings->map ? *map_summary(settings->map) : (struct summary){.cids = true};
	healthy = true;
	check_library(preload, missing);
	check_supervising(settings, program);
	check_program(program);
	check_settings(settings);
	if (settings->emulated)
		check_emulation(settings);
	else if (needs.cids)
		check_kernel(&needs);
	else
		note("AF_VSOCK", "isn't needed: no rule of the map has a CID");
	check_proxies(settings);
	const char *what = settings->map ? "The map" : settings->emulated ? "Emulated CIDs" : "AF_VSOCK";
	printf("%s %s work here.\n", what, healthy ? "can" : "can't");
	return healthy;
}
