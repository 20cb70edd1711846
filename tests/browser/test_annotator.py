"""The annotator's page in a real headless browser: by mouse, and all of it by keyboard too."""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from handdata.annotate.pictures import list_pictures
from handdata.annotate.server import listen, make_server
from handdata.annotate.session import Session
from handdata.annotate.worker import Worker
from handdata.boxes import read_boxes

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = Path("/usr/bin/chromium")
NUM_FRAMES, SIZE, SIDE = 40, (320, 240), 56
TOKEN = "a-token"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no Chromium at {CHROMIUM}: the page cannot be tried"),
]


def place(frame: int) -> list[float]:
    """The target moves 4 px right and 2 px down a frame until frame 25, then 6 px left."""
    x = 40 + 4 * min(frame, 25) - 6 * max(frame - 25, 0)
    return [float(x), 30.0 + 2 * frame, float(SIDE), float(SIDE)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(4)

    def textured(width: int, height: int) -> np.ndarray:
        return cv2.resize(rng.integers(0, 256, (height // 6, width // 6, 3), np.uint8), (width, height))

    ground, target = textured(*SIZE) // 3, textured(SIDE, SIDE)
    for frame in range(NUM_FRAMES):
        image = ground.copy()
        x, y = (int(side) for side in place(frame)[:2])
        image[y : y + SIDE, x : x + SIDE] = target
        cv2.imwrite(str(made / f"frame_{frame}.png"), image)
    return made


@pytest.fixture
def session(folder: Path, tmp_path: Path) -> Iterator[Session]:
    tips = [[(place(i)[0] + 20, place(i)[1] + 10)] for i in range(NUM_FRAMES)]
    opened = Session(list_pictures(folder), tmp_path / "made.csv", tips=tips)
    yield opened
    opened.close()


@pytest.fixture
def address(session: Session) -> Iterator[str]:
    worker = Worker(session)
    server = make_server(session, worker, TOKEN)
    sock = listen("127.0.0.1", 0)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
    worker.start()
    thread.start()
    yield f"http://127.0.0.1:{sock.getsockname()[1]}/#{TOKEN}"
    server.should_exit = True
    thread.join(10)
    worker.stop()
    sock.close()


@pytest.fixture(scope="module")
def browser() -> Iterator["sync_api.Browser"]:
    with sync_api.sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        opened = playwright.chromium.launch(executable_path=str(CHROMIUM), args=options)
        yield opened
        opened.close()


class Annotator:
    """The page as a person sees and works it."""

    def __init__(self, page: "sync_api.Page", address: str) -> None:
        self.page = page
        self.problems: list[str] = []
        self.foreign: list[str] = []
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", lambda said: self.problems.append(said.text) if said.type == "error" else None)
        home = re.match(r"http://[^/]+/", address)
        assert home
        page.on("request", lambda sent: self._note(sent.url, home[0]))
        page.goto(address)
        self.expect(drawn="0")

    def _note(self, url: str, home: str) -> None:
        if not url.startswith((home, "data:", "blob:")):
            self.foreign.append(url)

    def expect(self, **values: str) -> None:
        """Wait until the page shows this; fails after five seconds."""
        wanted = "".join(f'[data-{name}="{value}"]' for name, value in values.items())
        self.page.wait_for_selector(f"#stage{wanted}", timeout=5000)

    def shown(self, name: str) -> str:
        return self.page.locator("#stage").get_attribute(f"data-{name}") or ""

    def box(self) -> list[float]:
        return [float(side) for side in self.shown("box").split(",")]

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def to_screen(self, x: float, y: float) -> tuple[float, float]:
        canvas = self.page.locator("#canvas").bounding_box()
        assert canvas
        scale = min(canvas["width"] / SIZE[0], canvas["height"] / SIZE[1])
        left = canvas["x"] + (canvas["width"] - SIZE[0] * scale) / 2
        return left + x * scale, canvas["y"] + (canvas["height"] - SIZE[1] * scale) / 2 + y * scale

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        mouse = self.page.mouse
        mouse.move(*self.to_screen(*start))
        mouse.down()
        mouse.move(*self.to_screen((start[0] + end[0]) / 2, end[1]))
        mouse.move(*self.to_screen(*end))
        mouse.up()

    def draw(self, box: list[float]) -> None:
        self.drag((box[0], box[1]), (box[0] + box[2], box[1] + box[3]))

    def all_tracked(self) -> None:
        self.page.wait_for_selector("#tracking", state="hidden", timeout=20_000)
        self.page.wait_for_selector('#stage[data-settled="1"]', timeout=5000)

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait until this holds; the page's policy forbids Playwright's own way of waiting, which is eval."""
        deadline = time.monotonic() + 10
        while not holds():
            assert time.monotonic() < deadline, {"box": self.shown("box"), "index": self.shown("index")}
            self.page.wait_for_timeout(20)

    def count(self, name: str) -> int:
        return int(self.page.locator(f"#num-{name}").inner_text())


@pytest.fixture
def annotator(browser: "sync_api.Browser", address: str) -> Iterator[Annotator]:
    page = browser.new_page(viewport={"width": 1100, "height": 760})
    opened = Annotator(page, address)
    yield opened
    page.close()
    assert opened.problems == []
    assert opened.foreign == []  # nothing is loaded from elsewhere


def near(box: list[float], expected: list[float], px: float = 2.0) -> bool:
    return max(abs(a - b) for a, b in zip(box, expected, strict=True)) <= px


def test_by_mouse_draw_track_doubt_correct_undo_redo_absent_export(annotator: Annotator, session: Session) -> None:
    page = annotator.page
    annotator.draw(place(0))
    annotator.expect(source="person")
    assert near(annotator.box(), place(0), 1)
    annotator.all_tracked()

    timeline = page.locator("#timeline").bounding_box()
    assert timeline
    page.mouse.click(timeline["x"] + timeline["width"] * 20.5 / NUM_FRAMES, timeline["y"] + 20)
    annotator.expect(index="20", source="tracker", drawn="20")
    assert near(annotator.box(), place(20))

    annotator.press("n")  # the most doubtful frame
    doubts = [cell.doubt for cell in session.cells()]
    assert float(annotator.shown("doubt")) == max(doubts)

    page.mouse.click(timeline["x"] + timeline["width"] * 30.5 / NUM_FRAMES, timeline["y"] + 20)
    annotator.expect(index="30", drawn="30")
    before = annotator.box()
    inside = (before[0] + SIDE / 2, before[1] + SIDE / 2)
    annotator.drag(inside, (inside[0] + 12, inside[1] + 8))  # moves the box
    annotator.expect(source="person")
    assert near(annotator.box(), [before[0] + 12, before[1] + 8, *before[2:]], 1)
    page.click("#undo")
    annotator.expect(source="tracker")
    page.click("#redo")
    annotator.expect(source="person")
    right, bottom = before[0] + 12 + SIDE, before[1] + 8 + SIDE
    annotator.drag((right, bottom), (right + 20, bottom + 20))  # resizes it, square
    annotator.until(lambda: annotator.box()[2] > SIDE + 10)
    assert annotator.box()[2] == annotator.box()[3]

    annotator.press("End")
    annotator.expect(index=str(NUM_FRAMES - 1))
    annotator.press("o")
    annotator.expect(source="absent", box="")
    with page.expect_download() as download:
        page.select_option("#export", "cvat")
    text = Path(download.value.path()).read_text()
    assert download.value.suggested_filename == "made.cvat.xml"
    assert f'<box frame="{NUM_FRAMES - 1}" keyframe="1" outside="1"' in text


def test_the_whole_work_by_keyboard_alone(annotator: Annotator, session: Session) -> None:
    """A box is made, moved and sized; watched, corrected, undone, redone; the end is absent; all is accepted."""
    x, y, w, _ = place(0)
    annotator.press("k")  # a square in the middle: 80 px at (120, 80)
    annotator.expect(source="person", box="120,80,80,80")
    annotator.press(*["-"] * ((80 - int(w)) // 2))  # smaller by 2 px each, about its centre
    annotator.press(*["Shift+ArrowLeft"] * 9, *["ArrowLeft"] * 2, *["Shift+ArrowUp"] * 6, *["ArrowUp"] * 2)
    annotator.expect(box=f"{int(x)},{int(y)},{SIDE},{SIDE}")
    deadline = time.monotonic() + 10  # the page sends a burst of nudges as one edit, a moment after the last
    while session.marks[0].box != tuple(place(0)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert session.marks[0].box == tuple(place(0))
    annotator.all_tracked()

    annotator.press("Enter")  # track on and watch
    annotator.until(lambda: int(annotator.shown("index")) >= 8)
    annotator.press("Space")
    stopped = int(annotator.shown("index"))
    annotator.until(lambda: annotator.count("reviewed") == stopped)

    annotator.press("d", "d")
    annotator.expect(index=str(stopped - 2), accepted="watched")
    annotator.press("ArrowRight")
    annotator.expect(kind="person")
    annotator.press("z")
    annotator.expect(kind="kept")
    annotator.press("y")
    annotator.expect(kind="person")
    annotator.press("f")
    annotator.expect(accepted="")  # what was played past the mistake is given back
    annotator.press("r")
    annotator.expect(accepted="reviewed")
    annotator.press("r")
    annotator.expect(accepted="")

    annotator.press("Home", "v", "v", "c")
    annotator.expect(index="10")
    annotator.press("End", "o")
    annotator.expect(source="absent", kind="absent")
    annotator.press("o")
    annotator.expect(source="tracker")
    annotator.press("Home", "x")
    first_open = next(i for i, cell in enumerate(session.cells()) if not cell.accepted)
    annotator.expect(index=str(first_open))
    annotator.all_tracked()
    annotator.press("]", "Space")
    annotator.expect(index=str(NUM_FRAMES - 1))
    annotator.until(lambda: annotator.count("reviewed") == NUM_FRAMES)
    with annotator.page.expect_download() as download:
        annotator.press("e")
        annotator.press("ArrowDown", "Enter")
    assert download.value.suggested_filename == "made.csv"
    assert all(row.reviewed for row in read_boxes(Path(download.value.path())))


def test_shift_frees_the_square(annotator: Annotator) -> None:
    annotator.page.keyboard.down("Shift")
    annotator.draw([40, 40, 120, 60])
    annotator.page.keyboard.up("Shift")
    annotator.expect(source="person")

    assert near(annotator.box(), [40, 40, 120, 60], 1)


def test_a_square_is_drawn_by_default_in_any_direction(annotator: Annotator) -> None:
    annotator.drag((200, 200), (150, 120))  # up and left: the longer side decides
    annotator.expect(source="person")

    assert near(annotator.box(), [120, 120, 80, 80], 1)


def test_wheel_zooms_about_the_pointer_and_0_shows_the_whole(annotator: Annotator) -> None:
    page = annotator.page
    annotator.draw(place(0))
    annotator.expect(source="person")
    x, y = annotator.to_screen(60, 60)
    page.mouse.move(x, y)
    page.mouse.wheel(0, -350)
    page.wait_for_timeout(100)
    page.mouse.move(*annotator.to_screen(300, 200))
    annotator.press("0")
    annotator.drag((250, 150), (290, 190))  # where the whole picture has it

    annotator.until(lambda: annotator.shown("box").startswith("250,"))
    assert near(annotator.box(), [250, 150, 40, 40], 1)


def test_a_box_that_misses_a_fingertip_is_counted(annotator: Annotator) -> None:
    annotator.draw(place(0))
    annotator.expect(source="person")
    annotator.all_tracked()
    assert annotator.count("missed") == 0

    annotator.press("f", *["Shift+ArrowDown"] * 6)
    annotator.until(lambda: annotator.count("missed") > 0)
    assert "misses a fingertip" in annotator.page.locator("#tag").inner_text()


def test_import_shows_the_files_boxes(annotator: Annotator, tmp_path: Path) -> None:
    rows = "".join(f"frame_{i}.png,{place(i)[0]},{place(i)[1]},{SIDE}.0,{SIDE}.0\n" for i in range(NUM_FRAMES))
    (tmp_path / "given.csv").write_text("img_name,x,y,w,h\n" + rows)
    annotator.page.set_input_files("#import", tmp_path / "given.csv")

    annotator.expect(kind="imported", source="tracker", box=",".join(f"{side:g}" for side in place(0)))
    annotator.page.set_input_files("#import", {"name": "x.csv", "mimeType": "text/csv", "buffer": b"nothing"})
    annotator.page.wait_for_selector("#toast:not([hidden])")
    assert "the imported file:1: expected the columns" in annotator.page.locator("#toast").inner_text()
    annotator.problems.clear()  # the browser logs the refusal as an error


def test_what_the_server_tracks_shows_while_the_person_works_on(annotator: Annotator) -> None:
    annotator.draw(place(0))
    annotator.expect(source="person")
    annotator.press("f", "f", "f")
    annotator.expect(index="3", drawn="3")
    annotator.expect(index="3", source="tracker", settled="1")

    assert near(annotator.box(), place(3))


def test_the_page_comes_back_as_it_was(annotator: Annotator, address: str) -> None:
    annotator.draw(place(0))
    annotator.expect(source="person")
    drawn = annotator.shown("box")
    annotator.page.goto("about:blank")
    annotator.page.goto(address)

    annotator.expect(source="person", box=drawn)


def test_without_the_token_the_page_says_what_to_do(browser: "sync_api.Browser", address: str) -> None:
    page = browser.new_page()
    page.goto(address.split("#", maxsplit=1)[0])
    page.wait_for_selector("#toast:not([hidden])")

    assert "open the page under the address that was printed" in page.locator("#toast").inner_text()
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark_are_readable(browser: "sync_api.Browser", address: str, session: Session, scheme: str) -> None:
    """Ink on panel has a contrast of at least 7 to 1 in both (WCAG 2.2, 1.4.6)."""
    page = browser.new_page(color_scheme=scheme)
    annotator = Annotator(page, address)
    annotator.draw(place(0))
    annotator.all_tracked()
    colors = page.evaluate(
        "(() => { const s = getComputedStyle(document.querySelector('header'));"
        "return JSON.stringify([s.color, s.backgroundColor]) })()"
    )
    light = sorted(luminance(color) for color in json.loads(colors))
    page.close()

    assert (light[1] + 0.05) / (light[0] + 0.05) >= 7


def test_a_narrow_window_shows_every_button(browser: "sync_api.Browser", address: str) -> None:
    page = browser.new_page(viewport={"width": 420, "height": 700})
    annotator = Annotator(page, address)
    annotator.draw(place(0))
    annotator.all_tracked()
    sides = page.evaluate(
        "JSON.stringify([...document.querySelectorAll('body *')].map(e => e.getBoundingClientRect()))"
    )
    page.close()

    assert max(rectangle["right"] for rectangle in json.loads(sides)) <= 420


def luminance(color: str) -> float:
    """Relative luminance of `rgb(r, g, b)` by WCAG 2.2."""
    channels = [int(part) / 255 for part in re.findall(r"\d+", color)[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
