# SPDX-License-Identifier: MIT
# many.py COUNT: so many requests to origin.test at once; prints how many were answered rightly.
import asyncio, sys


async def one(number):
    reader, writer = await asyncio.open_connection("origin.test", 80)
    writer.write(b"POST / HTTP/1.0\r\nContent-Length: 4\r\n\r\n%04d" % number)
    answer = await reader.read()
    writer.close()
    return answer.endswith(b"%04d" % number)


async def main():
    print(sum(await asyncio.gather(*(one(i) for i in range(int(sys.argv[1]))))))


asyncio.run(main())
