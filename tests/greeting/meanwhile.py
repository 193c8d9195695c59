#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""meanwhile.py WHAT [tcp]: does WHAT with a socket whose connect() is under way, and prints what comes of it. The peer takes half a
second or more, speaks another 0.4 s later, and echoes. tcp: over TCP itself, where a full backlog makes it slow: the oracle.

poll, select     sleeps for reading alone, from before until the peer has spoken
dup, dup2        goes on with a duplicate
unspec, listen   gives the attempt up, and connects again, or listens
shutdown         shuts the socket down
thread           another thread shuts down what connect() waits for
send             threads sleep in send()
signal           a handler without SA_RESTART interrupts connect()
child            a child that libc has no handler for holds copies of every descriptor"""
import ctypes
import errno
import os
import select
import signal
import socket
import sys
import threading
import time

what, over_tcp = sys.argv[1], "tcp" in sys.argv[2:]
libc = ctypes.CDLL(None, use_errno=True)
KEPT = []


def slow():
    """The address of a listener whose backlog is full: who connects sends its SYN again after a second."""
    listener, filler = socket.socket(), socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    filler.connect(listener.getsockname())
    KEPT.append(filler)

    def serve():
        time.sleep(0.3)
        KEPT.append(listener.accept())
        client, _ = listener.accept()
        time.sleep(0.4)
        client.sendall(b"late")
        while data := client.recv(4096):
            client.sendall(data)

    threading.Thread(target=serve, daemon=True).start()
    return listener.getsockname()


def outcome(function, *arguments):
    try:
        return function(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]


def name(number):
    return errno.errorcode.get(number, number)


def error_of(s):
    return name(s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))


def events(s, wanted, limit=4000):
    poll = select.poll()
    poll.register(s, wanted)
    found = poll.poll(limit)
    return found[0][1] if found else 0


def unspecified(s):
    return libc.connect(s.fileno(), bytes(16), 16)


def works(s):
    s.settimeout(4)
    got = b""
    s.sendall(b"ping")
    while b"ping" not in got:
        got += s.recv(100)
    return "works"


WHERE = slow() if over_tcp else ("198.51.100.1", 12)
s = socket.socket()
if what not in ("thread", "signal"):
    s.setblocking(False)
    print(name(s.connect_ex(WHERE)))

began = time.monotonic()
if what == "poll":
    print(events(s, select.POLLIN), time.monotonic() - began < 3, s.recv(10))
elif what == "select":
    print(len(select.select([s], [], [], 4)[0]), time.monotonic() - began < 3, s.recv(10))
elif what in ("dup", "dup2"):
    other = socket.socket(fileno=os.dup(s.fileno()) if what == "dup" else os.dup2(s.fileno(), 77))
    s.close()
    print(events(other, select.POLLOUT), error_of(other), works(other))
elif what == "unspec":
    print(unspecified(s), error_of(s))
    again = slow() if over_tcp else WHERE
    print(name(s.connect_ex(again)), events(s, select.POLLOUT), error_of(s), works(s))
elif what == "listen":
    print(unspecified(s), outcome(s.bind, ("127.0.0.1", 0)), outcome(s.listen))
    time.sleep(1)
    print(s.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN), outcome(s.accept), error_of(s))
elif what == "shutdown":
    print(outcome(s.send, b"x"), outcome(s.recv, 1), outcome(s.getpeername), outcome(s.shutdown, socket.SHUT_RDWR))
    print(bool(events(s, select.POLLOUT) & select.POLLHUP), error_of(s), outcome(s.send, b"x"), outcome(s.recv, 1))
    print(name(s.connect_ex(slow() if over_tcp else WHERE)))
elif what == "thread":
    threading.Timer(0.1, s.shutdown, [socket.SHUT_RDWR]).start()
    print(name(s.connect_ex(WHERE)), time.monotonic() - began < 0.45, error_of(s))
elif what == "send":
    s.setblocking(True)
    said = []
    threads = [threading.Thread(target=lambda: said.append(outcome(s.send, b"ping"))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(said)
elif what == "signal":
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    host, port = WHERE
    address = socket.AF_INET.to_bytes(2, sys.byteorder) + port.to_bytes(2, "big") + socket.inet_aton(host) + bytes(8)
    print(libc.connect(s.fileno(), address, 16), name(ctypes.get_errno()))
    print(events(s, select.POLLOUT), error_of(s), works(s))
elif what == "child":
    child = libc._Fork()
    if child == 0:
        time.sleep(3)
        os._exit(0)
    print(events(s, select.POLLOUT), time.monotonic() - began < 2, error_of(s))
    os.kill(child, signal.SIGKILL)
