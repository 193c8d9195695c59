/* SPDX-License-Identifier: MIT */
/* memory SIZES CYCLES: what a mapped connection costs in this process's memory. Opens pairs of connected fds
 * (a client's and an accepted one), as many fds as each of the comma-separated SIZES says, one size after the
 * other and all closed in between, and then CYCLES connections one at a time. The program touches no new
 * memory by itself, so what its resident memory grows by is the library's. Prints "CASE WAY BYTES" with tabs
 * between.
 *
 * The map takes 127.0.0.1. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PORT = 7000, LIMIT = 1 << 17 };
static int fds[LIMIT], listener;

static void check(const char *what, long result)
{
	if (result >= 0)
		return;
	fprintf(stderr, "memory: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Private_Dirty: exact, where VmRSS is a rough count; and it leaves out what comes from the page cache. */
static long memory(void)
{
	static char text[8192];
	int file = open("/proc/self/smaps_rollup", O_RDONLY);
	check("open /proc/self/smaps_rollup", file);
	ssize_t length = read(file, text, sizeof text - 1);
	check("read /proc/self/smaps_rollup", length);
	text[length] = '\0';
	close(file);
	const char *line = strstr(text, "Private_Dirty:");
	return line ? strtol(line + strlen("Private_Dirty:"), NULL, 10) * 1024 : -1;
}

static void open_pair(int pair[2])
{
	static const struct sockaddr_in address = {.sin_family = AF_INET,
		.sin_port = __builtin_bswap16(PORT),
		.sin_addr = {__builtin_bswap32(INADDR_LOOPBACK)}};
	pair[0] = socket(AF_INET, SOCK_STREAM, 0);
	check("socket", pair[0]);
	check("connect", connect(pair[0], (const struct sockaddr *)&address, sizeof address));
	pair[1] = accept(listener, NULL, NULL);
	check("accept", pair[1]);
}

static void open_and_close(int count)
{
	long before = memory();
	for (int i = 0; i < count; i += 2)
		open_pair(&fds[i]);
	long open_ = memory();
	for (int i = 0; i < count; i++)
		close(fds[i]);
	long closed = memory();
	printf("%d fds\topen, bytes an fd\t%.0f\n", count, (double)(open_ - before) / count);
	printf("%d fds\tclosed, bytes an fd\t%.0f\n", count, (double)(closed - before) / count);
}

int main(int count, char **arguments)
{
	if (count != 3)
		return 2;
	memset(fds, -1, sizeof fds);
	struct rlimit files;
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	check("setrlimit", setrlimit(RLIMIT_NOFILE, &files));
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	listener = socket(AF_INET, SOCK_STREAM, 0);
	check("bind", bind(listener, (struct sockaddr *)&address, sizeof address));
	check("listen", listen(listener, 16));
	open_pair(fds);
	close(fds[0]);
	close(fds[1]);
	static char buffer[BUFSIZ];
	setvbuf(stdout, buffer, _IOLBF, sizeof buffer);
	memset(buffer, 1, sizeof buffer);
	memory();

	for (char *size = strtok(arguments[1], ","); size; size = strtok(NULL, ","))
		open_and_close(atoi(size));
	long cycles = atol(arguments[2]), before = memory();
	if (!cycles)
		return 0;
	for (long i = 0; i < cycles; i++) {
		open_pair(fds);
		close(fds[0]);
		close(fds[1]);
	}
	printf("%ld connections, one at a time\tgrowth\t%ld\n", cycles, memory() - before);
	return 0;
}
