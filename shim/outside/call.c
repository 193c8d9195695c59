/* SPDX-License-Identifier: MIT */
#include "mechanism.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/uio.h>
#include <unistd.h>

const struct mechanism *mechanism = &notified;

bool call_is_sure(void)
{
	return mechanism == &traced;
}

void call_settle(void)
{
	if (mechanism->settle)
		mechanism->settle();
}

bool call_receive(struct call *call)
{
	return mechanism->receive(call);
}

bool call_is_there(const struct call *call)
{
	return call->id && mechanism->is_there(call);
}

bool call_answer(struct call *call, int64_t value, int error)
{
	bool heard = call->id && mechanism->answer(call, value, error);
	call->id = 0;
	return heard;
}

bool call_pass(struct call *call)
{
	bool heard = call->id && mechanism->pass(call);
	call->id = 0;
	return heard;
}

int call_put(const struct call *call, int number, int fd, bool close_on_exec)
{
	return call->id ? mechanism->put(call, number, fd, close_on_exec) : ENOENT;
}

int call_give(struct call *call, int fd, bool close_on_exec)
{
	int error = call->id ? mechanism->give(call, fd, close_on_exec) : ENOENT;
	if (!error)
		call->id = 0;
	return error;
}

int call_take_back(const struct call *call)
{
	return mechanism->take_back ? mechanism->take_back(call) : -1;
}

/* The kernel stops at a page that isn't mapped; its own copies are complete or fail. */
static int moved(ssize_t got, size_t size)
{
	if (got == (ssize_t)size)
		return 0;
	return got >= 0 || errno == EIO ? EFAULT : errno;
}

/* A kernel may have no process_vm_readv(2): CONFIG_CROSS_MEMORY_ATTACH. */
static ssize_t move_by_file(pid_t thread, uint64_t address, const struct iovec *here, bool writes)
{
	char path[32];
	snprintf(path, sizeof path, "/proc/%d/mem", thread);
	int file = open(path, (writes ? O_WRONLY : O_RDONLY) | O_CLOEXEC);
	if (file < 0)
		return -1;
	ssize_t got = writes ? pwrite(file, here->iov_base, here->iov_len, (off_t)address)
			     : pread(file, here->iov_base, here->iov_len, (off_t)address);
	int error = errno;
	close(file);
	errno = error;
	return got;
}

static int move(pid_t thread, uint64_t address, void *bytes, size_t size, bool writes)
{
	struct iovec here = {bytes, size}, there = {(void *)(uintptr_t)address, size};
	ssize_t got = writes ? process_vm_writev(thread, &here, 1, &there, 1, 0)
			     : process_vm_readv(thread, &here, 1, &there, 1, 0);
	if (got < 0 && errno == ENOSYS)
		got = move_by_file(thread, address, &here, writes);
	return moved(got, size);
}

int call_read(const struct call *call, uint64_t address, void *to, size_t size)
{
	return size ? move(call->thread, address, to, size, false) : 0;
}

int call_write(const struct call *call, uint64_t address, const void *from, size_t size)
{
	return size ? move(call->thread, address, (void *)(uintptr_t)from, size, true) : 0;
}
