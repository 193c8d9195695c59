# shellcheck shell=bash source-path=SCRIPTDIR
# SPDX-License-Identifier: MIT
# Sourced by every test: that of the programs, and what names need. There is no resolver: /etc/resolv.conf is empty, which
# to libc is as if it were missing.
# shellcheck disable=SC2034,SC2016 # variables for the tests; what an inner shell expands
if [ "$(id -u)" = 0 ] && [ -z "${no_resolver:-}" ]; then
	empty=$(mktemp)
	no_resolver=yes exec unshare --mount bash -c 'mount --bind "$1" /etc/resolv.conf && rm "$1" && exec bash "$2"' - "$empty" "$0"
fi
tests=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "${BASH_SOURCE%/*}/../programs/common.sh"

rule="*.names.test:80=$server_cid:8000" # what takes the names
dns='*:53=names'                         # for programs that ask a name server

# Serves $work/pages.
serve() {
	need python3
	make_pages
	start server server 'listen *:8000=any:8000' -- python3 -u -m http.server --directory "$work/pages" 8000
	says server ^Serving
}

page='<h1>page</h1>'
