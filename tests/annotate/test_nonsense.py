"""Ten thousand malformed requests: each is answered, none leaves a traceback. To 127.0.0.1 only."""

import http.client
import json
import random
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.annotate.conftest import place

TOKEN = "a-token-of-this-run"
KEYFRAME = {"op": "keyframe", "frame": 0, "box": list(place(0))}

UNFINISHED = (
    f"POST /api/edit HTTP/1.1\r\nHost: 127.0.0.1\r\nx-handdata-token: {TOKEN}\r\nContent-Length: 50\r\n\r\n{{".encode()
)


def nonsense(rng: random.Random) -> bytes:
    """One malformed request: raw bytes, or HTTP around what makes no sense."""
    frame = rng.choice(["-1", "24", "1e3", '"0"', "null", "[]", "9" * 30, "NaN", "true", "{}"])
    box = rng.choice(
        ["[1,2,3]", '"x"', "[1,2,3,null]", "[1,2,NaN,4]", "[0,0,0,0]", "[1e308,0,9,9]", "{}", "[[],1,2,3]"]
    )
    body = rng.choice(
        [
            b"",
            b"{",
            b"\xff\xfe{}",
            b"[" * 3000,
            b"null",
            b'"x"',
            b"{}",
            b'{"op": 5}',
            b'{"op": "drop"}',
            b'{"op": "keyframe"}',
            f'{{"op": "keyframe", "frame": {frame}, "box": [1,2,30,30]}}'.encode(),
            f'{{"op": "keyframe", "frame": 0, "box": {box}}}'.encode(),
            f'{{"op": "watch", "first": {frame}, "last": 2}}'.encode(),
            f'{{"op": "absent", "frame": 0, "since": {frame}}}'.encode() if frame != "24" else b"{}",
            rng.randbytes(rng.randrange(200)),
        ]
    )
    path = rng.choice(
        ["/api/edit", "/api/import/csv", "/api/import/cvat", "/api/import/coco", "/api/import/mot", "/api/import/zip"]
    )
    query = rng.choice(["since=x", "since=-1", "focus=99", "focus=%ff", "since=" + "9" * 40, "focus="])
    head = f"Host: 127.0.0.1\r\nx-handdata-token: {TOKEN}\r\n".encode()
    whole = f"POST {path} HTTP/1.1\r\n".encode() + head + f"Content-Length: {len(body)}\r\n\r\n".encode() + body
    return rng.choice(
        [
            whole,
            whole,
            whole,
            f"GET /api/state?{query} HTTP/1.1\r\n".encode() + head + b"\r\n",
            f"GET /api/frame/{rng.choice(['x', '-1', '99', '%00', '1.5'])} HTTP/1.1\r\n".encode() + head + b"\r\n",
            f"{rng.choice(['PUT', 'DELETE', 'BREW'])} /api/edit HTTP/1.1\r\n".encode() + head + b"\r\n",
            b"POST /api/edit HTTP/1.1\r\n" + head + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
            b"POST /api/edit HTTP/1.1\r\n" + head + b"Content-Length: -5\r\n\r\n",
            UNFINISHED,
            b"GET / HTTP/7.3\r\nHost: 127.0.0.1\r\n\r\n",
            b"GET  / / HTTP/1.1\r\n\r\n",
            rng.randbytes(rng.randrange(1, 300)) + b"\r\n\r\n",
        ]
    )


@pytest.mark.slow
def test_10000_malformed_requests_are_answered_without_a_traceback(
    made_folder: Path, table: Path, tmp_path: Path
) -> None:
    """To a server in a process of its own, on 127.0.0.1 only; then it still works."""
    code = (
        "import sys, secrets; from pathlib import Path; secrets.token_urlsafe = lambda _: sys.argv[3]\n"
        "from handdata.annotate.pictures import list_pictures; from handdata.annotate.session import Session\n"
        "from handdata.annotate.page_state import BoxPlace; from handdata.annotate.worker import Worker\n"
        "from handdata.annotate.server import serve\n"
        "from handdata.serving.local import listen\n"
        "session = Session(list_pictures(Path(sys.argv[1])), Path(sys.argv[2]))\n"
        "serve(BoxPlace(session), Worker(session), listen('127.0.0.1', 0), '127.0.0.1')"
    )
    log = tmp_path / "stderr.txt"
    with log.open("w") as stderr:
        process = subprocess.Popen([sys.executable, "-c", code, str(made_folder), str(table), TOKEN], stderr=stderr)
    try:
        deadline = time.monotonic() + 30
        while not (found := re.search(r"127\.0\.0\.1:(\d+)/", log.read_text())):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        port = int(found[1])
        rng = random.Random(10_000)
        statuses = [first_status(port, nonsense(rng)) for _ in range(10_000)]
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("POST", "/api/edit", json.dumps(KEYFRAME), {"x-handdata-token": TOKEN})
        assert connection.getresponse().status == 200
        connection.close()
    finally:
        process.terminate()
        process.wait(20)
    assert "Traceback" not in log.read_text()
    answered = [status for status in statuses if status is not None]
    assert len(answered) > 9_000  # the rest are unfinished: there the server hangs up too
    assert {status for status in answered if status >= 500} == set()


def first_status(port: int, request: bytes) -> int | None:
    """Send a request and return the status of the answer, None if the server only hung up."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        try:
            sock.sendall(request)
            if request == UNFINISHED:
                sock.shutdown(socket.SHUT_WR)
            answer = sock.recv(64)
        except (ConnectionResetError, BrokenPipeError, OSError):
            return None
    return int(answer.split()[1]) if answer.startswith(b"HTTP/1.1 ") else None
