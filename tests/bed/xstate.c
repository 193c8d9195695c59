/* User-Mode Linux 6.1 saves the FPU of the process it runs with PTRACE_GETREGSET/SETREGSET NT_X86_XSTATE
 * into a buffer sized for AVX-512. A CPU with AMX has a larger XSAVE area, and the host kernel then
 * refuses the short write with EFAULT ("ptrace set fp regs failed, errno = 14").
 * Preloaded into linux.uml, this reads the whole area first and writes the whole area back. */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { XSTATE_BV = 512, FITTING = 0x2e7 }; /* x87 SSE AVX AVX-512 PKRU; not the AMX tiles */
static unsigned char area[1 << 16];

long ptrace(enum __ptrace_request request, ...)
{
	va_list list;
	va_start(list, request);
	pid_t pid = va_arg(list, pid_t);
	void *addr = va_arg(list, void *);
	void *data = va_arg(list, void *);
	va_end(list);

	if (request > 0 && request < 4) { /* PEEK*: the raw system call stores the word, libc returns it */
		long word, r = syscall(SYS_ptrace, request, pid, addr, &word);
		if (r < 0)
			return r;
		errno = 0;
		return word;
	}
	if ((request != PTRACE_GETREGSET && request != PTRACE_SETREGSET) || (long)addr != NT_X86_XSTATE)
		return syscall(SYS_ptrace, request, pid, addr, data);

	struct iovec *asked = data, whole = {area, sizeof area};
	long r = syscall(SYS_ptrace, PTRACE_GETREGSET, pid, addr, &whole);
	if (r < 0)
		return r;
	if (whole.iov_len <= asked->iov_len)
		return syscall(SYS_ptrace, request, pid, addr, data);
	if (request == PTRACE_GETREGSET) {
		memcpy(asked->iov_base, area, asked->iov_len);
		return 0;
	}
	memcpy(area, asked->iov_base, asked->iov_len);
	uint64_t features;
	memcpy(&features, area + XSTATE_BV, sizeof features);
	features &= FITTING;
	memcpy(area + XSTATE_BV, &features, sizeof features);
	return syscall(SYS_ptrace, PTRACE_SETREGSET, pid, addr, &whole);
}
