# shellcheck shell=bash disable=SC2034,SC2154
# SPDX-License-Identifier: MIT
# Sourced by the benches that have other preloaded libraries beside ours, from Debian's packages.

others=(proxychains4 torsocks libsocket_wrapper)
declare -A library_of environment_of=(
	[proxychains4]=PROXYCHAINS_QUIET_MODE=1
	[torsocks]=TORSOCKS_LOG_LEVEL=1
	[libsocket_wrapper]=SOCKET_WRAPPER_DIR=$work
)

# library_in PACKAGE NAME
library_in() {
	dpkg-query --listfiles "$1" | grep -m 1 "/$2\$" || fail "there is no $2 in the package $1"
}
if [ -n "${BENCH_COUNTS:-}" ]; then
	others=() # scripts/check costs: ours alone
else
	library_of[proxychains4]=$(library_in libproxychains4 libproxychains.so.4)
	library_of[torsocks]=$(library_in torsocks libtorsocks.so)
	library_of[libsocket_wrapper]=$(library_in libsocket-wrapper libsocket_wrapper.so)
fi

symbols_of() {
	nm -D --defined-only "$2" | sed 's/.* //; s/@.*//' >"$work/$1.symbols"
}
