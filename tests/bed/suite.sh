# shellcheck shell=bash disable=SC2154 # $work: of who sources this
# SPDX-License-Identifier: MIT
# Sourced by what takes single packages from another suite of Debian: they are downloaded once, from where apt gets Debian on this
# machine, and unpacked below $cache, never installed. Uses $work, a directory of the caller's own, and fail.
# shellcheck source=../../scripts/lib/archive.sh source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib/archive.sh"
cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/ip2vsock
mkdir -p "$cache"
exec 9>"$cache/lock" # two beds may start at once
flock 9

apt=() suite='' lists=''
# use_suite SUITE [ARCHITECTURE]: lists of its own, so that apt's on this machine know nothing of that suite, or of another
# processor. A mirror that hasn't followed it for weeks, whose list is signed as ever but has expired, is as good for a test.
use_suite() {
	local site
	suite=$1 lists=$cache/lists-$1${2:+-$2}
	site=$(debian_archive) || fail "so $1 can't be looked for"
	mkdir -p "$lists/partial"
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $site $1 main" >"$work/sources.list"
	apt=(-o "Dir::Etc::SourceList=$work/sources.list" -o Dir::Etc::SourceParts=/dev/null
		-o Acquire::Check-Valid-Until=false -o Dir::State::status=/dev/null -o "Dir::State::Lists=$lists" -o "Dir::Cache::pkgcache="
		-o "Dir::Cache::srcpkgcache=" ${2:+-o "APT::Architecture=$2" -o "APT::Architectures=$2"})
	[ -e "$lists/updated" ] || read_list
}

read_list() {
	apt-get "${apt[@]}" -o APT::Sandbox::User=root -o APT::Update::Error-Mode=any -qq update >&2 ||
		fail "apt-get couldn't read the list of packages of $suite"
	touch "$lists/updated"
}

download() { # PACKAGE
	(cd "$work" && apt-get "${apt[@]}" -o APT::Sandbox::User=root -qq download "$1" >&2)
}

# unpack DIRECTORY PACKAGE: a suite's list may name one that is no longer there.
unpack() {
	download "$2" || { [ ${#apt[@]} -gt 0 ] && read_list && download "$2"; } || fail "apt-get couldn't download $2"
	dpkg -x "$work/$2"_*.deb "$1"
}

# make_run DIRECTORY PROGRAM: one that asks for a newer libc than this machine's runs with its suite's.
make_run() {
	local interpreter
	! "$1/$2" --version >/dev/null 2>&1 || return 0
	command -v patchelf >/dev/null || fail 'patchelf is missing: apt-get install patchelf'
	unpack "$1" libc6
	interpreter=$(find "$1" -name 'ld-*.so*' -type f)
	patchelf --set-interpreter "$interpreter" --add-rpath "${interpreter%/*}" "$1/$2"
	"$1/$2" --version >/dev/null || fail "$1/$2 doesn't run on this machine"
}
