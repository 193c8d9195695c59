/* SPDX-License-Identifier: MIT */
#include "core/shim.h"
#include "environment.h"
#include "outsider.h"
#include "socket/stream.h"
#include "socket/stream_end.h"
#include "state/fd.h"
#include "system/cancel.h"
#include "system/libc.h"
#include "system/log.h"
#include "system/supervised.h"
#include "transport/ports.h"
#include "transport/transport.h"

#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

/* A program must not run with half a map, or none where there should be one. */
static void refuse(const char *message)
{
	ssize_t written = write(STDERR_FILENO, message, strlen(message));
	(void)written;
	_exit(EXIT_REFUSED);
}

/* A Go program calls the kernel without libc: loaded into it by the environment alone, the library would see
 * none of its connections, and they would go over IP. */
static void refuse_go(void)
{
	refuse("ip2vsock: this is a Go program, which calls the kernel without libc, so a preloaded "
	       "library sees none of its connections: start it by the ip2vsock command, which supervises "
	       "it\n");
}

__attribute__((constructor)) static void start(void)
{
	if (getauxval(AT_SECURE)) /* the environment is that of somebody with less rights (ld.so.preload
				     brought us in) */
		return;
	static char message[SETTINGS_MESSAGE];
	static struct settings settings;
	if (!settings_read(&settings, environ, message))
		refuse(message);
	libc_start();
	uint64_t identity;
	if (settings.map && supervised(&identity))
		return; /* what the map takes is taken outside, for all children too */
	if (settings.map && outsider_start())
		refuse_go();
	log_start(&settings);
	if (settings.follow)
		environment_start(environ);
	if (!settings.map)
		return;
	cancel_start();
	fd_start();
	stream_start();
	stream_end_start();
	transport_start(&settings);
	ports_start();
	if (!settings.log_path && (stream_is_tcp(STDERR_FILENO) || transport_of_fd(STDERR_FILENO)))
		log_limit = LOG_OFF; /* it is a connection (inetd): a message of ours would reach the peer */
	shim_start(&settings);
}
