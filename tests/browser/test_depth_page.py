"""Depth labelled in 3D in a real headless browser: what it has beyond the page of keypoints, by mouse and by keys."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handdata.annotate.depth.derive import survey
from handdata.annotate.depth.pictures import pictures_of, to_shown
from handdata.annotate.depth.place import DepthPlace
from handdata.annotate.depth.recording import DepthRecording
from handdata.annotate.depth.session import DepthSession
from handdata.annotate.server import make_server
from handdata.annotate.worker import Worker
from tests.annotate.depth.rendered import FRAMES, click_frame, clicked, made_recording
from tests.browser.stage import Stage, barriers
from tests.served import served

TOKEN = "a-token"

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> DepthRecording:
    return made_recording(tmp_path_factory.mktemp("recording"))


@pytest.fixture
def session(recording: DepthRecording, tmp_path: Path) -> Iterator[DepthSession]:
    found = survey(recording, 3)
    opened = DepthSession(pictures_of(recording, found.centres), tmp_path / "made.3d.json", found)
    yield opened
    opened.close()


@pytest.fixture
def address(session: DepthSession) -> Iterator[str]:
    worker = Worker(session)
    with served(make_server(DepthPlace(session), worker, TOKEN), worker) as port:
        yield f"http://127.0.0.1:{port}/#{TOKEN}"


class Depth(Stage):
    """The page as a person sees and works it."""

    SIZE = (640, 480)
    PATIENCE_S = 60.0

    def __init__(self, page: Any, address: str) -> None:
        super().__init__(page, address, hands="0", asked="reference")


@pytest.fixture
def depth(browser: Any, address: str) -> Iterator[Depth]:
    page = browser.new_page(viewport={"width": 1100, "height": 760})
    opened = Depth(page, address)
    yield opened
    page.close()
    assert opened.problems == []
    assert opened.foreign == []


def test_by_mouse_a_box_a_point_the_ends_and_the_next_frame_with_a_proposal(
    depth: Depth, session: DepthSession, recording: DepthRecording
) -> None:
    page, first = depth.page, session.survey.references[0]
    assert page.locator("#num-reference").inner_text() == "3"
    depth.expect(index=str(first), drawn=str(first))  # what is asked for first is in view
    uv = to_shown(clicked([first]).uv[0])
    depth.drag(uv.min(0) - 10, uv.mean(0), uv.max(0) + 10)
    depth.expect(hands="1", side="left")
    at = session.cell(first).hands[0].uv[8]
    depth.drag(at + 0.5, (at + uv[8]) / 2 + 0.5, uv[8] + 0.5)
    depth.expect(k="8", source="person", end="0")

    page.click("button[data-state=occluded]")
    depth.expect(state="occluded")
    assert "next: index tip" in page.locator("#hint").inner_text()
    page.click("button[data-end='-1']")
    depth.expect(end="-1")
    depth.until(lambda: session.cell(first).hands[0].nearer[7] == -1)
    assert "nearer than index dip" in page.locator("#tag").inner_text()
    page.click("button[data-end='1']")
    depth.expect(end="1")
    page.click("button[data-end='1']")
    depth.expect(end="0")
    assert session.cell(first).hands[0].nearer == ()
    page.click("#undo")
    depth.expect(end="1")

    click_frame(session, first)
    depth.until(lambda: depth.shown("accepted") == "1" and depth.shown("left") == "0")
    depth.until(lambda: depth.shown("fit") == "1")
    page.click("#queue button")
    depth.expect(asked="reference", hands="1", source="model")
    depth.until(lambda: depth.shown("fit") == "1")  # the hand that was carried there, in 3D
    page.click("#accept")
    depth.until(lambda: page.locator("#num-reference").inner_text() == "1")
    depth.expect(asked="reference")


def test_the_last_frame_that_was_asked_for_is_told(depth: Depth, session: DepthSession) -> None:
    for frame in session.survey.references:
        click_frame(session, frame)
        session.release(frame, frame)
        if frame != int(depth.shown("index")):
            session.accept(frame, frame)
    depth.until(lambda: depth.page.locator("#num-reference").inner_text() == "1")
    depth.press("Enter")
    depth.until(lambda: "Every frame that was asked for is labelled" in depth.page.locator("#notice").inner_text())


def test_by_keyboard_alone(depth: Depth, session: DepthSession, tmp_path: Path) -> None:
    first = int(depth.shown("index"))
    depth.press("n")
    depth.until(lambda: int(depth.shown("index")) != first)
    depth.expect(asked="reference")
    frame = int(depth.shown("index"))
    depth.press("a")
    depth.expect(hands="1")
    depth.press("o")
    depth.expect(k="8", state="occluded")
    depth.press("q", "k")
    depth.expect(k="8")
    depth.press(",")
    depth.expect(end="-1")
    depth.press(".")
    depth.expect(end="1")
    depth.press("z")
    depth.expect(end="-1")
    depth.press("q", "q", "q", "q", "q", "q", "q", "q")
    depth.expect(k="0")
    depth.press(",")
    depth.until(lambda: "No bone leads to the wrist" in depth.page.locator("#notice").inner_text())
    depth.press("e")
    depth.page.keyboard.press("Enter")
    depth.page.wait_for_selector("#toast:not([hidden])")
    assert "no frame" not in depth.page.locator("#toast").inner_text()
    depth.problems.clear()  # the browser's own line of the refusal

    click_frame(session, frame)
    depth.until(lambda: depth.shown("left") == "0" and session.derivation.whole)
    depth.press("Home", "e")
    with depth.page.expect_download() as download:
        depth.press("Enter")
    download.value.save_as(tmp_path / "kept.json")
    assert len(json.loads((tmp_path / "kept.json").read_text())["annotations"]) == FRAMES


@pytest.mark.parametrize(("width", "height", "scheme"), [(1400, 900, "dark"), (390, 844, "light")])
def test_no_barrier_and_nothing_hangs_over(
    browser: Any, address: str, axe: str, session: DepthSession, width: int, height: int, scheme: str
) -> None:
    session.begin(0, (200.0, 100.0, 400.0, 400.0))
    session.set_state(0, 0, [7, 8], "occluded")
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, bypass_csp=True)
    page = context.new_page()
    opened = Stage(page, address, asked="reference")
    opened.press("Home")
    opened.expect(hands="1", drawn="0")
    page.evaluate(axe)

    assert not page.locator("#hint").is_hidden()
    assert barriers(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("#canvas").bounding_box()["height"] > height / 4
    opened.press("?")
    assert barriers(page) == []
    assert opened.problems == []
    context.close()


def test_the_pages_of_others_lack_what_depth_has(depth: Depth) -> None:
    assert depth.page.locator(".depth:visible").count() > 0
    assert depth.page.locator(".flat:visible").count() == 0
    assert np.isfinite(float(depth.shown("left")))
