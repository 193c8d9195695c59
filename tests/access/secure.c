/* SPDX-License-Identifier: MIT */
/* Linked with the library, and made set-user-ID by run: connects to 127.0.0.1:9000 and says how that ended.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

int main(void)
{
	struct sockaddr_in name = {
		.sin_family = AF_INET, .sin_port = htons(9000), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	puts(connect(fd, (struct sockaddr *)&name, sizeof name) < 0 ? strerrorname_np(errno) : "through");
	return 0;
}
