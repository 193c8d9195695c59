# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# Sourced by every test. A test runs where there is no network, on one of two transports: emulated CIDs, where the
# server's side is CID 3 and the client's CID 16, or kernel vsock in the bed, where both are CID 1.
# shellcheck disable=SC2034 # variables for the tests
set -euo pipefail
# shellcheck source=../guard/guard.sh source-path=SCRIPTDIR
. "${BASH_SOURCE%/*}/../guard/guard.sh"
shopt -s inherit_errexit
set -E
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
unset "${!IP2VSOCK_@}" LD_PRELOAD PYTHONPATH {http,https,all,no}_proxy {HTTP,HTTPS,ALL,NO}_PROXY

transport=${transport:?start it with tests/programs/run --transport emulated|vsock NAME}
together=${together:?start it with tests/programs/run}
work=$(mktemp -d "${TMPDIR:-/tmp}/ip2vsock.XXXXXX")
chmod 711 "$work"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
pids=()
declare -A pid_of=()
exec {never}<> <(:) # nothing ever comes

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
# The test's own line, in whatever function it failed, or waited when the runner's time was over.
failed() {
	local line=${BASH_LINENO[-2]}
	echo "FAILED: line $line: $(sed -n "$line{s/^\t*//;p}" "$0")" >&2
}
trap failed ERR
trap 'failed; exit 1' TERM INT HUP

need() {
	local program
	for program in "$@"; do
		type "$program" >/dev/null 2>&1 || die "$program is not installed: scripts/check programs installs it"
	done
}

# Waiting costs no process, since in the bed, with its one CPU, each takes time from the server that is waited for.
pause() {
	read -r -t 0.05 -u "$never" || true
}

# no_more_than SECONDS COMMAND...: tries until COMMAND succeeds.
no_more_than() {
	local until=$((SECONDS + $1))
	shift
	while ! "$@" >/dev/null 2>&1; do
		((SECONDS < until)) || return 1
		pause
	done
}

patience=800 # seconds: as long as anything may take on a slow machine, and less than what the whole test may

# wait_for WHAT COMMAND...: the same, with patience.
wait_for() {
	no_more_than $patience "${@:2}" || die "waited $patience s for $1"
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

# client RULE... -- COMMAND...: runs it.
client() {
	local command
	under "$client_cid" "$@"
	"${command[@]}"
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
	pid_of[$name]=$pid
}

# said FILE PATTERN [COUNT]: so many lines of the file in $work match the pattern, one at least.
said() {
	local lines=() line count=0
	[ ! -e "$work/$1" ] || mapfile -t lines <"$work/$1"
	for line in "${lines[@]}"; do
		[[ ! $line =~ $2 ]] || ((++count))
	done
	((count >= ${3:-1}))
}

# says NAME PATTERN [COUNT]: waits until the started program of that name has said it; it must not end before.
says() {
	local until=$((SECONDS + patience)) ended=no
	until said "$1.log" "${@:2}"; do
		[ $ended = no ] || die "$1 ended before it said '$2'"
		((SECONDS < until)) || die "$1 didn't say '$2'${3:+ $3 times} in $patience s"
		! gone "${pid_of[$1]}" || ended=yes
		[ $ended = yes ] || pause
	done
}

# expect WHAT GOT PATTERN: a bash pattern.
expect() {
	# shellcheck disable=SC2053 # a pattern
	[[ $2 == $3 ]] || die "$1: '$2', expected '$3'"
}

# once NAME COMMAND...: COMMAND makes $work/NAME, which takes long in the bed and is the same on each transport: so the
# test on the second uses what was made for the first.
once() {
	local kept=$together/${0##*/}-$1.tar
	if [ -e "$kept" ]; then
		tar -x -f "$kept" -C "$work"
		return
	fi
	"${@:2}"
	tar -c -f "$kept.$transport" -C "$work" "$1"
	mv "$kept.$transport" "$kept"
}

# certificate NAME: $work/NAME.pem and $work/NAME.key, for NAME.svc.
certificate() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "/CN=$1.svc" \
		-addext "subjectAltName=DNS:$1.svc" -keyout "$work/$1.key" -out "$work/$1.pem" 2>"$work/openssl-req.log"
}

# Files for a server in $work/pages: index.html, and big, some MiB that are like no others.
make_pages() {
	mkdir -p "$work/pages"
	echo "<h1>page</h1>" >"$work/pages/index.html"
	head -c 3M /dev/urandom >"$work/pages/big"
	chmod -R a+rX "$work/pages"
}

fetch() {
	client "$1" -- curl --silent --show-error --fail "${@:2}"
}

# same FILE...: all have the same bytes.
same() {
	local sum first=''
	if [ $# = 2 ]; then
		cmp "$@" || die "not the same bytes: $*"
		return
	fi
	while read -r sum _; do
		[ "$sum" = "${first:=$sum}" ] || die "not the same bytes: $*"
	done < <(sha256sum -- "$@" || echo none)
}

# check_pages RULE URL: what a web server does for curl: a page, and a large file, 20 at the same time.
check_pages() {
	fetch "$1" --parallel --parallel-immediate --parallel-max 21 --no-progress-meter --output "$work/index" "$2/" \
		--output "$work/got.#1" "$2/big?[1-20]"
	same "$work/index" "$work/pages/index.html"
	same "$work/pages/big" "$work"/got.{1..20}
	rm "$work"/index "$work"/got.*
}

# load RULE URL COUNT: starts requests.py for all pages; it goes on until check_load, which fails if a request was lost.
load() {
	rm -f "$work/enough"
	: >"$work/load.log"
	start load client "$1" -- python3 "$here/requests.py" "$2" "$work/pages" "$3" "$work/enough"
}

check_load() {
	: >"$work/enough"
	says load ' in all'
	wait "${pid_of[load]}" || die "$(tail -n 1 "$work/load.log")"
}

[[ $( (: </dev/tcp/127.0.0.1/1) 2>&1 || true) == *'Network is unreachable'* ]] || die 'there is a network here'
