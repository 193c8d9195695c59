# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# Sourced by the benches that talk over AF_VSOCK: the same server, reached in several ways.
#   ip2vsock  server and client are TCP programs, both under ip2vsock
#   ip2vsock-4M  the same with buffer=4M
#   vsock     both speak AF_VSOCK by themselves
#   relay     TCP programs with a socat at each end, which relays between TCP and AF_VSOCK
#   tcp       TCP loopback
# A bench defines `server ADDRESS PORT WAY`, which becomes the server, and `drive BED WAY...`, which measures. It runs on one
# kernel, "bed", "bed_newer" or "newer", or on two, "enclave" or "enclave_newer", where the server's end has the CID 16 and there is no TCP
# between them.
# shellcheck disable=SC2034,SC2153,SC2154 # variables of the benches

declare -A first_port=([tcp]=7000 [ip2vsock]=7100 [relay]=7200 [vsock]=7300 [ip2vsock-4M]=7400)
cid=1
work=$(mktemp -d "${TMPDIR:-/tmp}/bench.XXXXXX")
children=()
trap 'kill "${children[@]}" 2>/dev/null || true; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# port WAY [N]: of the bench's Nth server
port() {
	echo $((${first_port[$1]} + ${2:-0}))
}

address() {
	if [ "$1" = vsock ]; then
		echo "vsock:$cid"
	else
		echo 127.0.0.1
	fi
}

# through WAY COMMAND...: runs a client, or a server, that way
through() {
	local way=$1
	shift
	case $way in
	ip2vsock) IP2VSOCK_MAP="127.0.0.1:7100-7199=$cid:*, listen *:7100-7199=any:*" LD_PRELOAD=$library "$@" ;;
	ip2vsock-4M)
		IP2VSOCK_MAP="127.0.0.1:7400-7499=$cid:* buffer=4M, listen *:7400-7499=any:* buffer=4M" LD_PRELOAD=$library "$@"
		;;
	*) "$@" ;;
	esac
}

background() {
	"$@" >>"$work/log" 2>&1 &
	children+=($!)
}

# relay FROM TO: forever, a process for each connection. -t: a half-closed connection lives on.
relay() {
	background exec socat -t 600 "$1,fork,${3:+$3,}backlog=200" "$2"
}

# serve WAY... -- N...: starts the servers of these numbers, each reached in these ways
serve() {
	local ways=() way n
	while [ "$1" != -- ]; do
		ways+=("$1")
		shift
	done
	shift
	for n in "$@"; do
		for way in "${ways[@]}"; do
			case $way in
			relay)
				relay "VSOCK-LISTEN:$(port relay "$n")" "TCP:127.0.0.1:$(port tcp "$n")"
				;;
			vsock) background server vsock:4294967295 "$(port vsock "$n")" vsock ;;
			*) background through "$way" server 127.0.0.1 "$(port "$way" "$n")" "$way" ;;
			esac
		done
	done
}

# reach WAY... -- N...: the client's end of it; returns when all servers answer
reach() {
	local ways=() way n
	while [ "$1" != -- ]; do
		ways+=("$1")
		shift
	done
	shift
	for n in "$@"; do
		for way in "${ways[@]}"; do
			if [ "$way" = relay ]; then
				relay "TCP-LISTEN:$(port relay "$n")" "VSOCK-CONNECT:$cid:$(port relay "$n")" reuseaddr,bind=127.0.0.1
			fi
			await "$way" "$n"
		done
	done
}

await() {
	local until=$((SECONDS + 120)) where=vsock:$cid
	[ "$1" != tcp ] || where=127.0.0.1
	while ((SECONDS < until)); do
		! "$programs/stream" reach "$where" "$(port "$1" "$2")" 2>/dev/null || return 0
		sleep 0.2
	done
	fail "no server answers at $where, port $(port "$1" "$2")"
}

# ask WAY N QUESTION: the server's answer, on a connection that needs no ip2vsock
ask() {
	local where=vsock:$cid
	[ "$1" != tcp ] || where=127.0.0.1
	"$programs/stream" ask "$where" "$(port "$1" "$2")" "$3"
}

# until_connected WAY COUNT...: waits until the server has one of these numbers of connections
until_connected() {
	local way=$1 until=$((SECONDS + 120)) connections=none
	shift
	while ((SECONDS < until)); do
		read -r connections _ < <(counters "$way")
		for count; do
			[ "$connections" != "$count" ] || return 0
		done
		sleep 0.1
	done
	fail "$way: the server has $connections connections, not $*"
}

# clients SERVER ARG... -- WAY...: starts `stream ARG...` for each way, all of which then wait for their turns
declare -A turn=() answer=()
clients() {
	local n=$1 arguments=() way to from
	shift
	while [ "$1" != -- ]; do
		arguments+=("$1")
		shift
	done
	shift
	for way; do
		mkfifo "$work/turn.$way" "$work/answer.$way"
		through "$way" "$programs/stream" "${arguments[0]}" "$(address "$way")" "$(port "$way" "$n")" "${arguments[@]:1}" \
			<"$work/turn.$way" >"$work/answer.$way" 2>>"$work/log" &
		children+=($!)
	done
	for way; do
		exec {to}>"$work/turn.$way" {from}<"$work/answer.$way"
		turn[$way]=$to answer[$way]=$from
		rm "$work/turn.$way" "$work/answer.$way"
	done
}

# take_turn BED CASE WAY: the second figure of an answer is how often the sender waited
take_turn() {
	local value waits
	echo >&"${turn[$3]}"
	read -r -t 120 value waits <&"${answer[$3]}" || fail "$2, $3: the client ended, or has not answered for two minutes"
	sample "$1" "$2" "$3" "$value"
	[[ -z $waits || $2 != *', 65536' ]] || sample "$1" "the sender's waits a MB, 65536" "$3" "$waits"
}

# no_clients: ends them
no_clients() {
	local way to from
	for way in "${!turn[@]}"; do
		to=${turn[$way]} from=${answer[$way]}
		exec {to}>&- {from}<&-
	done
	turn=() answer=()
}

# rate WAY CONNECTIONS: requests a second, from the server's own counter, over SECONDS of the load's steady state.
# (What load generators print holds the time in which connections are made, which is long where a relay forks.)
rate() {
	local way=$1 before after began ended pid
	until_connected "$way" 0
	through "$way" load "$way" "$2" >/dev/null 2>>"$work/log" &
	pid=$!
	children+=("$pid")
	until_connected "$way" "$2" $(($2 + 1))
	sleep 0.3
	read -r _ before < <(counters "$way")
	began=${EPOCHREALTIME/./}
	sleep "$seconds"
	read -r _ after < <(counters "$way")
	ended=${EPOCHREALTIME/./}
	kill "$pid"
	wait "$pid" 2>/dev/null || true
	echo $(((after - before) * 1000000 / (ended - began)))
}

# measure_rates WHAT BED WAY...
measure_rates() {
	local what=$1 bed=$2 round connections way seconds=2
	shift 2
	[ "$bed" = bed ] || seconds=4 # of a slow machine
	for round in {1..5}; do
		for connections in 1 50; do
			for way in $(in_turn "$round" "$@"); do
				progress "${0##*/}, $bed: $connections connections, $way, round $round"
				sample "$bed" "$what, $connections" "$way" "$(rate "$way" $connections)"
			done
		done
	done
}

# run_network: what the bench was started for
run_network() {
	case ${1:-run} in
	run)
		in_bed bed
		[ -z "${BENCH_QUICK:-}" ] || return 0
		[ ${#NEWER_WAYS[@]} = 0 ] || { in_bed --user-mode "$newer" bed_newer && in_machine newer; }
		[ ${#ENCLAVE_WAYS[@]} = 0 ] || in_enclave enclave
		[ ${#NEWER_WAYS[@]} = 0 ] || in_enclave enclave_newer --kernel "$newer"
		;;
	bed | bed_newer | newer)
		[ "$1" = bed ] || WAYS=("${NEWER_WAYS[@]}")
		about "$1"
		serve "${WAYS[@]}" -- "${SERVERS[@]}"
		reach "${WAYS[@]}" -- "${SERVERS[@]}"
		drive "$1" "${WAYS[@]}"
		;;
	serve)
		ip link set lo up # for the relay
		serve "${ENCLAVE_WAYS[@]}" tcp -- "${SERVERS[@]}"
		wait
		;;
	drive)
		about "$2"
		cid=16
		reach "${ENCLAVE_WAYS[@]}" -- "${SERVERS[@]}"
		drive "$2" "${ENCLAVE_WAYS[@]}"
		;;
	esac
}
