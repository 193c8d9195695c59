# SPDX-License-Identifier: MIT
"""world.py CERTIFICATE KEY: an HTTPS server on 127.0.0.1 that says which name it was asked for."""
import http.server
import ssl
import sys


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"This is {self.headers['Host']}.\n".encode())


server = http.server.ThreadingHTTPServer(("127.0.0.1", 443), Answer)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
