#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""waiting.py WHAT CONTROL PORT: a thread waits in connect(), as the listener's backlog is full, and meanwhile WHAT happens to its
socket. waiting.py serve CONTROL [CIDS]: that listener, which has to be started without the library; CONTROL is its Unix socket. It
prints its port. With CIDS, the directory of emulated CIDs, it listens there; without, on TCP, the oracle.

fork      a child is forked, and connects again after the first attempt was refused
dup       the socket is only a dup by the time it is refused, and its first number another file's
closed    the same, and the number is free
epoll     it is registered, edge-triggered, before it is accepted
send      another thread sends
again     it is connected by another thread once it is accepted; shut: and shut down"""
import errno
import fcntl
import os
import select
import socket
import sys
import threading
import time

what, control = sys.argv[1:3]


def outcome(function, *arguments):
    try:
        return function(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]


def serve(cids):
    if cids:
        where = f"{cids}/1.7321"
        listener, filler = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
    else:
        where = ("127.0.0.1", 0)
        listener, filler = socket.socket(), socket.socket()
    listener.bind(where)
    listener.listen(0)
    filler.connect(listener.getsockname())
    door = socket.socket(socket.AF_UNIX)
    door.bind(control)
    door.listen()
    print(7321 if cids else listener.getsockname()[1], flush=True)
    client, _ = door.accept()
    while word := client.recv(10):
        answer = b"done"
        if word == b"accept":
            listener.accept()[0].close()
            peer, _ = listener.accept()
        elif word == b"close":
            listener.close()
        elif word == b"hear":
            answer = peer.recv(10) or b"the end"
        client.sendall(answer)


if what == "serve":
    serve(*sys.argv[3:] or [None])
    sys.exit()
where = ("127.0.0.1", int(sys.argv[3]))
server = socket.socket(socket.AF_UNIX)
server.connect(control)


def ask(word):
    server.sendall(word)
    return server.recv(10)


s = socket.socket()
said = []
thread = threading.Thread(target=lambda: said.append(errno.errorcode.get(s.connect_ex(where), 0)))
number = s.fileno()
thread.start()
time.sleep(0.2)

if what == "fork":
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.read(reading, 1)
        print(outcome(s.getpeername), outcome(s.connect, where), outcome(s.send, b"x"), flush=True)
        os._exit(0)
    ask(b"close")
    thread.join()
    os.write(writing, b"x")
    os.wait()
elif what in ("dup", "closed"):
    other = s.dup()
    os.close(number)
    if what == "dup":
        files = os.pipe2(os.O_NONBLOCK)
    ask(b"close")
    thread.join()
    good = socket.create_server(("127.0.0.1", 0))
    print(fcntl.fcntl(other, fcntl.F_GETFL) & os.O_NONBLOCK, other.getsockname()[0], outcome(other.connect, good.getsockname()))
    s.detach()
elif what == "epoll":
    epoll = select.epoll()
    epoll.register(s, select.EPOLLOUT | select.EPOLLET)
    epoll.poll(0)
    ask(b"accept")
    thread.join()
    print([events for _, events in epoll.poll(4)])
elif what == "send":
    sender = threading.Thread(target=lambda: said.append(outcome(s.send, b"ping")))
    began = time.process_time()
    sender.start()
    time.sleep(0.5)
    print("sleeps" if time.process_time() - began < 0.25 else "spins")
    ask(b"accept")
    thread.join()
    sender.join()
    print(ask(b"hear"))
elif what in ("again", "shut"):
    ask(b"accept")
    print(outcome(s.connect, where) if what == "again" else [outcome(s.shutdown, socket.SHUT_WR), ask(b"hear")])
    thread.join()
print(sorted(map(str, said)))
