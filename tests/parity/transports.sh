# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What `run` and `random_walk` share: where the binary and the library are, and how a command is run on a transport.
# Sourced with $here set; uses $binary, $library (may be given) and $state, a directory of its own.

# shellcheck source=../guard/guard.sh source-path=SCRIPTDIR
. "${BASH_SOURCE%/*}/../guard/guard.sh"

say() { printf '%s\n' "$*"; }
fail() {
	printf 'parity: %s\n' "$*" >&2
	exit 2
}

# Is this kernel VERSION or older?
older_than() { [ "$(printf '%s.9999\n%s\n' "$1" "$(uname -r)" | sort -V | tail -n 1)" = "$1.9999" ]; }

# Everything of a run lies in one directory that anybody may enter: cases drop their privileges.
state=$(mktemp -d)
trap 'rm -rf "$state"' EXIT
chmod 755 "$state"

# shellcheck disable=SC2154
find_binary() {
	[ -z "$binary" ] || return 0
	binary=$state/parity
	"${CC:-cc}" -std=gnu11 -D_GNU_SOURCE -O1 -g -Wall -Wextra ${link:+"$link"} -o "$binary" "$here"/*.c -lpthread
}

find_library() {
	local top
	top=$(cd "$here/../.." && pwd)
	if [ -z "$library" ]; then
		for library in "$PWD/.libs/libip2vsock.so" "$top/.libs/libip2vsock.so" "$top/build/.libs/libip2vsock.so"; do
			[ -e "$library" ] && break
		done
	fi
	[ -e "$library" ] || fail "no library at $library: build it first, or say --library FILE"
	library=$(realpath "$library")
}

# shellcheck disable=SC2154
build_bare() { "${CC:-cc}" -shared -fPIC -O1 -Wall -Wextra -o "$state/bare.so" "$here/bare/bare.c"; }

# What greets, and the kernel of the guest that is reached so: tests/parity/greeting.
build_greeting() {
	[ ! -e "$state/guest.so" ] || return 0
	"${CC:-cc}" -std=gnu11 -O1 -Wall -Wextra -o "$state/multiplexer" "$here/greeting/multiplexer.c" -lpthread
	"${CC:-cc}" -std=gnu11 -shared -fPIC -O1 -Wall -Wextra -o "$state/guest.so" "$here/greeting/guest.c" -ldl
}

# A kernel of whose AF_VSOCK nothing comes back: tests/parity/door.
build_door() {
	[ -e "$state/unlooped.so" ] || "${CC:-cc}" -std=gnu11 -shared -fPIC -O1 -Wall -Wextra -o "$state/unlooped.so" "$here/door/unlooped.c" -ldl
}

# Without the loopback transport AF_VSOCK reaches whoever runs this machine.
# PARITY_OWN_CID: in a bed whose kernel loops its own CID instead, before Linux 5.6.
needs_loopback() {
	[ -z "${PARITY_OWN_CID:-}" ] || return 0
	"$binary" --have-vsock-loopback || fail "this kernel has no vsock loopback: run this in the bed (tests/bed/with-vsock)"
}

# A network namespace of its own, so that nothing else takes ports or sends packets.
own_network() { unshare -n -- sh -c 'ip link set lo up && exec "$@"' sh "$@"; }

# slow_peer() of the suite listens late on the first ports. Those that the walk chooses itself are others to the carrier.
# Everything else goes to the same machine.
map='connect *:7000-7999 = local:* retry=5s
connect *:20000-20001 = local:30000-30001
listen *:20000-20001 = any:30000-30001
connect *:* = local:*
listen *:* = any:*'

# own_cids: emulated ones, for this command alone, in the directory $emulated.
own_cids() {
	find_library
	emulated=$(mktemp -d "$state/cids.XXXXXX")
	chmod 1777 "$emulated"
}

# PARITY_RUNTIME: a sanitizer's, which must stand before the library.
# PARITY_KERNEL: what answers for the kernel, behind the library or to the supervisor.
through() { # TRANSPORT COMMAND...
	local transport=$1 emulated
	shift
	case $transport in
	oracle) own_network env ${PARITY_KERNEL:+LD_PRELOAD="$PARITY_KERNEL"} "$@" ;;
	bare)
		needs_loopback
		own_network env LD_PRELOAD="$state/bare.so" "$@"
		;;
	emulated)
		own_cids
		own_network env LD_PRELOAD="${PARITY_RUNTIME:+$PARITY_RUNTIME:}$library${PARITY_KERNEL:+:$PARITY_KERNEL}" IP2VSOCK_MAP="$map" IP2VSOCK_TRANSPORT="unix:$emulated" \
			PARITY_MAPPED=1 "$@"
		;;
	greeting)
		own_cids
		build_greeting
		own_network "$state/multiplexer" "$emulated.multiplexer" "$emulated" env \
			LD_PRELOAD="${PARITY_RUNTIME:+$PARITY_RUNTIME:}$library:$state/guest.so" \
			IP2VSOCK_MAP="${map//local:/firecracker:$emulated.multiplexer:}" IP2VSOCK_TRANSPORT="unix:$emulated" PARITY_MAPPED=1 \
			PARITY_GREETINGS=1 "$@"
		;;
	supervised | traced)
		own_cids
		local without=()
		[ "$transport" = supervised ] || without=("$here/../guard/refuse" new-calls)
		own_network env ${PARITY_KERNEL:+LD_PRELOAD="$PARITY_KERNEL"} IP2VSOCK_MAP="$map" IP2VSOCK_TRANSPORT="unix:$emulated" PARITY_MAPPED=1 \
			${without[@]+"${without[@]}"} "${library%/.libs/*}/ip2vsock" --outside -- "$@"
		;;
	vsock)
		needs_loopback
		find_library
		own_network env LD_PRELOAD="${PARITY_RUNTIME:+$PARITY_RUNTIME:}$library" IP2VSOCK_MAP="$map" PARITY_MAPPED=1 "$@"
		;;
	door)
		needs_loopback # what is sent to CID 1 in spite of all stays in the bed
		find_library
		build_door
		own_network env LD_PRELOAD="${PARITY_RUNTIME:+$PARITY_RUNTIME:}$library:$state/unlooped.so" UNLOOPED_LEFT="$state/left" \
			IP2VSOCK_MAP="$map" PARITY_MAPPED=1 "$@"
		;;
	*) fail "unknown transport $transport: emulated, greeting, vsock, door, oracle or bare" ;;
	esac
}
