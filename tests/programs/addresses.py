# SPDX-License-Identifier: MIT
"""The server binds port 0, prints the port that it got, and sends every client what accept, getpeername and getsockname returned.
The client compares that with what it asked for and with what these calls return to it."""
import errno
import json
import select
import socket
import sys

IP_BIND_ADDRESS_NO_PORT = 24
TAKEN = {socket.AF_INET: "198.18.", socket.AF_INET6: "fd76:736f:636b:1::"}


def serve(host):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family, dualstack_ipv6=family == socket.AF_INET6) as listener:
        assert listener.getsockname()[0] == host, listener.getsockname()
        print("port", listener.getsockname()[1], flush=True)
        while True:
            connection, accepted = listener.accept()
            with connection:
                returned = accepted[:2], connection.getpeername()[:2], connection.getsockname()[:2]
                connection.sendall(json.dumps(returned).encode())


def read(connection):
    text = b""
    while part := connection.recv(1000):
        text += part
    return [tuple(address) for address in json.loads(text)]


def same(what, got, expected):
    if got != expected:
        sys.exit(f"FAILED: {what}: {got}, expected {expected}")


def check(what, family, asked, own, peers, listener, bind=None, late=False, blocking=True):
    """own: this end's address; peers: what the server may see; listener: its own name for itself; each without a port."""
    with socket.socket(family) as client:
        client.settimeout(10)
        if late:
            client.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        if bind:
            client.bind(bind)
        before = client.getsockname()
        if blocking:
            client.connect(asked)
        else:
            client.setblocking(False)
            same(f"{what}: connect_ex", client.connect_ex(asked) in (0, errno.EINPROGRESS), True)
            select.select([], [client], [], 10)
            same(f"{what}: SO_ERROR", client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), 0)
            client.settimeout(10)
        name = client.getsockname()
        same(f"{what}: getpeername", client.getpeername()[:2], asked[:2])
        same(f"{what}: getsockname", name[0], own)
        same(f"{what}: a client's port", 32768 <= name[1] < 61000 or name[1] == 45678, True)
        if bind:
            same(f"{what}: the address that bind gave", before[0], bind[0] or "0.0.0.0")
            same(f"{what}: its port is known", before[1] != 0, not late)
        if bind and not late:
            same(f"{what}: the port that bind gave", name[1], before[1])
        accepted, peer, itself = read(client)
        same(f"{what}: accept and getpeername", accepted, peer)
        same(f"{what}: the server sees {accepted}", accepted[0] in peers, True)
        same(f"{what}: the client's port at the server", accepted[1], name[1])
        same(f"{what}: getsockname of an accepted socket", itself, (listener, asked[1]))


def resolve(name, family, port):
    (answer,) = socket.getaddrinfo(name, port, family, socket.SOCK_STREAM)
    same(f"{name} resolves", answer[4][0].startswith(TAKEN[answer[0]]), True)
    return answer[4]


role, arguments = sys.argv[1], sys.argv[2:]
if role == "server":
    serve(*arguments)
remote = arguments[0] == "emulated" and role == "client"
port4, port6 = int(arguments[1]), int(arguments[2])
V4, V6 = socket.AF_INET, socket.AF_INET6
client4, server4 = ("100.64.0.16", "100.64.0.3") if remote else ("127.0.0.1", "127.0.0.1")
client6, server6 = ("fd76:736f:636b::10", "fd76:736f:636b::3") if remote else ("::1", "::1")
mapped = "::ffff:" + client4
# What a server that listens on :: sees: an IPv4 client as ::ffff:…, as on TCP.
if role == "local":
    check("127.0.0.1", V4, ("127.0.0.1", port4), "127.0.0.1", ["127.0.0.1"], "127.0.0.1")
    check("::1", V6, ("::1", port6, 0, 0), "::1", ["::1"], "::1")
    sys.exit()
check("IPv4", V4, ("10.9.8.7", port4), client4, [client4], server4)
check("IPv4, not blocking", V4, ("10.9.8.7", port4), client4, [client4], server4, blocking=False)
check("bound to port 0", V4, ("10.9.8.7", port4), client4, [client4], server4, bind=("0.0.0.0", 0))
check("bound to a port", V4, ("10.9.8.7", port4), client4, [client4], server4, bind=("0.0.0.0", 45678))
check("a name, IPv4", V4, resolve("ipv4.svc", V4, port4), client4, [client4], server4)
check("a name, any family", V4, resolve("any.svc", 0, port4), client4, [client4], server4)
check("IPv4 as IPv6", V6, ("::ffff:10.9.8.7", port4, 0, 0), mapped, [client4], server4)
check("IPv4 at a server on ::", V4, ("10.9.8.7", port6), client4, [mapped], "::ffff:" + server4)
check("bound to port 0, at a server on ::", V4, ("10.9.8.7", port6), client4, [mapped], "::ffff:" + server4, bind=("", 0))
check("bound to a port at connect", V4, ("10.9.8.7", port6), client4, [mapped], "::ffff:" + server4, bind=("", 0), late=True)
check("bound to its own address", V4, ("10.9.8.7", port4), client4, [client4], server4, bind=(client4, 0))
check("IPv6", V6, ("2001:db8::7", port6, 0, 0), client6, [client6], server6)
check("IPv6, not blocking", V6, ("2001:db8::7", port6, 0, 0), client6, [client6], server6, blocking=False)
check("a name, IPv6", V6, resolve("ipv6.svc", V6, port6), client6, [client6], server6)
if remote:
    check("bound to its own address", V6, ("2001:db8::7", port6, 0, 0), client6, [client6], server6, bind=(client6, 0))
    for family, own in (V4, client4), (V6, client6):
        with socket.socket(family) as listener:
            listener.bind((own, 0))
            try:
                listener.listen()
                sys.exit("FAILED: what no rule takes listens on IP, for everybody")
            except OSError as error:
                same("listening on its own address without a rule", error.errno, errno.EADDRINUSE)
same("getnameinfo of a peer", socket.getnameinfo((server4, 80), 0)[0] in (server4, "localhost"), True)
