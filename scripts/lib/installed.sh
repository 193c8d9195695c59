# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# Sourced by the tests that run programs as other users, who may not get to the build directory.

# install_from BUILD DIRECTORY: installs the command and the library there, and prints the command's path.
install_from() {
	local said
	said=$(make --silent -C "$1" install-exec DESTDIR="$2" 2>&1) || { echo "$said" >&2 && return 1; }
	chmod -R a+rX "$2"
	find "$2" -path '*/bin/ip2vsock'
}
