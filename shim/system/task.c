/* SPDX-License-Identifier: MIT */
#include "task.h"

#include "cancel.h"
#include "errno.h"
#include "forks.h"
#include "libc.h"
#include "signals.h"

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#ifdef __i386__
#include <asm/ldt.h>
#endif

/* The memory of a task is never unmapped, and serves the next one: a task can't take its own stack away.
 * Around the thread pointer there is room for what libc and this library keep there, errno above all: all
 * zero, as of a thread that was never cancelled. The program's own thread-local variables, of any size, lie
 * between the two. */
enum { STACK = 64 << 10, AROUND = 64 << 10 };
struct task {
	_Atomic int taken; /* 0: free, by the kernel's hand when the task has ended (CLONE_CHILD_CLEARTID) */
	struct task *next;
	_Atomic uint8_t phase;
	const struct task_work *work;
	_Alignas(16) char context[TASK_ROOM];
	_Alignas(16) char stack[STACK];
	_Alignas(64) char around[]; /* the thread pointer is in it, reach(true) bytes from its beginning */
};

enum phase { NOTHING_HELD, RUNNING, ENDING, LINGERING };

static struct task *_Atomic tasks;

static char *own_pointer(void)
{
#ifdef __x86_64__
	char *own;
	__asm__("mov %%fs:0, %0" : "=r"(own));
	return own;
#elif defined __i386__
	char *own;
	__asm__("mov %%gs:0, %0" : "=r"(own));
	return own;
#else
	return __builtin_thread_pointer();
#endif
}

/* How far from the thread pointer a task finds what it uses: the furthest of errno and of our own variables,
 * and what lies beside them. In each thread the same. */
static size_t reach(bool below)
{
	const char *own = own_pointer();
	const void *used[] = {libc_errno(), &in_vfork_child, &cancel_state};
	ptrdiff_t furthest = 0;
	for (size_t i = 0; i < sizeof used / sizeof *used; i++) {
		ptrdiff_t distance = below ? own - (const char *)used[i] : (const char *)used[i] - own;
		if (distance > furthest)
			furthest = distance;
	}
	return ((size_t)furthest + AROUND) & ~(size_t)63;
}

static struct task *take(void)
{
	size_t size = sizeof(struct task) + reach(true) + reach(false);
	for (struct task *task = atomic_load(&tasks); task; task = task->next) {
		int free = 0;
		if (atomic_compare_exchange_strong(&task->taken, &free, 1))
			return task;
	}
	struct task *task =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (task == MAP_FAILED)
		return NULL;
	task->taken = 1;
	task->next = atomic_load(&tasks);
	while (!atomic_compare_exchange_weak(&tasks, &task->next, task))
		;
	return task;
}

/* What compilers and libc look for at the thread pointer itself: on x86 its own address, the way into the
 * kernel, and the canary, which is the process's. */
static void *thread_pointer(struct task *task)
{
	void **pointer = (void **)(task->around + reach(true));
#if defined __x86_64__ || defined __i386__
	enum { WORDS = 10, ITSELF = 2 };
	memcpy(pointer, own_pointer(), WORDS * sizeof *pointer);
	pointer[0] = pointer[ITSELF] = pointer;
#endif
	return pointer;
}

/* One side writes the phase and then looks for forks, the other the reverse: at least one of them sees the
 * other. Neither waits for ever, as a signal handler may fork, too. */
enum { PATIENCE_MS = 100 };

static void begin_to_end(struct task *task)
{
	atomic_store(&task->phase, ENDING);
	for (int i = 0; i < PATIENCE_MS && forks_under_way(); i++) {
		atomic_store(&task->phase, RUNNING);
		libc.poll(NULL, 0, 1);
		atomic_store(&task->phase, ENDING);
	}
}

void task_before_fork(void)
{
	KEEP_ERRNO;
	for (struct task *task = atomic_load(&tasks); task; task = task->next)
		for (int i = 0; i < PATIENCE_MS && atomic_load(&task->phase) == ENDING; i++)
			libc.poll(NULL, 0, 1);
}

static int enter(void *context)
{
	struct task *task = context;
	task->work->run(task->context);
	begin_to_end(task);
	task->work->end(task->context);
	atomic_store(&task->phase, LINGERING);
	task->work->linger(task->context);
	atomic_store(&task->phase, NOTHING_HELD);
	return 0;
}

static int make(struct task *task)
{
	const int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
			  CLONE_SETTLS | CLONE_CHILD_CLEARTID;
	void *pointer = thread_pointer(task);
#ifdef __i386__
	unsigned selector;
	__asm__("mov %%gs, %0" : "=r"(selector));
	struct user_desc descriptor = {.entry_number = selector >> 3,
		.base_addr = (unsigned)pointer,
		.limit = 0xfffff,
		.seg_32bit = 1,
		.limit_in_pages = 1,
		.useable = 1};
	pointer = &descriptor;
#endif
	return clone(enter, task->stack + STACK, flags, task, NULL, pointer, &task->taken);
}

bool task_start(const struct task_work *work, const void *context, size_t size)
{
	signal_set before;
	struct task *task = take();
	if (!task)
		return false;
	task->work = work;
	memcpy(task->context, context, size);
	atomic_store(&task->phase, RUNNING);
	bool held = signals_hold(&before);
	int result = make(task), error = errno;
	if (held)
		signals_let_in(before);
	if (result < 0) {
		atomic_store(&task->phase, NOTHING_HELD);
		atomic_store(&task->taken, 0);
	}
	errno = error;
	return result >= 0;
}

void task_forget(void (*visit)(void *context))
{
	for (struct task *task = atomic_load(&tasks); task; task = task->next) {
		if (atomic_exchange(&task->phase, NOTHING_HELD) != NOTHING_HELD)
			visit(task->context);
		atomic_store(&task->taken, 0);
	}
}
