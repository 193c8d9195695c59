# SPDX-License-Identifier: MIT
# peer.py client|server TASK: one end of a connection to server:9000; what it heard is printed.
#   first     says all, and then only hears
#   second    says nothing until it has heard the end
#   exchange  says 100 MB while it hears as much, and compares each byte
#   crossed   the same, but nobody ends before both have heard all: many a proxy ends both ways at the first end
import socket, sys, threading

role, task = sys.argv[1:]
BLOCKS = 1000
if role == "server":
    with socket.create_server(("", 9000)) as listener:
        print("listening", flush=True)
        stream, _ = listener.accept()
else:
    stream = socket.create_connection(("server", 9000), 200)
incoming = stream.makefile("rb")


def say(block, count):
    for number in range(count):
        stream.sendall(block(number))
    if task != "crossed":
        stream.shutdown(socket.SHUT_WR)


def blocks_of(who):
    return lambda number: (b"%s %08d\n" % (who[:6].encode(), number)) * 6250


if task == "first":
    say(lambda number: bytes(1000), 300)
    print(len(incoming.read()))
elif task == "second":
    print(len(incoming.read()))
    say(lambda number: bytes(1000), 200)
else:
    saying = threading.Thread(target=say, args=(blocks_of(role), BLOCKS))
    saying.start()
    expected = blocks_of("server" if role == "client" else "client")
    same = sum(incoming.read(100000) == expected(number) for number in range(BLOCKS))
    saying.join()
    if task == "crossed":
        stream.sendall(b".")
    print(same, "blocks, then", len(incoming.read(1)))
