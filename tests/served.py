"""A server of a local page, in a thread of the test's own."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from handdata.annotate.worker import Worker
from handdata.serving.local import listen


@contextmanager
def served(server: uvicorn.Server, worker: Worker | None = None) -> Iterator[int]:
    """Serve until the end of the block, the worker running beside; gives the port."""
    sock = listen("127.0.0.1", 0)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
    if worker:
        worker.start()
    thread.start()
    try:
        yield sock.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(10)
        if worker:
            worker.stop()
        sock.close()
