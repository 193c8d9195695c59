/* SPDX-License-Identifier: MIT */
/* Where a connection to CID 1 goes, on kernels that loop it, that loop the machine's own CID, and that loop
 * nothing. The kernel's answers are the test's: no AF_VSOCK socket is opened. */
#include "emulated.h"
#include "system/kernel.h"
#include "transport/vsock_local.h"

#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>
#include <sys/wait.h>

static struct {
	const char *release;
	bool loops;   /* CID 1 can be bound to */
	uint32_t own; /* what /dev/vsock says; CID_ANY: there is no such device */
	bool refuses; /* socket(AF_VSOCK) */
} kernel;
static uint32_t connected; /* the CID that was connected to; 0: none */

int __wrap_uname(struct utsname *name);
int __wrap_uname(struct utsname *name)
{
	strcpy(name->release, kernel.release);
	return 0;
}

int __real_open(const char *path, int flags);
int __wrap_open(const char *path, int flags);
int __wrap_open(const char *path, int flags)
{
	if (strcmp(path, "/dev/vsock") != 0)
		return __real_open(path, flags);
	errno = ENOENT;
	return kernel.own == CID_ANY ? -1 : __real_open("/dev/null", flags);
}

/* In the child an assertion that fails must end it: cmocka would go on with the other tests there. */
#define REQUIRE(condition)                                                                                   \
	do {                                                                                                 \
		if (!(condition)) {                                                                          \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                      \
			_exit(1);                                                                            \
		}                                                                                            \
	} while (0)

static int answer_ioctl(int fd, unsigned long request, void *argument)
{
	(void)fd;
	REQUIRE(request == IOCTL_VM_SOCKETS_GET_LOCAL_CID);
	*(unsigned *)argument = kernel.own;
	return 0;
}

static int answer_socket(int domain, int type, int protocol)
{
	(void)type;
	(void)protocol;
	REQUIRE(domain == AF_VSOCK);
	errno = EPERM;
	if (kernel.refuses)
		return -1;
	return __real_open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static int answer_bind(int fd, const struct sockaddr *address, socklen_t length)
{
	(void)fd;
	(void)length;
	REQUIRE(((const struct sockaddr_vm *)address)->svm_cid == CID_LOCAL);
	errno = EADDRNOTAVAIL;
	return kernel.loops ? 0 : -1;
}

static int answer_connect(int fd, const struct sockaddr *address, socklen_t length)
{
	(void)fd;
	REQUIRE(length == sizeof(struct sockaddr_vm));
	connected = ((const struct sockaddr_vm *)address)->svm_cid;
	return 0;
}

static int errno_of_connect(uint32_t cid)
{
	struct place place;
	transport_vsock.place(&(struct endpoint){cid, 80}, &place);
	connected = 0;
	return transport_vsock.connect(-1, &place, 0) < 0 ? errno : 0;
}

/* On that kernel, in a process that has asked nothing yet. */
static void on(const char *release, bool loops, uint32_t own, void (*check)(void))
{
	int status = -1;
	pid_t child = fork();
	if (child == 0) {
		kernel.release = release;
		kernel.loops = loops;
		kernel.own = own;
		libc.socket = answer_socket;
		libc.bind = answer_bind;
		libc.connect = answer_connect;
		libc.ioctl = answer_ioctl;
		check();
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void goes_to_cid_1(void)
{
	REQUIRE(errno_of_connect(CID_LOCAL) == 0 && connected == CID_LOCAL);
	REQUIRE(vsock_is_local(CID_LOCAL) && !vsock_is_local(16) && !vsock_is_local(CID_HOST));
	REQUIRE(!vsock_needs_door());
	kernel.loops = false; /* a connection doesn't ask again */
	REQUIRE(errno_of_connect(CID_LOCAL) == 0 && connected == CID_LOCAL);
}

static void goes_to_cid_16(void)
{
	REQUIRE(errno_of_connect(CID_LOCAL) == 0 && connected == 16);
	REQUIRE(vsock_is_local(CID_LOCAL) && vsock_is_local(16));
	REQUIRE(!vsock_needs_door() && !vsock_needs_door());
	REQUIRE(!vsock_is_local(17) && !vsock_is_local(CID_HOST) && !vsock_is_local(CID_ANY));
}

static void goes_nowhere(void)
{
	for (int i = 0; i < 3; i++)
		REQUIRE(vsock_needs_door() && errno_of_connect(CID_LOCAL) == EHOSTUNREACH && connected == 0);
	REQUIRE(vsock_is_local(CID_LOCAL) && !vsock_is_local(16) && !vsock_is_local(CID_ANY));
	REQUIRE(errno_of_connect(3) == 0 && connected == 3);
}

static void goes_once_the_module_is_loaded(void)
{
	REQUIRE(vsock_needs_door() && errno_of_connect(CID_LOCAL) == EHOSTUNREACH && connected == 0);
	kernel.loops = true;
	REQUIRE(!vsock_needs_door());
	REQUIRE(errno_of_connect(CID_LOCAL) == 0 && connected == CID_LOCAL);
}

/* Whoever tries to connect is to hear of it, and a server has no door in the place of what it can't have. */
static void goes_nowhere_for_want_of_sockets(void)
{
	kernel.refuses = true;
	REQUIRE(!vsock_needs_door() && errno_of_connect(CID_LOCAL) == EHOSTUNREACH && connected == 0);
	kernel.refuses = false;
	REQUIRE(vsock_needs_door());
}

/* What a program that has closed its standard input opens has the number 0. */
static void goes_to_cid_1_and_leaves_no_fd(void)
{
	libc.close(STDIN_FILENO);
	goes_to_cid_1();
	REQUIRE(libc.fcntl(STDIN_FILENO, F_GETFD, NULL) == -1);
}

static void local_is_cid_1_where_that_loops(void **state)
{
	(void)state;
	on("6.1.0-57-amd64", true, 16, goes_to_cid_1);
	on("5.6.0", true, CID_ANY, goes_to_cid_1);
	on("6.1.0", true, CID_ANY, goes_to_cid_1_and_leaves_no_fd);
	on("4.18.0-553.el8.x86_64", true, CID_ANY, goes_to_cid_1); /* RHEL's has the module */
}

static void local_is_the_own_cid_where_that_loops(void **state)
{
	(void)state;
	on("4.14.256-209.484.amzn2.x86_64", false, 16, goes_to_cid_16);
	on("5.5.19", false, 16, goes_to_cid_16);
}

static void nothing_leaves_a_machine_that_loops_nothing(void **state)
{
	(void)state;
	on("6.1.0", false, 16, goes_nowhere);
	on("5.6.0", false, 16, goes_nowhere);
	on("4.14.256", false, CID_ANY, goes_nowhere);  /* no /dev/vsock */
	on("4.14.256", false, CID_HOST, goes_nowhere); /* a host's */
	on("6.1.0", false, 16, goes_once_the_module_is_loaded);
	on("6.1.0", false, 16, goes_nowhere_for_want_of_sockets);
}

static void a_release_is_a_number(void **state)
{
	(void)state;
	static const struct {
		const char *release;
		uint64_t version;
	} table[] = {{"5.10.0-1-amd64", KERNEL(5, 10, 0)}, {"6.1.90", KERNEL(6, 1, 90)},
		{"6.1", KERNEL(6, 1, 0)}, {"10.20.30", KERNEL(10, 20, 30)}, {"4.14.256+", KERNEL(4, 14, 256)},
		{"7.0-rc1", KERNEL(7, 0, 0)}, {"", 0}, {"unknown", 0}};
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		kernel.release = table[i].release;
		assert_int_equal(kernel_version(), table[i].version);
	}
	kernel.release = "5.10.0";
	assert_true(kernel_is_before(5, 11) && kernel_is_before(6, 0));
	assert_false(kernel_is_before(5, 10) || kernel_is_before(4, 20));
	kernel.release = "unknown";
	assert_false(kernel_is_before(9, 9));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(local_is_cid_1_where_that_loops),
		cmocka_unit_test(local_is_the_own_cid_where_that_loops),
		cmocka_unit_test(nothing_leaves_a_machine_that_loops_nothing),
		cmocka_unit_test(a_release_is_a_number),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
