# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# Sourced from the top of the tree: what scripts/check and scripts/demo do first.

say() {
	printf '%s: %s\n' "${0##*/}" "$*"
}

fail() {
	say "$@" >&2
	exit 1
}

# install_packages PACKAGE...: installs the Debian packages that are missing, and starts none of their services.
install_packages() {
	local missing=() package root=()
	if ! command -v dpkg-query >/dev/null; then
		say "this isn't Debian, so you see to it that there is what its packages hold: $*"
		return
	fi
	for package in "$@"; do
		[ "$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
			missing+=("$package")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	if [ "$(id -u)" != 0 ]; then
		root=(sudo)
		command -v sudo >/dev/null || fail "as root, install what is missing: apt-get install ${missing[*]}"
	fi
	say "installing with apt-get: ${missing[*]}"
	# shellcheck disable=SC2016
	"${root[@]}" env DEBIAN_FRONTEND=noninteractive bash -c '
		policy=/usr/sbin/policy-rc.d
		if [ ! -e $policy ]; then
			trap "rm -f $policy" EXIT
			printf "#!/bin/sh\nexit 101\n" >$policy # services: not allowed to start
			chmod +x $policy
		fi
		install="apt-get -qq -y --no-install-recommends -o DPkg::Lock::Timeout=300 install"
		$install "$@" >/dev/null 2>&1 || { apt-get -qq update && $install "$@" >/dev/null; }
	' apt "${missing[@]}" || fail "apt-get couldn't install ${missing[*]}"
	rm -f build/Makefile # configure looks again
}

# Builds in build/, so that the tree stays as it was cloned.
build() {
	say 'building in build/'
	mkdir -p build
	if [ ! -x configure ] && ! autoreconf -i >build/autoreconf.log 2>&1; then
		cat build/autoreconf.log
		return 1
	fi
	[ -e build/Makefile ] || (cd build && ../configure --quiet) || return 1
	make -C build --silent --jobs="$(nproc)"
}

# packages_of NAME...: the Debian packages of these lines of tests/parts.
packages_of() {
	local name
	for name in "$@"; do
		awk -v name="$name" '$1 == name { for (i = 3; i <= NF; i++) print $i }' tests/parts
	done
}
