/* SPDX-License-Identifier: MIT */
#include "protocol.h"

#include "datagram.h"
#include "nameserver.h"

const struct protocol protocol_tcp = {
	.type = SOCK_STREAM,
	.number = IPPROTO_TCP,
	.has_end = true,
	.connect = stream_connect,
	.listen = stream_listen,
	.recv = stream_recv,
	.recvfrom = stream_recvfrom,
	.recvmsg = stream_recvmsg,
	.recvmmsg = stream_recvmmsg,
	.query = nameserver_query_stream,
	.query_end = nameserver_end_stream,
};

const struct protocol protocol_udp = {
	.type = SOCK_DGRAM,
	.number = IPPROTO_UDP,
	.has_end = false,
	.connect = datagram_connect,
	.listen = datagram_listen,
	.recv = datagram_recv,
	.recvfrom = datagram_recvfrom,
	.recvmsg = datagram_recvmsg,
	.recvmmsg = datagram_recvmmsg,
	.query = nameserver_query_datagram,
	.query_end = nameserver_end_datagram,
};
