# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# Sourced by the tests that follow Dockerfiles with ./docker: the images that these begin with, in $IMAGES.

base() { # IMAGE CONFIG: an empty root
	rm -rf "${IMAGES:?}/$1"
	mkdir -p "$IMAGES/$1/root"
	echo "$2" >"$IMAGES/$1/config"
}

# A RUN step has these of this machine.
mounts='"mounts": ["/usr", "/etc", "/bin", "/sbin", "/lib", "/lib64", "/var/lib/dpkg"'

make_slim() {
	local slim=$IMAGES/debian:bookworm-slim included=()
	(($# == 0)) || included=(--include="$(IFS=, && echo "$*")")
	[ ! -e "$slim/packages" ] || [ "$(cat "$slim/packages")" != "$*" ] || return 0
	rm -rf "$slim" "$IMAGES/slim"
	mkdir -p "$slim"
	mmdebstrap --quiet --mode=root --variant=essential "${included[@]}" bookworm "$IMAGES/slim" "$(debian_archive)" ||
		return 1
	mv "$IMAGES/slim" "$slim/root"
	echo '{}' >"$slim/config"
	echo "$*" >"$slim/packages"
}

# make_debian [PACKAGE...]: what docs/Dockerfile.debian begins with; debian:bookworm-slim has these packages already, and what
# stands for apt-get there only looks whether they are installed.
# shellcheck disable=SC2120 # its arguments are optional
make_debian() {
	local bare=$IMAGES/gcr.io/distroless/base-debian12 slim=$IMAGES/debian:bookworm-slim libraries
	make_slim "$@" || return 1
	base debian:bookworm "{$mounts]}"
	base gcr.io/distroless/base-debian12 '{}'
	libraries=usr/lib/$(gcc -print-multiarch)
	mkdir -p "$bare/root/$libraries"
	ln -s usr/lib usr/lib64 "$bare/root"
	cp -a "$slim/root/usr/lib64" "$bare/root/usr/"
	cp -a "$slim/root/$libraries"/{libc.so.6,ld-linux-*.so.2} "$bare/root/$libraries/"
}

# make_stand_ins: for docker, in $IMAGES/../path, and for what a RUN step calls
make_stand_ins() {
	mkdir -p "$IMAGES"/{bin,../path}
	ln -sf "$(realpath "${BASH_SOURCE%/*}")/docker" "$IMAGES/../path/docker"
	cat >"$IMAGES/bin/apt-get" <<-'END'
		#!/bin/sh
		for package; do
			case $package in update | install | -*) continue ;; esac
			[ "$(dpkg-query -Wf '${db:Status-Status}' "$package")" = installed ] ||
				{ echo "apt-get: $package isn't in this root" >&2 && exit 1; }
		done
	END
	printf '#!/bin/sh\n' >"$IMAGES/bin/apk"
	chmod 755 "$IMAGES/bin"/*
}
