# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# Sourced by the benches, which scripts/bench starts in the build directory. A bench prints its samples, one a line, and on
# stderr what it is doing. What is compared takes turns, round by round.
# shellcheck disable=SC2034 # variables for the benches

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
library=$PWD/.libs/libip2vsock.so
programs=$PWD/bench

# sample BED CASE WAY VALUE
sample() {
	[[ $4 =~ ^-?[0-9]+(\.[0-9]+)?$ ]] || fail "no figure for $2, $3: '$4'"
	printf '%s\t%s\t%s\t%s\n' "$@"
}

# about BED: which kernel this is, once a bed
about() {
	printf '%s\tkernel\t%s, %s CPU\n' "$1" "$(uname -r)" "$(nproc)"
}

progress() {
	if [ -n "${BENCH_TERMINAL:-}" ]; then # in a bed, stderr is no terminal
		printf '\r\e[K   %s ' "$*" >&2
	else
		printf '   %s\n' "$*" >&2
	fi
}

# callgrind FILE VARIABLE... -- COMMAND...: counts a command's instructions. valgrind's tools are static programs, which a
# preloaded library would have supervised, so they are started without their launcher, in which it would be.
callgrind() {
	local file=$1 variables=() tool
	declare -A machines=([x86_64]=amd64 [aarch64]=arm64)
	shift
	while [ "$1" != -- ]; do
		variables+=("$1")
		shift
	done
	tool=$(echo /usr/lib*/valgrind/callgrind-"${machines[$(uname -m)]}"-linux)
	env "${variables[@]}" VALGRIND_LAUNCHER=/usr/bin/valgrind "$tool" --tool=callgrind --callgrind-out-file="$file" "${@:2}"
}

# in_turn ROUND WAY...: the order of a round; every other one goes backwards, so that a drift favours nobody
in_turn() {
	local round=$1 way backwards=''
	shift
	for way; do
		backwards="$way $backwards"
	done
	if ((round % 2)); then
		echo "$*"
	else
		echo "$backwards"
	fi
}

fail() {
	[ ! -s "${work:-}/log" ] || tail -n 10 "$work/log" >&2
	printf '\n%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

# in_bed [--user-mode SUITE] ARG...: this bench again, with these arguments, on a kernel with real AF_VSOCK. User-Mode Linux has
# one CPU, but is a process for each of its own; on one CPU they take turns at once, and nothing else runs there if we may say so.
in_bed() {
	local first=(chrt --rr 1) which=()
	"${first[@]}" true 2>/dev/null || first=()
	[ "$1" != --user-mode ] || { which=("$1" "$2") && shift 2; }
	progress "booting the bed ${which[1]:-}"
	VSOCK_BED_SECONDS=1800 VSOCK_BED_MEMORY=4096 \
		"${first[@]}" taskset --cpu-list "$(last_cpu)" "$here/../bed/with-vsock" --ip "${which[@]}" "$0" "$@"
}

last_cpu() {
	local allowed
	allowed=$(taskset --cpu-list --pid $$)
	echo "${allowed##*[-, ]}"
}

newer=trixie # has Linux 6.12, since which the vsock buffer's size matters more

# in_machine ARG...: the same on that kernel under QEMU, which has two CPUs
in_machine() {
	progress "booting $newer under QEMU"
	VSOCK_BED_SECONDS=900 "$here/../bed/with-vsock" --ip --kernel "$newer" "$0" "$@"
}

# in_enclave BED [OPTION...]: the same on two kernels, the server's end in the enclave
in_enclave() {
	progress 'booting the enclave bed'
	ENCLAVE_BED_SECONDS=900 "$here/../enclave/with-enclave" --cpus 2 "${@:2}" "$0 drive $1" "$0 serve"
}
