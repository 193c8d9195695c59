# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# Sourced by what makes a Debian root or takes a package from another suite.

sites_of_apt() {
	# shellcheck disable=SC2016 # apt-get expands it
	apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian'
}

# debian_archive: prints where apt gets Debian on this machine. What is Debian stands in apt's lists, which may not be there yet.
debian_archive() {
	local sites
	sites=$(sites_of_apt)
	[ -n "$sites" ] || { apt-get -qq update >&2 && sites=$(sites_of_apt); }
	[ -n "$sites" ] || { echo "apt's sources on this machine name no Debian archive" >&2 && return 1; }
	echo "${sites%%$'\n'*}"
}

# unpack_packages DIRECTORY ARCHITECTURE PACKAGE...: Debian's packages for another machine, and what they depend on, unpacked there.
unpack_packages() {
	local suite # without its security updates, which are at times newer than their list
	[ ! -e "$1/complete" ] || return 0
	rm -rf "$1"
	mkdir -p "${1%/*}"
	# shellcheck source=/dev/null
	suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
	mmdebstrap --quiet --mode=root --variant=extract --architectures="$2" --include="$(IFS=, && echo "${*:3}")" "$suite" "$1" \
		"$(debian_archive)" && touch "$1/complete"
}
