/* SPDX-License-Identifier: MIT */
#include "mechanism.h"

#include <errno.h>
#include <sys/uio.h>

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
	return got >= 0 ? EFAULT : errno;
}

int call_read(const struct call *call, uint64_t address, void *to, size_t size)
{
	struct iovec here = {to, size}, there = {(void *)(uintptr_t)address, size};
	return size ? moved(process_vm_readv(call->thread, &here, 1, &there, 1, 0), size) : 0;
}

int call_write(const struct call *call, uint64_t address, const void *from, size_t size)
{
	struct iovec here = {(void *)(uintptr_t)from, size}, there = {(void *)(uintptr_t)address, size};
	return size ? moved(process_vm_writev(call->thread, &here, 1, &there, 1, 0), size) : 0;
}
