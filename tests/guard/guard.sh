# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# Sourced first by every script that runs tests: none opens this machine's own AF_VSOCK, which may lead out of it, whatever
# variable got lost. On this machine the script starts once more, with the same arguments, where a seccomp filter refuses
# socket(AF_VSOCK) with EAFNOSUPPORT to it and to all that it starts. In a bed nothing happens: its kernel's AF_VSOCK leads to
# nobody else, and its init leaves /run/vsock-bed. with-vsock --own-kernel, which somebody has to ask for, says so.

may_open_vsock() {
	[ -e /run/vsock-bed ] || [ "${VSOCK_BED-}" = own-kernel ]
}

# The variable alone could have come from elsewhere, the filter be somebody else's. A second filter does no harm.
is_guarded() {
	[ "${VSOCK_GUARD-}" = on ] && grep -q '^Seccomp:[[:space:]]*2' /proc/self/status
}

if ! may_open_vsock && ! is_guarded; then
	VSOCK_GUARD=on exec "${BASH_SOURCE%/*}/refuse" EAFNOSUPPORT "$BASH" "$0" "$@"
fi
