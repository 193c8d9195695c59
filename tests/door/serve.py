#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""serve.py WAY:PORT...: servers that say "PID ADDRESS PORT" of each client, each of which waits for clients in its own way.

fork: four processes that sleep in accept(); thread: four threads; select, pselect, poll, ppoll, epoll, edge (EPOLLET): one
loop; before: epoll_ctl() before listen(); closes: it has closed all numbers that it doesn't know, as daemons do; many: poll()
with a hundred other fds."""
import ctypes
import os
import select
import socket
import sys
import threading

libc = ctypes.CDLL(None, use_errno=True)


class Pollfd(ctypes.Structure):
    _fields_ = [("fd", ctypes.c_int), ("events", ctypes.c_short), ("revents", ctypes.c_short)]


def answer(listener):
    connection, address = listener.accept()
    connection.sendall(f"{os.getpid()} {address[0]} {address[1]}".encode())
    connection.close()


def by_select(listener):
    select.select([listener], [], [])


def by_pselect(listener):
    words = (ctypes.c_ulong * 16)()
    words[listener.fileno() // 64] = 1 << listener.fileno() % 64
    if libc.pselect(listener.fileno() + 1, words, None, None, None, None) != 1:
        sys.exit("pselect")


def by_poll(listener):
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    assert poll.poll() == [(listener.fileno(), select.POLLIN)]


def by_many(listener):
    poll = select.poll()
    for fd in others:
        poll.register(fd, select.POLLIN)
    poll.register(listener, select.POLLIN)
    assert poll.poll() == [(listener.fileno(), select.POLLIN)]


def by_ppoll(listener):
    one = Pollfd(listener.fileno(), select.POLLIN, 0)
    if libc.ppoll(ctypes.byref(one), 1, None, None) != 1 or one.revents != select.POLLIN:
        sys.exit("ppoll")


def by_epoll(listener):
    assert set(epoll.poll()) == {(listener.fileno(), select.EPOLLIN)}  # twice, if somebody is at both


def at_an_edge(listener):
    epoll.poll()
    while True:
        try:
            answer(listener)
        except BlockingIOError:
            return


def serve_on(listener):
    while True:
        if way in waits:
            waits[way](listener)
        if way != "edge":
            answer(listener)


def serve(port):
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("0.0.0.0", port))
    if way == "before":
        epoll.register(listener, select.EPOLLIN)
    listener.listen()
    if way == "epoll":
        epoll.register(listener, select.EPOLLIN)
    if way == "edge":
        listener.setblocking(False)
        epoll.register(listener, select.EPOLLIN | select.EPOLLET)
    if way == "closes":
        os.closerange(listener.fileno() + 1, 1024)
    print("ready", flush=True)
    if way == "fork":
        for _ in range(3):
            if os.fork() == 0:
                break
    if way == "thread":
        for _ in range(3):
            threading.Thread(target=serve_on, args=(listener,), daemon=True).start()
    serve_on(listener)


waits = {"select": by_select, "pselect": by_pselect, "poll": by_poll, "ppoll": by_ppoll, "epoll": by_epoll,
         "before": by_epoll, "edge": at_an_edge, "many": by_many}
for argument in sys.argv[1:]:
    way, port = argument.split(":")
    if os.fork() == 0:
        others = [os.pipe()[0] for _ in range(100)] if way == "many" else []
        epoll = select.epoll()
        serve(int(port))
os.wait()
