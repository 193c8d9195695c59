/* SPDX-License-Identifier: MIT */
/* vfork() returns twice on one stack, so it can't be wrapped in C. The child shares our memory but not our fds: while it
 * runs, in_vfork_child makes the table stay as it is. The flag is the thread's, and the thread sleeps until
 * its child is gone. Where we have no code for the machine, vfork_fallback.c serves: POSIX lets vfork() be fork(). */
#if defined(__x86_64__)
	.text
	.globl vfork
	.type vfork, @function
vfork:
	.cfi_startproc
	endbr64
	popq %rdx /* the child's calls overwrite the stack: the return address is kept in a register */
	.cfi_adjust_cfa_offset -8
	.cfi_register %rip, %rdx
	movq in_vfork_child@gottpoff(%rip), %rsi
	incl %fs:(%rsi)
	movl $58, %eax
	syscall
	pushq %rdx
	.cfi_adjust_cfa_offset 8
	testq %rax, %rax
	jz 1f
	decl %fs:(%rsi)
	cmpq $-4095, %rax
	jae 2f
1:	ret
2:	movl %eax, %edi
	jmp vfork_failed
	.cfi_endproc
	.size vfork, . - vfork
#elif defined(__aarch64__)
	.text
	.globl vfork
	.type vfork, %function
vfork:
	.cfi_startproc
	mrs x9, tpidr_el0
	adrp x10, :gottprel:in_vfork_child
	ldr x10, [x10, #:gottprel_lo12:in_vfork_child]
	add x9, x9, x10
	ldr w10, [x9]
	add w10, w10, #1
	str w10, [x9]
	mov x0, #0x4111 /* CLONE_VM | CLONE_VFORK | SIGCHLD */
	mov x1, #0
	mov x8, #220 /* clone */
	svc #0
	cbz x0, 1f
	ldr w10, [x9]
	sub w10, w10, #1
	str w10, [x9]
	cmn x0, #4095
	b.cs 2f
1:	ret
2:	b vfork_failed
	.cfi_endproc
	.size vfork, . - vfork
#elif defined(__i386__)
	.text
	.globl vfork
	.type vfork, @function
vfork:
	.cfi_startproc
	call 1f
1:	popl %edx
	addl $_GLOBAL_OFFSET_TABLE_ + (. - 1b), %edx
	movl in_vfork_child@gotntpoff(%edx), %edx
	incl %gs:(%edx)
	popl %ecx /* the return address */
	.cfi_adjust_cfa_offset -4
	.cfi_register %eip, %ecx
	movl $190, %eax
	int $0x80
	pushl %ecx
	.cfi_adjust_cfa_offset 4
	testl %eax, %eax
	jz 2f
	decl %gs:(%edx)
	cmpl $-4095, %eax
	jae 3f
2:	ret
3:	pushl %eax
	.cfi_adjust_cfa_offset 4
	call vfork_failed
	addl $4, %esp
	.cfi_adjust_cfa_offset -4
	ret
	.cfi_endproc
	.size vfork, . - vfork
#elif defined(__arm__) && __ARM_ARCH >= 7
	.syntax unified
	.arm
	.text
	.globl vfork
	.type vfork, %function
vfork:
	mrc p15, 0, r1, c13, c0, 3 /* the thread pointer */
	ldr r2, 3f
1:	add r2, pc, r2
	ldr r2, [r2]
	add r1, r1, r2
	ldr r2, [r1]
	add r2, r2, #1
	str r2, [r1]
	mov r3, r7 /* the child shares our stack, but not our registers */
	mov r7, #190
	svc #0
	mov r7, r3
	cmp r0, #0
	bxeq lr
	ldr r2, [r1]
	sub r2, r2, #1
	str r2, [r1]
	cmn r0, #4096
	bls 2f
	b vfork_failed
2:	bx lr
3:	.word in_vfork_child(gottpoff) + (. - 1b - 8)
	.size vfork, . - vfork
#endif
	.section .note.GNU-stack, "", %progbits
