# SPDX-License-Identifier: MIT
"""world.py CERTIFICATE KEY: the servers outside, on 203.0.113.1 and 169.254.169.254.

On port 443 of both is one that speaks HTTPS, and says which name it was asked for; to a POST it answers as AWS KMS, which
encrypts nothing. The other is the metadata service of an EC2 instance, with credentials of its role.
"""
import base64
import http.server
import json
import ssl
import sys
import threading


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())


class Site(Handler):
    def do_GET(self):
        self.answer(f"This is {self.headers['Host']}.\n")

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if "Credential=AKIAWORLD/" not in self.headers["Authorization"]:
            self.send_error(403)
        elif self.headers["X-Amz-Target"] == "TrentService.Encrypt":
            self.answer(json.dumps({"CiphertextBlob": base64.b64encode(asked["Plaintext"].encode()).decode()}))
        else:
            self.answer(json.dumps({"Plaintext": base64.b64decode(asked["CiphertextBlob"]).decode()}))


class Metadata(Handler):
    def do_PUT(self):
        self.answer("token")

    def do_GET(self):
        if self.headers["X-aws-ec2-metadata-token"] != "token":
            self.send_error(401)
        elif self.path.endswith("/security-credentials/"):
            self.answer("role")
        else:
            self.answer(json.dumps({"Code": "Success", "AccessKeyId": "AKIAWORLD", "SecretAccessKey": "secret", "Token": "token",
                                    "Expiration": "2100-01-01T00:00:00Z"}))


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
servers = [http.server.ThreadingHTTPServer((address, 443), Site) for address in ("203.0.113.1", "169.254.169.254")]
for site in servers:
    site.socket = context.wrap_socket(site.socket, server_side=True, do_handshake_on_connect=False)
servers.append(http.server.ThreadingHTTPServer(("169.254.169.254", 80), Metadata))
for server in servers:
    threading.Thread(target=server.serve_forever).start()
