# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# Sourced by the tests of this directory, which run packaged Go programs, unmodified and supervised.
# shellcheck source=../../programs/common.sh source-path=SCRIPTDIR
. "${BASH_SOURCE%/*}/../../programs/common.sh"
# shellcheck disable=SC2034 # for the tests
names='*:53=names' # Go's own resolver asks a name server

# This network namespace's kernel has opened no TCP connection, has no TCP or UDP socket that listens, and hasn't been asked
# to send one packet over IP.
nothing_over_ip() {
	local sockets
	sockets=$(cat /proc/net/{tcp,udp}{,6} | grep -v '^ *sl ' || true)
	expect "IP's sockets" "$sockets" ''
	expect "what was sent over IP" "$(python3 -c '
counts = {}
for file in "/proc/net/snmp", "/proc/net/snmp6":
    lines = [line.split() for line in open(file)]
    if file.endswith("6"):
        counts.update((name, int(count)) for name, count in lines)
        continue
    for names, values in zip(lines[::2], lines[1::2]):
        counts.update((names[0] + name, int(count)) for name, count in zip(names[1:], values[1:]))
watched = "Tcp:ActiveOpens", "Tcp:PassiveOpens", "Tcp:OutSegs", "Udp:OutDatagrams", "Udp6OutDatagrams", "Ip:OutRequests", "Ip6OutRequests"
print(*("%s=%d" % (name, counts[name]) for name in watched if counts[name]))')" ''
}
