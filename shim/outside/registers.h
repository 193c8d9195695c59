/* SPDX-License-Identifier: MIT */
/* The registers of a stopped thread that is in a system call: the call's number, its arguments and what it
 * returns. */
#ifndef IP2VSOCK_REGISTERS_H
#define IP2VSOCK_REGISTERS_H

#include "kernel.h"

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/user.h>

#ifndef NT_ARM_SYSTEM_CALL
#define NT_ARM_SYSTEM_CALL 0x404
#endif

enum { NO_CALL = -1, RESTART = 512 /* ERESTARTSYS: the kernel makes it EINTR, or makes the call again */ };

#if defined __x86_64__ && !defined __ILP32__
enum { INSTRUCTION = 2 };
/* As the kernel has them at the entry of a call; the instruction pointer is behind the instruction that made
 * it. */
struct registers {
	struct user_regs_struct user;
};

/* Not by register sets: User-Mode Linux has none. */
static inline bool registers_get(pid_t thread, struct registers *registers)
{
	return ptrace(PTRACE_GETREGS, thread, NULL, &registers->user) == 0;
}

static inline bool registers_set(pid_t thread, struct registers *registers)
{
	return ptrace(PTRACE_SETREGS, thread, NULL, &registers->user) == 0;
}

static inline uint64_t *registers_argument(struct registers *registers, int index)
{
	typeof(&registers->user.rdi) arguments[] = {&registers->user.rdi, &registers->user.rsi,
		&registers->user.rdx, &registers->user.r10, &registers->user.r8, &registers->user.r9};
	return (uint64_t *)arguments[index];
}

/* The number of the call that is about to be carried out; NO_CALL: none is. */
static inline int registers_call(pid_t thread, const struct registers *registers)
{
	(void)thread;
	return (int)registers->user.orig_rax;
}

static inline bool registers_set_call(pid_t thread, struct registers *registers, int number)
{
	(void)thread;
	registers->user.orig_rax = (uint64_t)(int64_t)number;
	return true;
}

/* After a call that a signal has ended: the kernel is to make this one again. */
static inline void registers_interrupt(struct registers *registers, int number)
{
	registers->user.rax = (uint64_t)-RESTART;
	registers->user.orig_rax = (uint64_t)number;
}

static inline int64_t registers_result(const struct registers *registers)
{
	return (int64_t)registers->user.rax;
}

static inline void registers_set_result(struct registers *registers, int64_t value)
{
	registers->user.rax = (uint64_t)value;
}

/* Makes the thread execute its system call instruction again, for this call. */
static inline bool registers_again(pid_t thread, struct registers *registers, int number)
{
	registers->user.rip -= INSTRUCTION;
	registers->user.rax = (uint64_t)number;
	return registers_set_call(thread, registers, NO_CALL);
}
#elif defined __aarch64__
enum { INSTRUCTION = 4 };
struct registers {
	struct user_regs_struct user;
};

static inline bool registers_get(pid_t thread, struct registers *registers)
{
	struct iovec part = {&registers->user, sizeof registers->user};
	return ptrace(PTRACE_GETREGSET, thread, NT_PRSTATUS, &part) == 0 &&
	       part.iov_len == sizeof registers->user;
}

static inline bool registers_set(pid_t thread, struct registers *registers)
{
	struct iovec part = {&registers->user, sizeof registers->user};
	return ptrace(PTRACE_SETREGSET, thread, NT_PRSTATUS, &part) == 0;
}

static inline uint64_t *registers_argument(struct registers *registers, int index)
{
	return (uint64_t *)&registers->user.regs[index];
}

static inline int registers_call(pid_t thread, const struct registers *registers)
{
	int number = NO_CALL;
	struct iovec part = {&number, sizeof number};
	(void)registers;
	return ptrace(PTRACE_GETREGSET, thread, NT_ARM_SYSTEM_CALL, &part) < 0 ? NO_CALL : number;
}

static inline bool registers_set_call(pid_t thread, struct registers *registers, int number)
{
	struct iovec part = {&number, sizeof number};
	(void)registers;
	return ptrace(PTRACE_SETREGSET, thread, NT_ARM_SYSTEM_CALL, &part) == 0;
}

/* x8 still has its number, and the kernel its first argument. */
static inline void registers_interrupt(struct registers *registers, int number)
{
	(void)number;
	registers->user.regs[0] = (uint64_t)-RESTART;
}

static inline int64_t registers_result(const struct registers *registers)
{
	return (int64_t)registers->user.regs[0];
}

static inline void registers_set_result(struct registers *registers, int64_t value)
{
	registers->user.regs[0] = (uint64_t)value;
}

static inline bool registers_again(pid_t thread, struct registers *registers, int number)
{
	registers->user.pc -= INSTRUCTION;
	registers->user.regs[8] = (uint64_t)number;
	return registers_set_call(thread, registers, NO_CALL);
}
#else
/* None: supervise() refuses to run a program. */
struct registers {
	char user;
};
static inline bool registers_get(pid_t thread, struct registers *registers)
{
	(void)thread;
	(void)registers;
	return false;
}
static inline bool registers_set(pid_t thread, struct registers *registers)
{
	(void)thread;
	(void)registers;
	return false;
}
static inline uint64_t *registers_argument(struct registers *registers, int index)
{
	static uint64_t none;
	(void)registers;
	(void)index;
	return &none;
}
static inline int registers_call(pid_t thread, const struct registers *registers)
{
	(void)thread;
	(void)registers;
	return NO_CALL;
}
static inline bool registers_set_call(pid_t thread, struct registers *registers, int number)
{
	(void)thread;
	(void)registers;
	(void)number;
	return false;
}
static inline void registers_interrupt(struct registers *registers, int number)
{
	(void)registers;
	(void)number;
}
static inline int64_t registers_result(const struct registers *registers)
{
	(void)registers;
	return -1;
}
static inline void registers_set_result(struct registers *registers, int64_t value)
{
	(void)registers;
	(void)value;
}
static inline bool registers_again(pid_t thread, struct registers *registers, int number)
{
	(void)thread;
	(void)registers;
	(void)number;
	return false;
}
#endif

#endif
