# shellcheck shell=bash source-path=SCRIPTDIR
# SPDX-License-Identifier: MIT
# Sourced: a TLS server whose certificate is for tls.names.test, by a CA of the test's own, $work/ca.pem. Who doesn't say
# by SNI that it wants tls.names.test is shown a certificate for another name.
# shellcheck disable=SC2034,SC2154,SC2016 # variables from and for the tests; what an inner shell expands
tls_rule="*.names.test:443=$server_cid:8443"

# certificate NAME: makes $work/NAME.pem, key and all.
certificate() {
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -keyout "$work/$1.key" -subj "/CN=$1" \
		-addext "subjectAltName=DNS:$1" -CA "$work/ca.pem" -CAkey "$work/ca.key" -x509 -days 2 -out "$work/$1.crt" 2>/dev/null
	cat "$work/$1.key" "$work/$1.crt" >"$work/$1.pem"
}

serve_tls() {
	need openssl
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -keyout "$work/ca.key" -subj '/CN=the test' \
		-addext 'basicConstraints=critical,CA:TRUE' -x509 -days 2 -out "$work/ca.pem" 2>/dev/null
	certificate tls.names.test
	certificate default.test
	printf 'HTTP/1.0 200 OK\r\nContent-Length: %s\r\n\r\n%s' ${#page} "$page" >"$work/page"
	start tls server 'listen *:8443=any:8443' -- bash -c 'cd "$1" && shift && exec "$@"' - "$work" \
		openssl s_server -accept 8443 -HTTP -cert default.test.pem -cert2 tls.names.test.pem -key2 tls.names.test.pem \
		-servername tls.names.test
	says tls ACCEPT
}
