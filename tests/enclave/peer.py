# SPDX-License-Identifier: MIT
# peer.py client|server TASK: one end of a connection to server:9000; what it heard is printed.
#   first     says all, and then only hears
#   second    says nothing until it has heard the end
#   exchange  says 100 MB while it hears as much, and compares each byte
#   crossed   the same, but nobody ends before both have heard all: many a proxy ends both ways at the first end
#   late      as exchange, but neither hears anything before both are full; less is said
#   unheard   a server that hears nothing, and a client that says what it can until the server takes no more: that is printed
#   small     says 5,000 messages of 1 to 700 bytes, each a packet of its own, and hears nothing for three seconds
# peer.py client CID|server - TASK: the same by a program that speaks AF_VSOCK itself, on port 9002.
import socket, sys, threading, time

role, *native, task = sys.argv[1:]
BLOCKS = 100 if task == "late" else 1000
if role == "server":
    with socket.socket(socket.AF_VSOCK) if native else socket.create_server(("", 9000)) as listener:
        if native:
            listener.bind((socket.VMADDR_CID_ANY, 9002))
            listener.listen()
        print("listening", flush=True)
        stream, _ = listener.accept()
elif native:
    stream = socket.socket(socket.AF_VSOCK)
    stream.connect((int(native[0]), 9002))
else:
    stream = socket.create_connection(("server", 9000), 200)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
incoming = stream.makefile("rb")


def say(block, count):
    for number in range(count):
        stream.sendall(block(number))
    if task != "crossed":
        stream.shutdown(socket.SHUT_WR)


def blocks_of(who):
    return lambda number: (b"%s %08d\n" % (who[:6].encode(), number)) * 6250


def say_what_it_can():
    """Until nothing more was taken for a second."""
    said, until = 0, time.monotonic() + 1
    stream.setblocking(False)
    while time.monotonic() < until:
        try:
            said += stream.send(bytes(4096))
            until = time.monotonic() + 1
        except BlockingIOError:
            time.sleep(0.01)
    return said


if task == "unheard":
    if role == "client":
        print(say_what_it_can())
    else:
        time.sleep(5)
elif task == "first":
    say(lambda number: bytes(1000), 300)
    print(len(incoming.read()))
elif task == "second":
    print(len(incoming.read()))
    say(lambda number: bytes(1000), 200)
elif task == "small":
    saying = threading.Thread(target=say, args=(lambda number: bytes(1 + number * 7919 % 700), 5000))
    saying.start()
    time.sleep(3)
    print(len(incoming.read()))
    saying.join()
else:
    saying = threading.Thread(target=say, args=(blocks_of(role), BLOCKS))
    saying.start()
    time.sleep(3 if task == "late" else 0)
    expected = blocks_of("server" if role == "client" else "client")
    same = sum(incoming.read(100000) == expected(number) for number in range(BLOCKS))
    saying.join()
    if task == "crossed":
        stream.sendall(b".")
    print(same, "blocks, then", len(incoming.read(1)))
