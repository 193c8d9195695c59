#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""ask.py HOW PORT[,PORT...] [TIMES]: prints each port, and what serve.py says there to so many clients at once.

tcp: through the library; vsock: as a program of another machine, natively, in a bed; forged: at the door itself, with a name
that claims CID 3 and port 22."""
import socket
import sys

how, ports, times = sys.argv[1], map(int, sys.argv[2].split(",")), int((sys.argv + ["1"])[3])


def connect(port):
    if how == "vsock":
        client, address = socket.socket(socket.AF_VSOCK), (1, port)
    elif how == "forged":
        client, address = socket.socket(socket.AF_UNIX), b"\0ip2vsock-local/%d" % port
        client.bind(b"\0ip2vsock-local/22/3.22")
    else:
        client, address = socket.socket(), ("localhost", port)
    client.settimeout(60)
    client.connect(address)
    return client


for port in ports:
    for client in [connect(port) for _ in range(times)]:
        print(port, client.recv(100).decode())
