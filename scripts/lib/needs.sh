# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# Sourced by what asks which machines a build runs on.

# needs_libc_alone FILE...: it needs no library but libc (and its loader), and of glibc no symbol that came after 2.17, which every
# x86-64 and arm64 machine has. Prints what else is needed, and fails.
needs_libc_alone() {
	local versions newest
	! readelf -d "$@" | grep NEEDED | grep -vE '\[(libc\.so(\.6)?|ld-linux-.*)\]$' || return 1
	versions=$(readelf -W --dyn-syms "$@" | grep -oE '@GLIBC_[0-9.]+' | sort -uV || true)
	newest=${versions##*$'\n'}
	[ "$(printf '%s\n' "$newest" @GLIBC_2.17 | sort -V | tail -n 1)" = @GLIBC_2.17 ] && return
	readelf -W --dyn-syms "$@" | grep -F "$newest"
	return 1
}
