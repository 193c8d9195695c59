# SPDX-License-Identifier: MIT
"""Resolves names in all of Python's ways, and fetches the page by each. PAGE is what it must be."""
import asyncio
import select
import socket
import struct
import sys
import urllib.request

page = sys.argv[1]


def same(what, got, expected):
    if got != expected:
        sys.exit(f'FAILED: {what}: {got!r}, expected {expected!r}')


def body(answer):
    return answer.decode().split('\r\n\r\n')[-1].strip()


REQUEST = b'GET / HTTP/1.0\r\n\r\n'


def by_address(address):
    with socket.create_connection((address, 80), timeout=30) as connection:
        connection.sendall(REQUEST)
        answer = b''
        while part := connection.recv(65536):
            answer += part
    return body(answer)


same('create_connection', by_address('socket.names.test'), page)
address = socket.gethostbyname('socket.names.test')
same('gethostbyname', by_address(address), page)
same('one address for the glob', socket.gethostbyname('other.names.test'), address)
same('a numeric host', by_address(socket.getaddrinfo('a.names.test', 80, socket.AF_INET6)[0][4][0]), page)


async def by_asyncio():
    reader, writer = await asyncio.open_connection('asyncio.names.test', 80)
    writer.write(REQUEST)
    answer = await reader.read()
    writer.close()
    return body(answer)


same('asyncio', asyncio.run(by_asyncio()), page)
same('urllib', urllib.request.urlopen('http://urllib.names.test/', timeout=30).read().decode().strip(), page)

exact = socket.gethostbyname('exact.test')
same('gethostbyaddr', socket.gethostbyaddr(exact)[0], 'exact.test')
same('getnameinfo', socket.getnameinfo((exact, 80), 0), ('exact.test', 'http'))
same('gethostbyname_ex', socket.gethostbyname_ex('exact.test'), ('exact.test', [], [exact]))
same('localhost', socket.gethostbyname('localhost'), '127.0.0.1')
same('a loopback name', socket.gethostbyname(socket.gethostname())[:4], '127.')
canonical = socket.getaddrinfo('exact.test', 'http', type=socket.SOCK_STREAM, flags=socket.AI_CANONNAME | socket.AI_ADDRCONFIG)
same('getaddrinfo', canonical, [(socket.AF_INET, socket.SOCK_STREAM, 6, 'exact.test', (exact, 80))])


def query(name, kind):
    labels = b''.join(bytes([len(label)]) + label.encode() for label in name.split('.'))
    return struct.pack('!6H', 4242, 0x100, 1, 0, 0, 0) + labels + b'\0' + struct.pack('!2H', kind, 1)


def ask_udp(name, kind, connected):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.setblocking(False)
        if connected:
            udp.connect(('192.0.2.53', 53))
            udp.send(query(name, kind))
        else:
            udp.sendto(query(name, kind), ('192.0.2.53', 53))
        select.select([udp], [], [], 30)
        answer, sender = udp.recvfrom(512)
        same('the sender', sender, ('192.0.2.53', 53))
        return answer


def ask_tcp(name, kind):
    with socket.create_connection(('192.0.2.53', 53), timeout=30) as tcp:
        question = query(name, kind)
        tcp.sendall(struct.pack('!H', len(question)) + question)
        size, = struct.unpack('!H', tcp.recv(2))
        return tcp.recv(size)


for ask in (lambda *question: ask_udp(*question, True), lambda *question: ask_udp(*question, False), ask_tcp):
    same('an A record', socket.inet_ntoa(ask('exact.test', 1)[-4:]), exact)
    same('MX: none', ask('exact.test', 15)[3:8], b'\x80\0\1\0\0')
    same('NXDOMAIN', ask('unknown.test', 1)[3:8], b'\x83\0\1\0\0')

for address in ('198.18.0.1', 'fd76:736f:636b:1::1'):
    family = socket.AF_INET6 if ':' in address else socket.AF_INET
    for attempt in (lambda quic: quic.connect((address, 443)), lambda quic: quic.sendto(b'hello', (address, 443))):
        with socket.socket(family, socket.SOCK_DGRAM) as quic:
            try:
                attempt(quic)
                sys.exit('FAILED: a datagram went to ' + address)
            except OSError as error:
                same('QUIC', error.strerror, 'No route to host')
