/* SPDX-License-Identifier: MIT */
#include "unread.h"

#include "libc.h"

#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* Kernels that can't count it for AF_VSOCK (before 6.18) are asked by peeking into one page repeatedly. */
static int peeked_bytes(int fd)
{
	enum { PAGES = 64 };
	static char scratch[1 << 20]; /* never read */
	struct iovec pages[PAGES];
	for (int i = 0; i < PAGES; i++)
		pages[i] = (struct iovec){scratch, sizeof scratch};
	struct msghdr peek = {.msg_iov = pages, .msg_iovlen = PAGES};
	return (int)libc.recvmsg(fd, &peek, MSG_PEEK | MSG_DONTWAIT);
}

int unread_bytes(int fd)
{
	int count;
	return libc.ioctl(fd, FIONREAD, &count) == 0 ? count : peeked_bytes(fd);
}
