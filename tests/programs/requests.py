# SPDX-License-Identifier: MIT
"""requests.py URL PAGES COUNT ENOUGH: asks for the files of PAGES, half of the requests each on a new connection,
COUNT of them and on until the file ENOUGH exists. A body that is lost or wrong ends it with status 1. As every HTTP
client does, it asks again on a new connection where an idle one was closed before a byte of the answer came."""
import http.client
import os
import sys
import threading
import urllib.parse

THREADS = 4
url, directory, count, enough = urllib.parse.urlsplit(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
pages = {name: open(os.path.join(directory, name), "rb").read() for name in sorted(os.listdir(directory))}
small = [name for name in pages if len(pages[name]) < 1 << 20]
large = [name for name in pages if name not in small]
lock = threading.Lock()
done = new = big = 0
failure = None


def connect():
    return http.client.HTTPConnection(url.hostname, url.port or 80, timeout=100)


def ask(connection, name, last):
    connection.request("GET", f"{url.path}/{name}", headers={"Connection": "close" if last else "keep-alive"})
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200 or body != pages[name]:
        raise ValueError(f"{name}: status {answer.status}, {len(body)} bytes of {len(pages[name])}")
    return not answer.will_close


def worker(first):
    global done, new, big, failure
    kept = None
    for i in range(first, 1 << 30, THREADS):
        if failure or (done >= count and os.path.exists(enough)):
            return
        name = large[i % len(large)] if i % 80 == first else small[i % len(small)]
        fresh = i // THREADS % 2 == 0
        try:
            if fresh:
                ask(connect(), name, True)
            else:
                try:
                    fresh = kept is None
                    kept = kept or connect()
                    alive = ask(kept, name, False)
                except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                    if fresh:
                        raise
                    fresh = True
                    kept = connect()
                    alive = ask(kept, name, False)
                kept = kept if alive else None
        except Exception as error:
            failure = f"request {i} ({'new' if fresh else 'kept'} connection): {type(error).__name__}: {error}"
            return
        with lock:
            done += 1
            new += fresh
            big += name in large
            if done % 100 == 0:
                print(done, "done", flush=True)


threads = [threading.Thread(target=worker, args=(i,)) for i in range(THREADS)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(f"{done} in all, {new} on new connections, {big} over 1 MiB:", failure or "none lost", flush=True)
sys.exit(failure is not None)
