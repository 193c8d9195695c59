/* SPDX-License-Identifier: MIT */
#include "stops.h"

#include "call.h"
#include "filter.h"
#include "task.h"
#include "watched.h"

#include "system/kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef PTRACE_EVENT_STOP
#define PTRACE_EVENT_STOP 128
#endif
#ifndef __WALL
#define __WALL 0x40000000
#endif
enum { SET_MASK = 0x420b, GET_MASK = 0x420a, SYSTEM_CALL_STOP = SIGTRAP | 0x80 };

static long ask(int request, pid_t thread, uint64_t address, void *data)
{
	return ptrace(request, thread, (void *)(uintptr_t)address, data);
}

static bool resume(int request, pid_t thread, int signal_number)
{
	return ask(request, thread, 0, (void *)(long)signal_number) == 0;
}

/* PTRACE_GETEVENTMSG of the stop that this thread is in; 0 also if it has been killed. */
static unsigned long message_of(pid_t thread)
{
	unsigned long message = 0;
	ask(PTRACE_GETEVENTMSG, thread, 0, &message);
	return message;
}

bool stops_start(pid_t process)
{
	unsigned long options = PTRACE_O_TRACESECCOMP | PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE |
				PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC |
				PTRACE_O_EXITKILL;
	return ask(PTRACE_SEIZE, process, 0, (void *)options) == 0;
}

/* ---- the table of calls ---- */

enum { BUCKETS = 256 };
static struct stopped *buckets[BUCKETS];

/* Two lists: calls that nobody has taken yet, the first one first; and threads that are stopped by now. */
static struct stopped *queue, **queue_end = &queue, *stopped;

static struct stopped **bucket(pid_t thread)
{
	return &buckets[(unsigned)thread % BUCKETS];
}

struct stopped *stops_find(pid_t thread)
{
	struct stopped *one = *bucket(thread);
	while (one && one->thread != thread)
		one = one->next;
	return one;
}

static void push(struct stopped *one)
{
	one->behind = stopped;
	stopped = one;
}

static bool unlink_from(struct stopped **list, struct stopped *one)
{
	while (*list && *list != one)
		list = &(*list)->behind;
	if (!*list)
		return false;
	*list = one->behind;
	return true;
}

static void leave_lists(struct stopped *one)
{
	if (unlink_from(&stopped, one) || !unlink_from(&queue, one))
		return;
	for (queue_end = &queue; *queue_end;)
		queue_end = &(*queue_end)->behind;
}

static void forget(struct stopped *one)
{
	struct stopped **link;
	if (!one)
		return;
	leave_lists(one);
	for (link = bucket(one->thread); *link != one;)
		link = &(*link)->next;
	*link = one->next;
	if (one->far_end >= 0)
		close(one->far_end);
	free(one);
}

bool stops_waiting(void)
{
	return queue;
}

struct stopped *stops_next(void)
{
	struct stopped *one = queue;
	if (!one)
		return NULL;
	leave_lists(one);
	push(one);
	return one;
}

struct stopped *stops_left(void)
{
	return stopped;
}

/* ---- processes ---- */

struct process {
	struct process *next;
	pid_t process;
	uint64_t page;
};
static struct process *processes[BUCKETS];

static struct process **find_process(pid_t process)
{
	struct process **link = &processes[(unsigned)process % BUCKETS];
	while (*link && (*link)->process != process)
		link = &(*link)->next;
	return link;
}

uint64_t *stops_page(pid_t process)
{
	struct process **link = find_process(process);
	if (!*link && (*link = calloc(1, sizeof **link)))
		(*link)->process = process;
	return *link ? &(*link)->page : NULL;
}

/* Its memory is no more. */
static void forget_process(pid_t process)
{
	struct process **link = find_process(process), *one = *link;
	if (!one)
		return;
	*link = one->next;
	free(one);
}

/* ---- what other threads do while we wait for one ---- */

struct later {
	pid_t thread;
	int status;
};
static struct later *later;
static size_t later_count, later_room;

/* A thread that waited has come to another stop than we could bring it to. */
static void keep_for_later(pid_t thread, int status)
{
	struct stopped *one = stops_find(thread);
	if (one)
		one->call = 0;
	if (later_count == later_room) {
		size_t room = later_room ? 2 * later_room : 64;
		struct later *more = realloc(later, room * sizeof *more);
		if (!more)
			_exit(1); /* the kernel kills the program (PTRACE_O_EXITKILL) */
		later = more;
		later_room = room;
	}
	later[later_count++] = (struct later){thread, status};
}

static pid_t take_later(int *status)
{
	struct later first = *later;
	memmove(later, later + 1, --later_count * sizeof *later);
	*status = first.status;
	return first.thread;
}

bool stops_more(void)
{
	return later_count > 0;
}

static pid_t wait_for_any(int *status)
{
	pid_t thread;
	do
		thread = waitpid(-1, status, __WALL);
	while (thread < 0 && errno == EINTR);
	return thread;
}

static bool at_trap(int status)
{
	return status >> 16 == PTRACE_EVENT_SECCOMP;
}

static bool at_receiving(pid_t thread, int status)
{
	return at_trap(status) && message_of(thread) == FILTER_RECEIVES;
}

/* Waits until this thread has come to the stop that it is on its way to. It takes no signals meanwhile, but
 * SIGSTOP can't be blocked. false: it has ended, or is another one by now (exec()). */
static bool come_to(struct stopped *one, int request, bool (*is_it)(int status))
{
	int status;
	for (pid_t thread; (thread = wait_for_any(&status)) > 0;) {
		if (thread != one->thread) {
			keep_for_later(thread, status);
			continue;
		}
		if (WIFSTOPPED(status) && is_it(status))
			return true;
		int event = status >> 16;
		if (WIFSTOPPED(status) && at_receiving(thread, status)) {
			; /* the call that it makes for us receives */
		} else if (WIFSTOPPED(status) && event == PTRACE_EVENT_STOP) {
			one->group_stops |= WSTOPSIG(status) != SIGTRAP;
		} else if (WIFSTOPPED(status) && !event && WSTOPSIG(status) == SIGSTOP) {
			one->signal = SIGSTOP;
		} else {
			keep_for_later(thread, status);
			break;
		}
		if (!resume(request, thread, 0))
			break;
	}
	one->call = 0;
	return false;
}

static bool at_system_call(int status)
{
	return status >> 16 == 0 && WSTOPSIG(status) == SYSTEM_CALL_STOP;
}

static bool go_to(struct stopped *one, int request, bool (*is_it)(int status))
{
	return resume(request, one->thread, 0) && come_to(one, request, is_it);
}

/* ---- the calls that a thread makes for us ---- */

static bool mask(struct stopped *one)
{
	uint64_t all = UINT64_MAX;
	if (one->masked)
		return true;
	one->masked = ask(GET_MASK, one->thread, sizeof one->mask, &one->mask) == 0 &&
		      ask(SET_MASK, one->thread, sizeof all, &all) == 0;
	return one->masked;
}

/* What came while it took no signals comes now. */
static void unmask(struct stopped *one)
{
	if (one->masked)
		ask(SET_MASK, one->thread, sizeof one->mask, &one->mask);
	if (one->signal)
		syscall(SYS_tkill, one->thread, one->signal);
	if (one->group_stops)
		ask(PTRACE_INTERRUPT, one->thread, 0, NULL);
	one->masked = one->group_stops = false;
	one->signal = 0;
}

static bool set_call(struct stopped *one, int number, const uint64_t arguments[6])
{
	struct registers registers = one->at_call;
	for (int i = 0; i < 6; i++)
		*registers_argument(&registers, i) = arguments[i];
	if (one->stand == STOPPED_AT_CALL)
		return registers_set_call(one->thread, &registers, number) &&
		       registers_set(one->thread, &registers);
	return registers_again(one->thread, &registers, number) && registers_set(one->thread, &registers);
}

/* Behind one call the thread has to come to the entry of the next one first. */
static bool carry_out(struct stopped *one)
{
	return (one->stand == STOPPED_AT_CALL || go_to(one, PTRACE_SYSCALL, at_system_call)) &&
	       go_to(one, PTRACE_SYSCALL, at_system_call);
}

int64_t stops_make(struct stopped *one, int number, const uint64_t arguments[6])
{
	struct registers registers;
	if (!mask(one) || !set_call(one, number, arguments) || !carry_out(one) ||
		!registers_get(one->thread, &registers)) {
		one->call = 0;
		return -ESRCH;
	}
	one->stand = STOPPED_AFTER_CALL;
	return registers_result(&registers);
}

/* Back to the entry of the call that it came with. */
static bool return_to_call(struct stopped *one)
{
	struct registers registers = one->at_call;
	int number = one->number;
	if (one->stand == STOPPED_AT_CALL)
		return true;
	if (!registers_again(one->thread, &registers, number) || !registers_set(one->thread, &registers) ||
		!go_to(one, PTRACE_CONT, at_trap))
		return false;
	one->stand = STOPPED_AT_CALL;
	return true;
}

/* ---- ways on ---- */

static bool answer_with(struct stopped *one, int64_t value)
{
	struct registers registers = one->at_call;
	registers_set_result(&registers, value);
	return registers_set_call(one->thread, &registers, NO_CALL) && registers_set(one->thread, &registers);
}

static bool go_on(struct stopped *one, int request)
{
	unmask(one);
	return resume(request, one->thread, 0);
}

bool stops_answer(struct stopped *one, int64_t value)
{
	bool there = one->call && answer_with(one, value) && go_on(one, PTRACE_CONT);
	forget(one);
	return there;
}

bool stops_pass(struct stopped *one)
{
	bool there = one->call && return_to_call(one) && go_on(one, PTRACE_CONT);
	forget(one);
	return there;
}

void stops_hold(struct stopped *one)
{
	static const uint64_t nothing[6];
	if (!one->call || !return_to_call(one) || !set_call(one, SYS_ppoll, nothing) ||
		!go_on(one, PTRACE_SYSCALL))
		one->call = 0;
	leave_lists(one);
	one->stand = WAITING;
}

bool stops_bring(struct stopped *one)
{
	if (one->stand != WAITING || !one->call)
		return one->call;
	if (ask(PTRACE_INTERRUPT, one->thread, 0, NULL) < 0 || !come_to(one, PTRACE_SYSCALL, at_system_call))
		return false;
	one->stand = STOPPED_AFTER_CALL;
	push(one);
	return true;
}

/* ---- what they have done ---- */

static void enter(struct stopped *one)
{
	struct stopped **first = bucket(one->thread);
	one->next = *first;
	*first = one;
}

static void enqueue(struct stopped *one)
{
	static uint64_t calls;
	one->call = ++calls;
	*queue_end = one;
	queue_end = &one->behind;
}

bool stops_after_receiving(void)
{
	uint64_t version = kernel_version();
	bool fixed = version >= KERNEL(4, 19, 54) && version < KERNEL(4, 20, 0);
	return version < KERNEL(5, 2, 0) && !fixed;
}

/* The kernel carries it out, and the thread stops behind it. */
static void let_receive(struct stopped *one)
{
	one->stand = RECEIVING;
	resume(PTRACE_SYSCALL, one->thread, 0);
}

/* recvmsg() that has received nothing says so in the header, too. */
static void clear_header(struct stopped *one)
{
	struct call memory = {.thread = one->thread};
	uint64_t address = *registers_argument(&one->at_call, 1);
	struct msghdr header;
	if (one->number != SYS_recvmsg || call_read(&memory, address, &header, sizeof header) != 0)
		return;
	header.msg_namelen = 0;
	header.msg_controllen = 0;
	header.msg_flags = 0;
	call_write(&memory, address, &header, sizeof header);
}

static int flags_of(struct stopped *one)
{
	int argument = one->number == SYS_recvfrom ? 3 : one->number == SYS_recvmsg ? 2 : -1;
	return argument < 0 ? 0 : (int)*registers_argument(&one->at_call, argument);
}

/* What TCP says instead, on a connection of ours; this error, if it stands. */
static int64_t corrected(struct stopped *one, int64_t error)
{
	int number = (int)*registers_argument(&one->at_call, 0);
	struct task_fd fd;
	const struct watched *watched =
		task_look(one->thread, number, &fd) == 0 ? watched_find(fd.inode, number) : NULL;
	if (!watched || !watched->transport || watched->stage != STAGE_CONNECTED)
		return error;
	if (error == -ENOTCONN)
		return 0;
	return flags_of(one) & MSG_DONTWAIT || fd.flags & O_NONBLOCK ? -EAGAIN : -EOPNOTSUPP;
}

/* A call that receives has been carried out. */
static void received(struct stopped *one)
{
	struct registers registers;
	int64_t result = registers_get(one->thread, &registers) ? registers_result(&registers) : 0;
	if (result != -ENOTCONN && !(result == -ENOMEM && flags_of(one) & MSG_PEEK)) {
		forget(one);
		return;
	}
	result = corrected(one, result);
	if (result == 0)
		clear_header(one);
	registers_set_result(&registers, result);
	registers_set(one->thread, &registers);
	forget(one);
}

static void take_call(pid_t thread)
{
	struct stopped *one = calloc(1, sizeof *one);
	unsigned long message;
	forget(stops_find(thread));
	if (!one) { /* the call must not be carried out */
		syscall(SYS_tkill, thread, SIGKILL);
		return;
	}
	*one = (struct stopped){.thread = thread, .socket = -1, .far_end = -1};
	message = message_of(thread);
	one->foreign = message == FILTER_FOREIGN; /* its registers may be others */
	bool alive = one->foreign || registers_get(thread, &one->at_call);
	one->number = registers_call(thread, &one->at_call);
	if (!alive) { /* it has been killed */
		free(one);
		return;
	}
	enter(one);
	if (message == FILTER_RECEIVES)
		let_receive(one);
	else
		enqueue(one);
}

/* A signal has ended the substitute: the kernel is to treat the call as if it had been interrupted. */
static void interrupted(struct stopped *one)
{
	struct registers registers = one->at_call;
	registers_interrupt(&registers, one->number);
	registers_set(one->thread, &registers);
	forget(one);
}

static void call_is_over(pid_t thread)
{
	struct stopped *one = stops_find(thread);
	if (one && one->stand == WAITING)
		interrupted(one);
	else if (one && one->stand == RECEIVING)
		received(one);
	resume(PTRACE_CONT, thread, 0);
}

/* Another thread of the process may have executed a program: then it has this number now, and its own is
 * nobody's. */
static void executed(pid_t thread)
{
	forget(stops_find((pid_t)message_of(thread)));
	forget(stops_find(thread));
	forget_process(thread);
	resume(PTRACE_CONT, thread, 0);
}

/* true: the process is stopped, and is to stay so until SIGCONT. */
static bool group_stopped(pid_t thread, int signal_number)
{
	bool stops = signal_number != SIGTRAP;
	resume(stops ? PTRACE_LISTEN : PTRACE_CONT, thread, 0);
	return stops;
}

/* true: that is news for the supervisor. */
static bool handle(pid_t thread, int *status)
{
	int event = *status >> 16, signal_number = WSTOPSIG(*status);
	if (!WIFSTOPPED(*status)) {
		forget(stops_find(thread));
		forget_process(thread); /* a process's first thread ends last */
		return true;
	}
	switch (event) {
	case PTRACE_EVENT_SECCOMP:
		take_call(thread);
		return false;
	case PTRACE_EVENT_STOP:
		*status &= 0xffff;
		return group_stopped(thread, signal_number);
	case PTRACE_EVENT_EXEC:
		executed(thread);
		return true;
	case 0:
		if (signal_number == SYSTEM_CALL_STOP)
			call_is_over(thread);
		else
			resume(PTRACE_CONT, thread, signal_number);
		return false;
	default: /* it has started a thread or a process, which is traced, too */
		resume(PTRACE_CONT, thread, 0);
		return false;
	}
}

pid_t stops_wait(int *status)
{
	for (;;) {
		pid_t thread = later_count ? take_later(status) : waitpid(-1, status, __WALL | WNOHANG);
		if (thread <= 0)
			return thread;
		if (handle(thread, status))
			return thread;
	}
}
