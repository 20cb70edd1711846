"""Who may talk to the server, and what it says to everybody else. Real requests to 127.0.0.1."""

import http.client
import json
import re
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from starlette.routing import Route

from handdata.annotate.keypoints.page_state import PointPlace
from handdata.annotate.keypoints.session import PointSession
from handdata.annotate.page_state import PAGE, BoxPlace
from handdata.annotate.pictures import list_pictures
from handdata.annotate.server import make_server
from handdata.annotate.session import Session
from handdata.annotate.worker import Worker
from handdata.annotate.workplace import Workplace
from handdata.boxes import read_boxes
from handdata.errors import BusyError, DataError, HanddataError
from handdata.serving import patience
from handdata.serving.access import host_name
from handdata.serving.local import guarded, listen, server_of
from tests.annotate.conftest import EXACT, NUM_FRAMES, place
from tests.served import served

TOKEN = "a-token-of-this-run"
KEYFRAME = {"op": "keyframe", "frame": 0, "box": list(place(0))}
Ask = Callable[..., tuple[int, dict[str, str], bytes]]


@contextmanager
def opened(session: Session) -> Iterator[int]:
    """Serve a session from a thread; gives the port."""
    worker = Worker(session)
    with served(make_server(BoxPlace(session), worker, TOKEN), worker) as port:
        yield port


def asker(port: int) -> Ask:
    """Return the function that makes one request and gives status, headers, body."""

    def request(
        path: str, body: Any = None, *, method: str | None = None, token: str | None = TOKEN, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            sent["x-handdata-token"] = token
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection.putrequest(method or ("GET" if body is None else "POST"), path, skip_host="Host" in sent)
        for name, value in sent.items():
            connection.putheader(name, value)
        if data is not None:
            connection.putheader("Content-Length", str(len(data)))
        connection.endheaders(data)
        response = connection.getresponse()
        answer = response.status, dict(response.getheaders()), response.read()
        connection.close()
        return answer

    return request


@pytest.fixture
def change(session: Session) -> Iterator[Ask]:
    """Ask a server of one's own, where edits are welcome."""
    with opened(session) as port:
        yield asker(port)


@pytest.fixture(scope="module")
def untouched(made_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """A session that no test of this file may change: what they send is refused."""
    session = Session(list_pictures(made_folder), tmp_path_factory.mktemp("boxes") / "made.csv")
    yield session
    assert session.marks == {}
    session.close()


@pytest.fixture(scope="module")
def port(untouched: Session) -> Iterator[int]:
    with opened(untouched) as number:
        yield number


@pytest.fixture(scope="module")
def ask(port: int) -> Ask:
    return asker(port)


# ---- what it does


def test_an_edit_is_tracked_in_the_background_and_saved(change: Ask, session: Session) -> None:
    status, _, body = change("/api/edit", KEYFRAME)
    assert status == 200
    version = json.loads(body)["version"]

    deadline = time.monotonic() + 20
    while not session.path.exists() or read_boxes(session.path)[-1].box is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    later = json.loads(change(f"/api/state?since={version}&focus=3")[2])
    assert later["left"] == 0
    assert later["frames"][str(NUM_FRAMES - 1)][0] == list(place(NUM_FRAMES - 1))


def test_only_frames_that_changed_are_sent_again(ask: Ask) -> None:
    first = json.loads(ask("/api/state?since=0")[2])
    assert len(first["frames"]) == NUM_FRAMES

    assert json.loads(ask(f"/api/state?since={first['version']}")[2])["frames"] == {}


def test_pictures_come_at_screen_size_and_may_be_cached(ask: Ask) -> None:
    status, headers, body = ask("/api/frame/3?width=80")

    assert status == 200
    assert cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_COLOR).shape == (60, 80, 3)
    assert headers["content-type"] == "image/jpeg"
    assert "max-age" in headers["cache-control"]
    assert cv2.imdecode(np.frombuffer(ask("/api/frame/3?width=8000")[2], np.uint8), 1).shape == (120, 160, 3)


@pytest.mark.parametrize("name", sorted(PAGE))
def test_the_page_needs_no_token_and_loads_nothing_from_elsewhere(ask: Ask, name: str) -> None:
    status, headers, body = ask(f"/{name}", token=None)

    assert status == 200
    assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
    assert not re.search(rb"https?://", body)


@pytest.mark.parametrize("kind", ["csv", "csv5", "cvat", "coco", "mot"])
def test_exports_come_as_files_and_import_again(change: Ask, kind: str) -> None:
    change("/api/edit", KEYFRAME)
    status, headers, text = change(f"/api/export/{kind}")
    assert status == 200
    assert headers["content-disposition"].startswith('attachment; filename="made.')

    status, _, body = change(f"/api/import/{kind}", text)
    assert status == 200
    assert json.loads(body)["frames"]["0"][0] == list(place(0))


# ---- who may talk to it


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:80",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "192.168.1.7:8766",
        "",
        "[::1",
        "a@127.0.0.1",
        "127.0.0.1/x",
        "127.0.0.1:port",
        "0.0.0.0",
    ],
)
@pytest.mark.parametrize("path", ["/", "/page.js", "/api/state"])
def test_a_foreign_host_is_refused(ask: Ask, host: str, path: str) -> None:
    assert ask(path, Host=host)[0] in (400, 403)


@pytest.mark.parametrize("host", ["127.0.0.1:9999", "localhost", "localhost:8766", "[::1]:8766"])
def test_forwarded_ports_of_this_machine_are_welcome(ask: Ask, host: str) -> None:
    assert ask("/api/state", Host=host)[0] == 200


def test_two_hosts_are_refused(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
        assert sock.recv(100).split()[1] in (b"400", b"403")


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://127.0.0.1", "http://127.0.0.1:1", "http://localhost", ""]
)
def test_a_foreign_origin_is_refused_even_with_the_token(ask: Ask, untouched: Session, origin: str) -> None:
    status, _, body = ask("/api/edit", KEYFRAME, Origin=origin)

    assert status == 403
    assert json.loads(body) == {"error": "the request comes from another site"}
    assert untouched.marks == {}


def test_the_pages_own_origin_is_welcome(ask: Ask, port: int) -> None:
    headers = {"Origin": f"http://127.0.0.1:{port}", "Sec_Fetch_Site": "same-origin"}
    assert ask("/api/edit", {"op": "undo"}, **headers)[0] == 200  # nothing to undo


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_request_that_the_browser_marks_as_foreign_is_refused(ask: Ask, site: str) -> None:
    assert ask("/api/state", Sec_Fetch_Site=site)[0] == 403


@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN[:-1], TOKEN + "x", "\xe9\xff"])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/edit", KEYFRAME),
        ("/api/state", None),
        ("/api/sequence", None),
        ("/api/frame/0", None),
        ("/api/export/csv", None),
        ("/api/import/csv", b"x"),
    ],
)
def test_nothing_is_said_or_changed_without_the_token(
    ask: Ask, untouched: Session, token: str | None, path: str, body: Any
) -> None:
    assert ask(path, body, token=token)[0] == 403
    assert untouched.marks == {}


@pytest.mark.parametrize(
    "path",
    [
        "/../../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/..%2f..%2fetc%2fpasswd",
        "/page.js/../../session.py",
        "/session.py",
        "/__init__.py",
        "//etc/passwd",
        "/api/frame/../../../etc/passwd",
        "/api/frame/..%2f..%2fetc%2fpasswd",
        "/api/frame/img_0.png",
        "/api/frame//etc/passwd",
        "/api/frame/-1",
        "/api/frame/24",
        "/api/frame/0/../../journal",
        "/api/frame/999999999999999999999999999999",
        "/api/frame/0?width=../../etc/passwd",
        "/api/export/../../../etc/passwd",
        "/api/export/%2e%2e%2fmade.journal",
        "/api/frame/%00",
    ],
)
def test_no_path_leads_out_of_the_sequence(ask: Ask, path: str) -> None:
    status, _, body = ask(path)

    assert status in (400, 404)
    assert b"root:" not in body
    assert b"import" not in body


def test_pictures_that_are_links_are_read(tmp_path: Path, made_folder: Path) -> None:
    """As DVC, git-annex and the caches of Hugging Face lay them out; what they point to has no ending there."""
    blob = tmp_path / "blobs" / "4f8768c"
    blob.parent.mkdir()
    blob.write_bytes((made_folder / "img_0.png").read_bytes())
    folder = tmp_path / "sequence"
    folder.mkdir()
    (folder / "img_0.png").symlink_to(blob)
    (folder / "img_1.png").symlink_to(tmp_path / "not fetched")

    pictures = list_pictures(folder)
    assert pictures.names == ("img_0.png", "img_1.png")
    assert pictures.encode(0, 80)
    with pytest.raises(HanddataError, match=r"img_1\.png: expected a picture"):
        pictures.read(1)


def test_a_link_to_what_is_no_picture_shows_nothing_of_it(tmp_path: Path, made_folder: Path) -> None:
    (tmp_path / "img_0.png").write_bytes((made_folder / "img_0.png").read_bytes())
    (tmp_path / "img_1.png").symlink_to("/etc/passwd")

    with pytest.raises(DataError, match="expected a whole PNG"):
        list_pictures(tmp_path).encode(1, 80)


def test_a_picture_swapped_for_a_link_later_is_refused_when_served(tmp_path: Path, made_folder: Path) -> None:
    folder = tmp_path / "sequence"
    folder.mkdir()
    for name in ("img_0.png", "img_1.png"):
        (folder / name).write_bytes((made_folder / name).read_bytes())
    pictures = list_pictures(folder)
    (folder / "img_1.png").unlink()
    (folder / "img_1.png").symlink_to(made_folder / "img_1.png")

    pictures.encode(0, 80)
    with pytest.raises(DataError, match="got a link to"):
        pictures.encode(1, 80)


def test_a_picture_that_is_gone_is_told_without_options_that_no_page_has(tmp_path: Path, made_folder: Path) -> None:
    folder = tmp_path / "sequence"
    folder.mkdir()
    (folder / "img_0.png").write_bytes((made_folder / "img_0.png").read_bytes())
    session = Session(list_pictures(folder), tmp_path / "boxes.csv")
    with opened(session) as number:
        (folder / "img_0.png").unlink()
        status, _, body = asker(number)("/api/frame/0")
    session.close()

    assert status == 400
    assert json.loads(body)["error"].endswith("img_0.png: expected a picture, got no file. Unpack the archive again.")


ANOTHER = "expected the picture that was opened, got another file in its place. End this and open the pictures again."


@pytest.mark.parametrize("of", ["boxes", "keypoints"])
def test_nothing_is_said_of_other_pictures_in_the_place_of_those_opened(
    tmp_path: Path, made_folder: Path, of: str
) -> None:
    folder, others = tmp_path / "sequence", tmp_path / "others"
    shutil.copytree(made_folder, folder)
    others.mkdir()
    for path in folder.iterdir():  # another sequence, whose pictures have the same names and sizes
        cv2.imwrite(str(others / path.name), 255 - cv2.imread(str(path)))  # type: ignore[operator]

    def begun() -> tuple[Session | PointSession, Workplace]:
        if of == "boxes":
            boxes = Session(list_pictures(folder), tmp_path / "out" / "made.csv", EXACT)
            return boxes, BoxPlace(boxes)
        points = PointSession(list_pictures(folder, any_size=True), tmp_path / "out" / "made.json")
        return points, PointPlace(points)

    session, workplace = begun()
    edit = KEYFRAME if of == "boxes" else {"op": "begin", "frame": 0, "box": [10, 20, 50, 60]}
    workplace.edit(json.dumps(edit).encode())
    journal = session.path.with_suffix(".journal")
    said = journal.read_bytes()
    folder.rename(tmp_path / "away")
    others.rename(folder)
    worker = Worker(session)
    with served(make_server(workplace, worker, TOKEN), worker) as port:
        ask = asker(port)
        refused = [ask("/api/edit", {**edit, "frame": 3}), ask("/api/frame/3")]
        trouble = _told(ask, session)
    assert [(status, json.loads(body)["error"]) for status, _, body in refused] == [
        (400, f"{folder}/img_3.png: {ANOTHER}")
    ] * 2
    assert trouble.startswith(f"{folder}/img_0.png: {ANOTHER}")
    assert journal.read_bytes() == said
    with pytest.raises(DataError, match=re.escape(f"{ANOTHER} Every edit is in {journal}.")):
        session.close()
    assert not session.path.exists()

    folder.rename(others)
    (tmp_path / "away").rename(folder)
    session, _ = begun()
    assert sorted(session.marks) == [0]
    session.close()
    assert session.path.exists()


def _told(ask: Ask, session: Session | PointSession) -> str:
    """What the page shows once the worker came to save."""
    for _ in range(200):
        trouble = json.loads(ask("/api/state")[2])["trouble"]
        if "journal" in trouble or session.path.exists():
            break
        time.sleep(0.05)
    return str(trouble)


def test_a_fault_of_the_disk_while_looking_is_not_told_as_a_lost_edit(tmp_path: Path) -> None:
    app = guarded([Route("/api/x", lambda _: (tmp_path / "gone.png").read_bytes())], TOKEN, "127.0.0.1")
    with served(server_of(app)) as number:
        status, _, body = asker(number)("/api/x")

    assert (status, json.loads(body)) == (400, {"error": f"{tmp_path}/gone.png: No such file or directory"})


def test_a_request_that_never_ends_is_dropped_in_silence_at_the_end(
    session: Session, capfd: pytest.CaptureFixture[str]
) -> None:
    with opened(session) as number:
        client = socket.create_connection(("127.0.0.1", number), timeout=20)
        head = f"POST /api/edit HTTP/1.1\r\nHost: 127.0.0.1:{number}\r\nx-handdata-token: {TOKEN}\r\n"
        client.sendall(f"{head}Content-Length: 100\r\n\r\n{{".encode())
        asker(number)("/api/state")  # so that the other one is in work
    answer = client.recv(1000)
    client.close()

    assert answer.startswith(b"HTTP/1.1 503 ")
    assert "Traceback" not in capfd.readouterr().err


@pytest.fixture
def client(port: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A connection to a page that waits for a second only."""
    monkeypatch.setattr(patience, "PATIENCE_S", 1.0)
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        yield client


HEAD = f"POST /api/edit HTTP/1.1\r\nHost: 127.0.0.1\r\nx-handdata-token: {TOKEN}\r\nContent-Length: 30\r\n"


@pytest.mark.parametrize("begun", ["", "GET / HT", HEAD, f"{HEAD}\r\n{{"])
def test_a_request_that_is_not_finished_ends_its_connection(client: socket.socket, begun: str) -> None:
    client.sendall(begun.encode())
    assert client.recv(1000) in (b"", b"HTTP/1.1 100 Continue\r\n\r\n")


def test_a_head_that_comes_in_drops_ends_its_connection_too(client: socket.socket) -> None:
    begun = time.monotonic()

    def ended(byte: int) -> bool:
        time.sleep(0.1)
        try:
            client.sendall(bytes([byte]))
        except OSError:
            return True
        return False

    assert any(map(ended, HEAD.encode()))
    assert 0.9 < time.monotonic() - begun < 6


def test_a_long_body_may_take_its_time_and_the_next_request_too(client: socket.socket, untouched: Session) -> None:
    for _ in range(2):
        client.sendall(f"{HEAD}\r\n".encode())
        for _ in range(6):
            time.sleep(0.3)
            client.sendall(b"     ")
        answer = http.client.HTTPResponse(client)  # head and body may come apart
        answer.begin()
        assert (answer.status, b"expected JSON" in answer.read()) == (400, True)  # no edit: all of it was read
        time.sleep(1.3)
    assert untouched.marks == {}


def test_an_edit_or_import_too_large_to_be_one_is_refused(ask: Ask) -> None:
    assert ask("/api/edit", b" " * 70_000)[0] == 413


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1:80", "127.0.0.1"),
        ("LOCALHOST", "localhost"),
        ("[::1]:5", "::1"),
        ("a b", None),
        ("x/y", None),
        ("u@x", None),
        ("x:99999", None),
    ],
)
def test_the_name_in_a_host_header(host: str, expected: str | None) -> None:
    assert host_name(host) == expected or (expected is None and host_name(host) in (None, host))


def test_a_taken_port_is_named() -> None:
    with listen("127.0.0.1", 0) as sock, pytest.raises(BusyError, match="expected a free port"):
        listen("127.0.0.1", sock.getsockname()[1])
