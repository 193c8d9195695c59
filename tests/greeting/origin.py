#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""origin.py CERTIFICATE DIRECTORY: what the proxies' side has, on 127.0.0.2: HTTPS on 443 and HTTP on 80 with the files of
DIRECTORY, whose POST answers with the body; on 25 a server that speaks first, as SMTP's does; on 9 one that counts until
the client has ended and then says how much came."""
import hashlib
import http.server
import os
import socketserver
import ssl
import sys
import threading

certificate, directory = sys.argv[1:]
os.chdir(directory)


class Web(http.server.SimpleHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Mail(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(b"220 mail.test\r\n")
        for line in self.rfile:
            word = line.split()[0].upper()
            if word == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                while self.rfile.readline() not in (b".\r\n", b""):
                    pass
            self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 fine\r\n")
            if word == b"QUIT":
                return


class Count(socketserver.StreamRequestHandler):
    def handle(self):
        digest = hashlib.sha256()
        while data := self.request.recv(1 << 20):
            digest.update(data)
        self.wfile.write(digest.hexdigest().encode())


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address, daemon_threads, request_queue_size = True, True, 500


servers = [Server(("127.0.0.2", port), kind) for port, kind in ((80, Web), (443, Web), (25, Mail), (9, Count))]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate)
servers[1].socket = context.wrap_socket(servers[1].socket, server_side=True, do_handshake_on_connect=False)
for server in servers:
    threading.Thread(target=server.serve_forever).start()
print("ready", flush=True)
