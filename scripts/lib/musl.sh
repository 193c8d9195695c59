# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# Sourced by what builds with musl.

# kernel_headers DIRECTORY [FROM]: links the kernel's headers there: musl has none, and glibc's directory has glibc's, too.
# FROM is where a cross compiler's package has them.
kernel_headers() {
	local from=(/usr/include/{linux,asm-generic} "/usr/include/$(gcc -print-multiarch)/asm")
	[ $# = 1 ] || from=("$2"/{linux,asm-generic,asm})
	mkdir -p "$1"
	ln -sfn "${from[@]}" "$1"
}

# cross_specs ROOT TRIPLET: prints what a gcc for TRIPLET takes by -specs to build with the musl whose packages are unpacked
# in ROOT. Debian's own file of that name is for a musl in /usr.
cross_specs() {
	sed "s|/usr/|$1&|g; s|^-L|-L$1/lib/$2 &|" "$1/usr/lib/$2/musl-gcc.specs"
}
