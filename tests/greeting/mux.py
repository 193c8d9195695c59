#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""mux.py KIND PATH [--delay MS]: the host's end of a virtual machine's vsock, as a Unix socket at PATH.

KIND: firecracker (1.16: the first read must find at least 10 bytes, and the whole line within 32; a bare close
refuses; OK has a port of 10 digits; SHUT_WR ends both ways), cloud-hypervisor (as that, but the line may come in
pieces and SHUT_WR is passed on) or vhost-device (the line is read with a buffer that is thrown away, and OK has the
guest's port). Facts: firecracker src/vmm/src/devices/virtio/vsock/unix/muxer.rs, cloud-hypervisor
virtio-devices/src/vsock/unix/muxer.rs, rust-vmm/vhost-device vhost-device-vsock, August 2026.

What the guest does depends on the port: 1 echoes; 2 speaks first, in the same packet as OK; 3 refuses; 4 never
answers; 5 answers in single bytes; 6 answers too long; 7 with garbage; 8 without an end; 9 replies when the client
has ended; 10 answers as 1 after the delay; 20 to 33: closes after that many bytes less 20 of its answer."""
import argparse
import os
import random
import socket
import threading
import time

parser = argparse.ArgumentParser()
parser.add_argument("kind", choices=["firecracker", "cloud-hypervisor", "vhost-device"])
parser.add_argument("path")
parser.add_argument("--delay", type=int, default=500)
options = parser.parse_args()
HELD = []


def read_port(client):
    if options.kind == "firecracker":
        head = client.recv(10)
        if len(head) < 10:
            return None
        while not head.endswith(b"\n") and len(head) < 32:
            client.setblocking(False)
            byte = client.recv(1)
            client.setblocking(True)
            if not byte:
                return None
            head += byte
    elif options.kind == "cloud-hypervisor":
        head = b""
        while not head.endswith(b"\n") and len(head) < 32:
            byte = client.recv(1)
            if not byte:
                return None
            head += byte
    else:
        head = client.recv(4096).split(b"\n")[0] + b"\n"
    words = head[:-1].split() if head.endswith(b"\n") else []
    if len(words) != 2 or words[0].lower() != b"connect" or not words[1].isdigit():
        return None
    return int(words[1])


def echo(client):
    while data := client.recv(65536):
        client.sendall(data)
    if options.kind != "firecracker":
        client.shutdown(socket.SHUT_WR)


def serve(client):
    try:
        port = read_port(client)
        if port is None or port == 3:
            return
        number = port if options.kind == "vhost-device" else random.randrange(1 << 30, 1 << 31)
        answer = b"OK %d\n" % number
        if port == 4:
            HELD.append(client.dup())
            return
        if port == 10:
            time.sleep(options.delay / 1000)
        if port == 5:
            for byte in answer:
                client.sendall(bytes([byte]))
                time.sleep(0.002)
            echo(client)
        elif port == 6:
            client.sendall(b"OK " + b"1" * 40 + b"\n")
            time.sleep(0.2)
        elif port == 7:
            client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            time.sleep(0.2)
        elif port == 8:
            client.sendall(b"OK 1")
            HELD.append(client.dup())
        elif port == 2:
            client.sendall(answer + b"220 ready\r\n")
            echo(client)
        elif port == 9:
            client.sendall(answer)
            size = 0
            while data := client.recv(65536):
                size += len(data)
            if options.kind != "firecracker":
                client.sendall(b"%d bytes\n" % size)
        elif 20 <= port <= 33:
            client.sendall(answer[: port - 20])
        else:
            client.sendall(answer)
            echo(client)
    except OSError:
        pass
    finally:
        client.close()


try:
    os.unlink(options.path)
except FileNotFoundError:
    pass
listener = socket.socket(socket.AF_UNIX)
listener.bind(options.path)
listener.listen(1023)
print("ready", flush=True)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
