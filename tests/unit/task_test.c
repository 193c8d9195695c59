/* SPDX-License-Identifier: MIT */
/* A task: what it has of its own, and that it ends before a fork or after it (system/task.h). */
#include "emulated.h"
#include "system/forks.h"
#include "system/task.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { SHORT_MS = 30 };

/* What a task writes down, and who is waited for. */
static struct {
	_Atomic int began, ended, lingered;
	_Atomic bool go, may_end; /* what it waits for */
	pid_t process, thread;
	uint64_t blocked; /* signals */
	int own_errno;
	uintptr_t stack;
	char context[TASK_ROOM];
} seen;

static void wait_for(_Atomic bool *flag)
{
	while (!atomic_load(flag))
		libc.poll(NULL, 0, 1);
}

static void wait_for_count(_Atomic int *count, int wanted)
{
	while (atomic_load(count) < wanted)
		libc.poll(NULL, 0, 1);
}

static void run(void *context)
{
	seen.process = (pid_t)libc.syscall(SYS_getpid, 0, 0, 0, 0, 0, 0);
	seen.thread = (pid_t)libc.syscall(SYS_gettid, 0, 0, 0, 0, 0, 0);
	libc.syscall(SYS_rt_sigprocmask, SIG_SETMASK, 0, (long)&seen.blocked, sizeof seen.blocked, 0, 0);
	libc.close(-1);
	seen.own_errno = errno;
	seen.stack = (uintptr_t)__builtin_frame_address(0);
	memcpy(seen.context, context, sizeof seen.context);
	atomic_fetch_add(&seen.began, 1);
	wait_for(&seen.go);
}

static void end(void *context)
{
	(void)context;
	if (!atomic_load(&seen.may_end))
		libc.poll(NULL, 0, SHORT_MS);
	atomic_fetch_add(&seen.ended, 1);
}

static void linger(void *context)
{
	(void)context;
	atomic_fetch_add(&seen.lingered, 1);
}

static const struct task_work work = {run, end, linger};

static void start(bool go, bool may_end)
{
	char context[TASK_ROOM];
	memset(&seen, 0, sizeof seen);
	memset(context, 'c', sizeof context);
	atomic_store(&seen.go, go);
	atomic_store(&seen.may_end, may_end);
	errno = 77;
	assert_true(task_start(&work, context, sizeof context));
	assert_int_equal(errno, 77);
}

static void it_is_a_thread_that_takes_no_signals(void **state)
{
	(void)state;
	uint64_t before, after;
	char expected[TASK_ROOM];
	memset(expected, 'c', sizeof expected);
	libc.syscall(SYS_rt_sigprocmask, SIG_SETMASK, 0, (long)&before, sizeof before, 0, 0);
	start(false, true);
	wait_for_count(&seen.began, 1);
	libc.syscall(SYS_rt_sigprocmask, SIG_SETMASK, 0, (long)&after, sizeof after, 0, 0);
	assert_int_equal(before, after);
	assert_int_equal(seen.process, getpid());
	assert_int_not_equal(seen.thread, getpid());
	for (int number = 1; number < 32; number++)
		if (number != SIGKILL && number != SIGSTOP)
			assert_true(seen.blocked >> (number - 1) & 1);
	assert_int_equal(seen.own_errno, EBADF);
	assert_int_equal(errno, 77);
	assert_memory_equal(seen.context, expected, sizeof expected);
	assert_int_equal(atomic_load(&seen.ended), 0);
	atomic_store(&seen.go, true);
	wait_for_count(&seen.lingered, 1);
	assert_int_equal(atomic_load(&seen.ended), 1);
}

/* Its memory serves the next one, once the kernel says that it has ended; not while it is at work. */
static void the_next_one_has_its_memory(void **state)
{
	(void)state;
	uintptr_t first = 0;
	for (int i = 0; i < 20; i++) {
		start(true, true);
		wait_for_count(&seen.lingered, 1);
		while (libc.syscall(SYS_tgkill, getpid(), seen.thread, 0, 0, 0, 0) == 0)
			libc.poll(NULL, 0, 1);
		if (!first)
			first = seen.stack;
		assert_int_equal(seen.stack, first);
	}
	start(false, true);
	wait_for_count(&seen.began, 1);
	assert_int_equal(seen.stack, first);
	assert_true(task_start(&work, "", 1));
	wait_for_count(&seen.began, 2);
	assert_int_not_equal(seen.stack, first);
	atomic_store(&seen.go, true);
	wait_for_count(&seen.lingered, 2);
}

/* Best of a few: neither waits longer than a tenth of a second, and a machine may be busy. */
static void a_fork_waits_until_it_has_ended(void **state)
{
	(void)state;
	bool waited = false;
	for (int i = 0; i < 10 && !waited; i++) {
		start(true, false);
		wait_for_count(&seen.began, 1);
		libc.poll(NULL, 0, SHORT_MS / 3);
		task_before_fork();
		waited = atomic_load(&seen.ended) == 1;
		wait_for_count(&seen.lingered, 1);
	}
	assert_true(waited);
}

static void it_ends_after_a_fork_that_is_under_way(void **state)
{
	(void)state;
	bool waited = false;
	for (int i = 0; i < 10 && !waited; i++) {
		forks_before();
		start(true, true);
		libc.poll(NULL, 0, SHORT_MS);
		waited = atomic_load(&seen.began) == 1 && atomic_load(&seen.ended) == 0;
		forks_after();
		wait_for_count(&seen.lingered, 1);
		assert_int_equal(atomic_load(&seen.ended), 1);
	}
	assert_true(waited);
}

static int visits;

static void visit(void *context)
{
	assert_int_equal(*(char *)context, 'c');
	visits++;
}

static void a_child_of_fork_does_not_have_it(void **state)
{
	(void)state;
	int status = -1;
	start(false, true);
	wait_for_count(&seen.began, 1);
	pid_t child = fork();
	if (child == 0) {
		task_forget(visit);
		bool once = visits == 1;
		task_forget(visit);
		_exit(once && visits == 1 ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	atomic_store(&seen.go, true);
	wait_for_count(&seen.lingered, 1);
}

int main(void)
{
#ifdef __SANITIZE_THREAD__ /* its runtime knows no task */
	return 77;
#endif
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_a_thread_that_takes_no_signals),
		cmocka_unit_test(the_next_one_has_its_memory),
		cmocka_unit_test(a_fork_waits_until_it_has_ended),
		cmocka_unit_test(it_ends_after_a_fork_that_is_under_way),
		cmocka_unit_test(a_child_of_fork_does_not_have_it),
	};
	libc_start();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
