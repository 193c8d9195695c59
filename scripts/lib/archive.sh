# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# Sourced by what makes a Debian root or takes a package from another suite.

# debian_archive: prints where apt gets Debian on this machine.
debian_archive() {
	local site
	# shellcheck disable=SC2016 # apt-get expands it
	site=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' | head -n 1)
	[ -n "$site" ] || { echo "apt's sources on this machine name no Debian archive; apt-get update may help" >&2 && return 1; }
	echo "$site"
}
