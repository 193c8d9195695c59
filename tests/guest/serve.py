# SPDX-License-Identifier: MIT
# serve.py PORT...: what talk.py expects there. 1 repeats what it hears, 2 says something first, 9 counts what it hears to the end.
import asyncio, sys


async def serve(reader, writer, port):
    if port == 2:
        writer.write(b"220 ready\r\n")
    if port == 9:
        writer.write(b"%d bytes\n" % len(await reader.read()))
    else:
        while data := await reader.read(1000):
            writer.write(data)
    writer.close()


async def main():
    for port in map(int, sys.argv[1:]):
        await asyncio.start_server(lambda reader, writer, port=port: serve(reader, writer, port), "0.0.0.0", port)
    print("listening", flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
