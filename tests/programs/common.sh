# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# Sourced by every test. A test runs where there is no network, on one of two transports: emulated CIDs, where the
# server's side is CID 3 and the client's CID 16, or kernel vsock in the bed, where both are CID 1.
# shellcheck disable=SC2034 # variables for the tests
set -euo pipefail
shopt -s inherit_errexit
set -E
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
unset "${!IP2VSOCK_@}" LD_PRELOAD PYTHONPATH http_proxy https_proxy no_proxy

transport=${transport:?start it with tests/programs/run --transport emulated|vsock NAME}
work=$(mktemp -d "${TMPDIR:-/tmp}/ip2vsock.XXXXXX")
chmod 711 "$work"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
pids=()

# How the client's address looks to a server, and the server's to itself.
if [ "$transport" = emulated ]; then
	server_cid=3 client_cid=16 client_address=100.64.0.16 server_address=100.64.0.3
	client_address6=fd76:736f:636b::10 server_address6=fd76:736f:636b::3
	mkdir -m 777 "$work/cids"
	export IP2VSOCK_TRANSPORT=unix:$work/cids
else
	server_cid=1 client_cid=1 client_address=127.0.0.1 server_address=127.0.0.1
	client_address6=::1 server_address6=::1
fi

# die WHY: the runner shows the first such line.
die() {
	echo "FAILED: $*" >&2
	exit 1
}

last_words() {
	local log
	for log in "$work"/*.log; do
		[ -s "$log" ] || continue
		echo "--- ${log##*/}"
		tail -n "${lines:-15}" "$log" | cut -c 1-300
	done
}

clean_up() {
	local status=$? pid
	trap - EXIT
	set +e
	[ $status = 0 ] || last_words
	for pid in "${pids[@]}"; do
		end "$pid" TERM
	done
	rm -rf "$work"
	exit $status
}
trap clean_up EXIT
trap 'exit 1' TERM INT HUP
# The test's own line, in whatever function it failed.
failed() {
	local line=${BASH_LINENO[-2]}
	echo "FAILED: line $line: $(sed -n "$line{s/^\t*//;p}" "$0")" >&2
}
trap failed ERR

need() {
	local program
	for program in "$@"; do
		type "$program" >/dev/null 2>&1 || die "$program is not installed: scripts/check programs installs it"
	done
}

# no_more_than SECONDS COMMAND...: tries until COMMAND succeeds.
no_more_than() {
	local until=$((SECONDS + $1))
	shift
	while ! "$@" >/dev/null 2>&1; do
		((SECONDS < until)) || return 1
		sleep 0.1
	done
}

gone() {
	! kill -0 "$1" 2>/dev/null
}

# end PID [SIGNAL]: sends it and waits until the process has ended; at last with KILL.
end() {
	kill -s "${2:-TERM}" "$1" 2>/dev/null || return 0
	no_more_than 10 gone "$1" || kill -s KILL "$1"
}

# under CID RULE... -- COMMAND...: sets `command` to COMMAND under ip2vsock as the end with that CID.
under() {
	command=("$ip2vsock")
	[ "$transport" = vsock ] || command=(env IP2VSOCK_CID="$1" "$ip2vsock")
	while [ "$2" != -- ]; do
		command+=(-m "$2")
		shift
	done
	command+=("${@:2}")
}

# client RULE... -- COMMAND...: runs it, for $limit seconds at most (a minute).
client() {
	local command
	under "$client_cid" "$@"
	timeout --kill-after=5 "${limit:-60}" "${command[@]}"
}

# start NAME [server|client RULE... --] COMMAND...: in the background; `pid` is its process, $work/NAME.log what it says.
start() {
	local name=$1 command=("${@:2}")
	: >>"$work/$name.log"
	case $2 in
	server) under "$server_cid" "${@:3}" ;;
	client) under "$client_cid" "${@:3}" ;;
	esac
	"${command[@]}" </dev/null >>"$work/$name.log" 2>&1 &
	pid=$!
	pids=("$pid" "${pids[@]}")
}

# says NAME PATTERN: waits until the started program of that name, which must be the last one, has said PATTERN.
says() {
	local until=$((SECONDS + 30))
	until grep -qE -- "$2" "$work/$1.log"; do
		if gone "$pid"; then
			grep -qE -- "$2" "$work/$1.log" && return
			die "$1 ended before it said '$2'"
		fi
		((SECONDS < until)) || die "$1 didn't say '$2' in 30 s"
		sleep 0.1
	done
}

# expect WHAT GOT PATTERN: a bash pattern.
expect() {
	# shellcheck disable=SC2053 # a pattern
	[[ $2 == $3 ]] || die "$1: '$2', expected '$3'"
}

# Files for a server in $work/pages: index.html, and big, some MiB that are like no others.
make_pages() {
	mkdir -p "$work/pages"
	echo "<h1>page</h1>" >"$work/pages/index.html"
	head -c 3M /dev/urandom >"$work/pages/big"
	chmod -R a+rX "$work/pages"
}

fetch() {
	client "$1" -- curl --silent --show-error --fail --max-time 30 "${@:2}"
}

# same FILE...: all have the same bytes. One process, since in the bed each takes its time.
same() {
	[ "$(sha256sum -- "$@" | cut -d ' ' -f 1 | uniq | wc -l)" = 1 ] || die "not the same bytes: $*"
}

# check_pages RULE URL: what a web server does for curl: a page, a large file, 20 at the same time.
check_pages() {
	fetch "$1" --output "$work/index" "$2/"
	same "$work/index" "$work/pages/index.html"
	fetch "$1" --parallel --parallel-immediate --parallel-max 20 --no-progress-meter --output "$work/got.#1" "$2/big?[1-20]"
	same "$work/pages/big" "$work"/got.{1..20}
	rm "$work"/index "$work"/got.*
}

# load RULE URL COUNT: starts requests.py for all pages; it goes on until check_load, which fails if a request was lost.
load() {
	rm -f "$work/enough"
	: >"$work/load.log"
	start load client "$1" -- timeout 100 python3 "$here/requests.py" "$2" "$work/pages" "$3" "$work/enough"
	load=$pid
}

check_load() {
	touch "$work/enough"
	pid=$load
	says load ' in all'
	wait "$load" || die "$(tail -n 1 "$work/load.log")"
}

[[ $( (: </dev/tcp/127.0.0.1/1) 2>&1 || true) == *'Network is unreachable'* ]] || die 'there is a network here'
