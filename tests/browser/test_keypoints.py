"""The page of keypoints in a real headless browser: each verb by mouse, and all of it by keyboard alone."""

import json
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handdata.annotate.keypoints.page_state import PointPlace
from handdata.annotate.keypoints.session import PointSession
from handdata.annotate.pictures import list_pictures
from handdata.annotate.server import make_server
from handdata.annotate.worker import Worker
from tests.annotate.keypoints.made_hands import HEIGHT, NUM_FRAMES, WIDTH, made_finder, truth, write_pictures
from tests.browser.stage import WAIT_MS, Stage, barriers
from tests.served import served

TOKEN = "a-token"
TIP = 8

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("pictures")
    write_pictures(made)
    return made


@pytest.fixture
def session(folder: Path, tmp_path: Path) -> Iterator[PointSession]:
    opened = PointSession(list_pictures(folder, any_size=True), tmp_path / "made.json", finder=made_finder())
    yield opened
    opened.close()


@pytest.fixture
def address(session: PointSession) -> Iterator[str]:
    worker = Worker(session)
    with served(make_server(PointPlace(session), worker, TOKEN), worker) as port:
        yield f"http://127.0.0.1:{port}/#{TOKEN}"


class Points(Stage):
    """The page as a person sees and works it."""

    SIZE = (WIDTH, HEIGHT)

    def __init__(self, page: Any, address: str) -> None:
        super().__init__(page, address, hands="1", left="0", drawn="0")

    def place(self) -> np.ndarray:
        return np.array([float(value) for value in self.shown("place").split(",")])

    def slide(self, start: np.ndarray, end: np.ndarray) -> None:
        """Drag from one centre of a pixel to another."""
        self.drag(start + 0.5, (start + end) / 2 + 0.5, end + 0.5)


@pytest.fixture
def points(browser: Any, address: str) -> Iterator[Points]:
    page = browser.new_page(viewport={"width": 1100, "height": 760})
    opened = Points(page, address)
    yield opened
    page.close()
    assert opened.problems == []
    assert opened.foreign == []  # nothing is loaded from elsewhere


def test_by_mouse_drag_states_side_hands_accept_undo(points: Points, session: PointSession) -> None:
    page, target = points.page, truth(0)[TIP]
    points.slide(session.cell(0).hands[0].uv[TIP], target)
    points.expect(source="person", k=str(TIP))
    points.until(lambda: bool(np.abs(points.place() - target).max() < 1))
    points.expect(saved="saved")

    page.click("#undo")
    points.expect(source="model")
    page.click("#redo")
    points.expect(source="person")
    page.click("button[data-state=occluded]")
    points.expect(state="occluded")
    page.click("button[data-state=absent]")
    points.expect(state="absent", place="")
    page.click("#undo")
    points.expect(state="occluded")
    page.click("#side")
    points.expect(side="unknown")

    points.slide(np.array([150.0, 10.0]), np.array([190.0, 50.0]))  # a box for one more hand
    points.expect(hands="2", hand="1")
    page.click('button[data-key="backspace"]')
    points.expect(hands="1")
    assert page.locator("#take-back").is_disabled()  # there is nothing to take back
    page.click("#accept")
    points.expect(index="1")
    assert session.cell(0).accepted

    timeline = page.locator("#timeline").bounding_box()
    assert timeline
    page.mouse.click(timeline["x"] + timeline["width"] * 6.5 / NUM_FRAMES, timeline["y"] + 20)
    points.expect(index="6", drawn="6")
    page.click('button[data-key="p"]')
    points.expect(source="copied")
    page.click('button[data-key="delete"]')
    points.until(lambda: points.shown("source") != "copied")


def test_by_keyboard_alone(points: Points, session: PointSession, tmp_path: Path) -> None:
    target = truth(0)[TIP]
    points.press("2")
    points.expect(k="7")
    points.press("w")
    points.expect(k=str(TIP))
    before = points.place()
    points.press(*["ArrowLeft"] * 6)
    points.until(lambda: bool(np.abs(points.place() - (before - [6, 0])).max() < 0.01))
    points.expect(source="person", saved="saved")
    assert np.abs(session.cell(0).hands[0].uv[TIP] - target).max() < 1

    points.press("Control+ArrowUp", "Shift+ArrowDown", "o")
    points.expect(state="occluded")
    points.press("i")
    points.expect(state="visible")
    points.press("u")
    points.expect(state="outside")
    points.press("z", "m")
    points.expect(state="absent")
    points.press("Control+z")
    points.expect(state="visible")
    points.press("a")
    points.expect(hands="2", hand="1")
    points.press("h")
    points.expect(hand="0")
    points.press("s")
    points.expect(side="unknown")
    points.press("h", "Backspace")
    points.expect(hands="1")
    points.press("a")
    points.expect(hands="2")
    points.press("h", "Backspace")
    points.expect(hands="1", hand="1")
    assert points.page.locator("#hand").inner_text() == "Hand 1 of 1"
    points.press("z", "z")
    points.expect(hands="1", hand="0")
    points.press("Enter")
    points.expect(index="1", accepted="0")
    points.press("p")
    points.expect(source="copied", left="0")
    points.press("Shift+Enter")
    points.until(lambda: all(cell.accepted for cell in session.cells()))
    points.press("Home")
    points.expect(index="0", accepted="1")
    points.press("r")
    points.expect(accepted="0")
    points.press("y", "End", "g")
    points.page.keyboard.type("4")
    points.press("Enter")
    points.expect(index="3")
    points.press("r")
    points.expect(accepted="0")

    points.press("e")
    with points.page.expect_download() as download:
        points.press("Enter")
    download.value.save_as(tmp_path / "kept.json")
    kept = json.loads((tmp_path / "kept.json").read_text())
    assert len(kept["annotations"]) == NUM_FRAMES - 1  # the frame taken back holds proposals alone


def test_undo_shows_the_frame_that_it_changes(points: Points) -> None:
    points.press("ArrowLeft")
    points.expect(source="person", saved="saved")
    points.press("End", "z")
    points.expect(index="0", source="model")
    assert points.page.locator("#notice").inner_text() == "Undone on frame 1."
    points.press("End", "y")
    points.expect(index="0", source="person")


def test_accepting_a_stretch_says_how_many_and_which_are_left(
    points: Points, session: PointSession, monkeypatch
) -> None:
    points.press("f", "f", "f", "r")
    points.expect(index="3", accepted="1")
    monkeypatch.setattr(session, "left", lambda: 1)  # something goes on in the background
    points.press("Home", "Shift+Enter")
    points.expect(index="4")
    assert points.page.locator("#notice").inner_text() == "3 accepted."


def test_escape_leaves_a_point_as_it_was_and_the_queue_is_walked(points: Points, session: PointSession) -> None:
    before = points.place()
    points.press_at_once("ArrowLeft", "Escape")
    points.until(lambda: bool(np.abs(points.place() - before).max() < 0.01))
    assert session.marks == {}
    points.press("ArrowDown")
    points.page.mouse.move(*points.to_screen(*(before + 0.5)))
    points.expect(source="person")
    points.press("n")
    points.until(lambda: not points.page.locator("#notice").is_hidden())


LONG_TAG_MEETS_THE_SKELETON = """() => {
  spatial.hidden = false;
  tag.append(" · nearer than index dip · doubt 0.24 (unsure) · accepted");
  const words = tag.getBoundingClientRect(), drawing = spatial.getBoundingClientRect();
  return words.right > drawing.left && words.bottom > drawing.top;
}"""


@pytest.mark.parametrize(("width", "height", "scheme"), [(1400, 900, "dark"), (390, 844, "light")])
def test_no_barrier_and_nothing_hangs_over(browser, address, axe, width, height, scheme):
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, bypass_csp=True)
    page = context.new_page()
    points = Points(page, address)
    page.evaluate(axe)

    assert barriers(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("#canvas").bounding_box()["height"] > height / 4
    assert not page.evaluate(LONG_TAG_MEETS_THE_SKELETON)
    points.press("?")
    assert barriers(page) == []
    assert points.problems == []
    assert points.foreign == []
    context.close()


def test_keys_of_others_do_nothing_without_the_token(address: str, browser: Any) -> None:
    page = browser.new_page()
    page.goto(address.split("#", maxsplit=1)[0])
    page.wait_for_selector("#toast:not([hidden])", timeout=WAIT_MS)
    assert "token" in page.locator("#toast").inner_text()
    page.close()


def test_two_tabs_show_what_the_other_did(points: Points, browser: Any, address: str, session: PointSession) -> None:
    page = browser.new_page(viewport={"width": 1100, "height": 760})
    other = Points(page, address)
    points.slide(session.cell(0).hands[0].uv[TIP], truth(0)[TIP])
    points.expect(source="person", saved="saved")
    other.expect(source="person", place=points.shown("place"))  # by its next look
    other.press("s")
    points.expect(side="unknown")
    other.press("z", "z")
    points.expect(source="model", side="right")
    assert session.marks == {}
    page.close()
    assert other.problems == []


def test_a_full_disk_is_one_line_and_what_was_saved_stays(
    points: Points, session: PointSession, file_limit: Any
) -> None:
    points.press("ArrowLeft")
    points.expect(source="person", saved="saved")
    before, journal = session.marks, session.path.with_suffix(".journal")
    file_limit(journal.stat().st_size + 40)
    points.press("ArrowLeft")
    points.page.wait_for_selector("#toast:not([hidden])", timeout=WAIT_MS)
    assert points.page.locator("#toast").inner_text() == "not saved: No space left on device. The edit was not made."
    assert session.marks == before
    file_limit(resource.RLIM_INFINITY)
    points.press("o")
    points.expect(state="occluded", saved="saved")
    lines = journal.read_text().splitlines()
    assert [json.loads(line).get("op") for line in lines] == [None, "place", "state"]
    points.problems.clear()  # the browser's own line of the answer 507
