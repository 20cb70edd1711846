"""The annotator's page in a real headless browser: by mouse, and all of it by keyboard too."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from handdata.annotate.page_state import BoxPlace
from handdata.annotate.pictures import list_pictures
from handdata.annotate.server import make_server
from handdata.annotate.session import Session
from handdata.annotate.tracker import TrackerSettings
from handdata.annotate.worker import Worker
from handdata.boxes import read_boxes
from tests.browser.stage import WAIT_MS, Stage
from tests.served import served

NUM_FRAMES, SIZE, SIDE = 40, (320, 240), 56
TOKEN = "a-token"

pytestmark = pytest.mark.browser


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
    opened = Session(list_pictures(folder), tmp_path / "made.csv", TrackerSettings("kcf"), tips)
    yield opened
    opened.close()


@pytest.fixture
def address(session: Session) -> Iterator[str]:
    worker = Worker(session)
    with served(make_server(BoxPlace(session), worker, TOKEN), worker) as port:
        yield f"http://127.0.0.1:{port}/#{TOKEN}"


class Annotator(Stage):
    """The page as a person sees and works it."""

    SIZE = SIZE
    PATIENCE_S = 10.0

    def __init__(self, page: Any, address: str) -> None:
        super().__init__(page, address, drawn="0")

    def box(self) -> list[float]:
        return [float(side) for side in self.shown("box").split(",")]

    def draw(self, box: list[float]) -> None:
        self.pull((box[0], box[1]), (box[0] + box[2], box[1] + box[3]))

    def pull(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Drag from one place to another, half of the way across first."""
        self.drag(start, ((start[0] + end[0]) / 2, end[1]), end)

    def all_tracked(self) -> None:
        self.page.wait_for_selector("#tracking", state="hidden", timeout=20_000)
        self.page.wait_for_selector('#stage[data-settled="1"]', timeout=WAIT_MS)

    def count(self, name: str) -> int:
        return int(self.page.locator(f"#num-{name}").inner_text())


@pytest.fixture
def annotator(browser: Any, address: str) -> Iterator[Annotator]:
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
    annotator.until(lambda: float(annotator.shown("doubt")) == max(cell.doubt for cell in session.cells()))

    page.mouse.click(timeline["x"] + timeline["width"] * 30.5 / NUM_FRAMES, timeline["y"] + 20)
    annotator.expect(index="30", drawn="30")
    before = annotator.box()
    inside = (before[0] + SIDE / 2, before[1] + SIDE / 2)
    annotator.pull(inside, (inside[0] + 12, inside[1] + 8))  # moves the box
    annotator.expect(source="person")
    assert near(annotator.box(), [before[0] + 12, before[1] + 8, *before[2:]], 1)
    page.click("#undo")
    annotator.expect(source="tracker")
    page.click("#redo")
    annotator.expect(source="person")
    right, bottom = before[0] + 12 + SIDE, before[1] + 8 + SIDE
    annotator.pull((right, bottom), (right + 20, bottom + 20))  # resizes it, square
    annotator.until(lambda: annotator.box()[2] > SIDE + 10)
    assert annotator.box()[2] == annotator.box()[3]

    annotator.press("End")
    annotator.expect(index=str(NUM_FRAMES - 1))
    annotator.press("o")
    annotator.expect(source="absent", box="")
    with page.expect_download() as download:
        page.click("#export")
        page.click('[data-kind="cvat"]')
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

    annotator.press("[", "[", "Enter")  # track on and watch, so slowly that a busy machine is not at the end meanwhile
    annotator.until(lambda: int(annotator.shown("index")) >= 16)
    annotator.press("Space", "]", "]")  # goes back by the reaction time: what comes after is not taken as seen
    annotator.press("d", "d", "f", "f", "d", "d")
    stopped = int(annotator.shown("index")) + 2
    annotator.until(lambda: annotator.count("reviewed") == stopped + 1)

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
    annotator.all_tracked()
    annotator.press("Home", "x")
    annotator.until(lambda: annotator.shown("accepted") == "" and int(annotator.shown("index")) > 0)
    annotator.all_tracked()
    annotator.press("]", "Space")
    annotator.expect(index=str(NUM_FRAMES - 1))
    annotator.until(lambda: annotator.count("reviewed") == NUM_FRAMES)
    with annotator.page.expect_download() as download:
        annotator.press("e", "ArrowDown", "ArrowUp", "Enter")
    assert download.value.suggested_filename == "made.csv"
    assert all(row.reviewed for row in read_boxes(Path(download.value.path())))


def test_shift_frees_the_square(annotator: Annotator) -> None:
    annotator.page.keyboard.down("Shift")
    annotator.draw([40, 40, 120, 60])
    annotator.page.keyboard.up("Shift")
    annotator.expect(source="person")

    assert near(annotator.box(), [40, 40, 120, 60], 1)


def test_a_square_is_drawn_by_default_in_any_direction(annotator: Annotator) -> None:
    annotator.pull((200, 200), (150, 120))  # up and left: the longer side decides
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
    page.keyboard.down("Control")  # anew, over the box that is drawn already
    annotator.pull((250, 150), (290, 190))  # where the whole picture has it
    page.keyboard.up("Control")

    annotator.until(lambda: annotator.shown("box").startswith("250,"))
    assert near(annotator.box(), [250, 150, 40, 40], 1)


def test_undo_shows_the_frame_that_it_changes(annotator: Annotator) -> None:
    annotator.draw(place(0))
    annotator.expect(source="person")
    annotator.all_tracked()
    annotator.press("v", "v", "z")
    annotator.expect(index="0", source="lost")
    assert annotator.page.locator("#notice").inner_text() == "Undone on frame 1."
    annotator.press("End", "y")
    annotator.expect(index="0", source="person")


def test_the_page_says_that_all_is_saved_and_what_the_button_of_accepting_does(annotator: Annotator) -> None:
    page = annotator.page
    annotator.expect(saved="saved")
    assert page.locator("#saved").is_visible()
    annotator.draw(place(0))
    annotator.expect(source="person", saved="saved")
    assert page.locator("#accept").is_disabled()  # a drawn box is accepted as it is
    annotator.press("ArrowRight")
    annotator.expect(saved="saving")
    annotator.expect(saved="saved")
    annotator.all_tracked()
    annotator.press("f")
    page.click("#accept")
    annotator.expect(accepted="reviewed")
    assert page.locator("#accept").inner_text() == "Take back"
    page.click("#accept")
    annotator.expect(accepted="")
    assert page.locator("#accept").inner_text() == "Accept"


PAINTED = """heights => { const strip = document.getElementById("timeline"), context = strip.getContext("2d");
    return heights.map(y => String(context.getImageData(0.75 * strip.width, y * devicePixelRatio, 1, 1).data)); }"""


def test_a_box_that_misses_a_fingertip_is_counted(annotator: Annotator) -> None:
    miss, ground = annotator.page.evaluate(PAINTED, [20, 40])
    assert miss == ground  # where no box is, none misses a fingertip
    annotator.draw(place(0))
    annotator.expect(source="person")
    annotator.all_tracked()
    assert annotator.page.locator("#num-tip").count() == 0

    annotator.press("f", *["Shift+ArrowDown"] * 6)
    annotator.until(lambda: annotator.page.locator("#num-tip").count() > 0 and annotator.count("tip") > 0)
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


def test_without_the_token_the_page_says_what_to_do(browser: Any, address: str) -> None:
    page = browser.new_page()
    page.goto(address.split("#", maxsplit=1)[0])
    page.wait_for_selector("#toast:not([hidden])")

    assert "open the page under the address that was printed" in page.locator("#toast").inner_text()
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark_are_readable(browser: Any, address: str, session: Session, scheme: str) -> None:
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


@pytest.mark.parametrize("width", [390, 420])
def test_a_narrow_window_shows_and_works_every_step(browser: Any, address: str, width: int, session: Session) -> None:
    """Steps, accept, absent, keyframe and zoom are there without a keyboard."""
    page = browser.new_page(viewport={"width": width, "height": 760})
    annotator = Annotator(page, address)
    annotator.draw(place(0))
    annotator.expect(source="person")
    annotator.all_tracked()
    sides = page.evaluate(
        "JSON.stringify([...document.querySelectorAll('body *')].map(e => e.getBoundingClientRect()))"
    )
    assert max(rectangle["right"] for rectangle in json.loads(sides)) <= width
    assert min(rectangle["bottom"] for rectangle in json.loads(sides) if rectangle["bottom"]) >= 0
    assert page.locator("#canvas").bounding_box()["height"] > 200

    page.click('[data-key="f"]')
    annotator.expect(index="1", source="tracker")
    page.click('[data-key="r"]')
    annotator.expect(accepted="reviewed")
    page.click('[data-key="v"]')
    annotator.expect(index="11")
    page.click('[data-key="o"]')
    annotator.expect(source="absent")
    page.click('[data-key="o"]')
    annotator.expect(source="tracker")
    page.click("#zoom-in")
    page.click('[data-key=","]')
    annotator.expect(index="0")
    page.close()


def test_a_narrow_window_is_worked_by_keyboard_alone(browser: Any, address: str, tmp_path: Path) -> None:
    """Nothing moves while the tracker works, the help begins at its top, and Import is reached by Tab."""
    page = browser.new_page(viewport={"width": 390, "height": 844})
    given = tmp_path / "given.csv"
    given.write_text("img_name,x,y,w,h\nframe_0.png,30,40,50,60\n")
    page.on("filechooser", lambda chooser: chooser.set_files(given))  # `expect_file_chooser` may begin after the key
    annotator = Annotator(page, address)
    assert "press K" in page.locator("#hint").inner_text()
    header = page.locator("header").bounding_box()
    annotator.press("k")
    annotator.expect(source="person")
    page.wait_for_selector("#tracking")
    assert page.locator("header").bounding_box() == header
    annotator.all_tracked()
    annotator.press("?")
    assert page.locator("#help-title").bounding_box()["y"] > 0
    annotator.press("Escape")

    page.keyboard.press("Shift+Tab")
    for _ in range(20):
        if page.evaluate("document.activeElement.id") == "import-button":
            break
        page.keyboard.press("Shift+Tab")
    annotator.press("Enter")
    annotator.expect(box="30,40,50,60")
    page.close()


CLICKED = ('[data-key="]"]', "#zoom-in", "#help-button", "#export", "#counter", "#name", "#undo", "#redo")
OPENING = {"#help-button": "#help", "#export": "#export-dialog", "#counter": "#goto", "#name": "#sequences"}


def test_keys_work_whatever_was_clicked(annotator: Annotator) -> None:
    page = annotator.page
    annotator.draw(place(0))
    annotator.expect(source="person")
    annotator.all_tracked()
    for index, selector in enumerate(CLICKED, start=1):
        page.click(selector)
        if selector in OPENING:
            page.wait_for_selector("dialog[open]")
            annotator.press("Escape")
            page.wait_for_selector("dialog[open]", state="detached")
        if selector in ("#undo", "#redo"):
            annotator.expect(index="0")  # of the edit
        annotator.press("f")
        annotator.expect(index="1" if selector in ("#undo", "#redo") else str(index))
    page.click('[data-key="["]')
    annotator.press("Enter")
    annotator.until(lambda: page.locator("#play").inner_text() == "Stop")


def test_the_doubt_of_a_box_says_in_words_what_it_is_of(annotator: Annotator, session: Session) -> None:
    session.keyframe(0, (-20.0, *place(0)[1:]))  # a third of it hangs over the edge, and so does the next one
    annotator.press("f")
    annotator.until(lambda: "(partly outside)" in annotator.page.locator("#tag").inner_text())


def test_escape_leaves_the_box_as_it_was(annotator: Annotator, session: Session) -> None:
    annotator.draw(place(0))
    annotator.expect(source="person")
    drawn, mouse = annotator.box(), annotator.page.mouse
    mouse.move(*annotator.to_screen(60, 50))
    mouse.down()
    mouse.move(*annotator.to_screen(120, 110))
    annotator.press("Escape")
    mouse.move(*annotator.to_screen(130, 120))
    mouse.up()
    annotator.press_at_once("ArrowRight", "Escape")  # and moves by key
    annotator.page.wait_for_timeout(400)

    assert annotator.box() == drawn
    assert session.marks[0].box == tuple(drawn)


def test_a_stray_drag_or_click_does_not_replace_a_drawn_box(annotator: Annotator, session: Session) -> None:
    annotator.draw(place(0))
    annotator.expect(source="person")
    drawn = annotator.box()
    annotator.pull((200, 150), (260, 210))
    assert "drawn already" in annotator.page.locator("#notice").inner_text()
    annotator.pull((60, 50), (60.5, 50))
    annotator.page.wait_for_timeout(200)

    assert annotator.box() == drawn
    assert session.marks[0].box == tuple(drawn)


def test_frames_stepped_past_are_seen_and_stay(annotator: Annotator, session: Session) -> None:
    annotator.draw(place(0))
    annotator.expect(source="person")
    annotator.all_tracked()
    for index in range(1, 6):
        annotator.press("f")
        annotator.expect(index=str(index), drawn=str(index))
    annotator.until(lambda: annotator.count("reviewed") == 5)  # the drawn one and 1 to 4; 5 is still in view
    before = [cell.box for cell in session.cells()[:5]]
    annotator.press("End")
    annotator.draw([100, 60, 90, 90])  # elsewhere
    annotator.all_tracked()

    assert [cell.box for cell in session.cells()[:5]] == before


def test_what_was_seen_and_may_change_is_named(annotator: Annotator) -> None:
    annotator.draw(place(0))
    annotator.expect(source="person")
    annotator.all_tracked()
    annotator.press("v")
    annotator.expect(index="10", drawn="10")
    for index in (9, 8, 7):
        annotator.press("d")
        annotator.expect(index=str(index), drawn=str(index))
    annotator.until(lambda: annotator.count("reviewed") == 4)
    annotator.press("Shift+ArrowRight")
    annotator.page.wait_for_selector("#notice:not([hidden])")

    assert "Seen before, and now with the tracker again: 9 to 11." in annotator.page.locator("#notice").inner_text()


def test_an_accepted_stretch_that_a_new_box_contradicts_is_asked_about(annotator: Annotator, session: Session) -> None:
    """One key each: N goes there, A follows the new box, R keeps what was accepted."""
    session.keyframe(0, (240.0, 20.0, 56.0, 56.0))  # not the target
    annotator.until(lambda: session.left_to_track() == 0)
    session.review(11, 30)
    session.keyframe(10, tuple(place(10)))
    annotator.until(lambda: session.left_to_track() == 0)
    annotator.until(lambda: annotator.page.locator("#num-disputed").count() > 0)
    annotator.press("n")
    annotator.expect(disputed="1")
    assert "A: follow that box. R: keep these." in annotator.page.locator("#hint").inner_text()
    annotator.press("r")
    annotator.expect(disputed="0", accepted="confirmed")
    annotator.press("z")
    annotator.expect(disputed="1")
    annotator.press("a")
    annotator.expect(disputed="0", accepted="")
    assert near(annotator.box(), place(int(annotator.shown("index"))))


# Somebody who looks at the page, in the page: however busy the machine is, the key comes after what was seen.
PERSON = """([from, reaction]) => new Promise((done) => {
  const shown = [[performance.now(), Number(stage.dataset.index)]];
  const press = (target, key) => {
    const event = new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true });
    target.dispatchEvent(event);
    return event.timeStamp;
  };
  new MutationObserver(() => {
    const now = performance.now(), index = Number(stage.dataset.index), before = shown.at(-1)[1];
    if (index === before) return;
    shown.push([now, index]);
    if (index < from || before >= from) return;
    setTimeout(() => {
      const seen = [...shown], at = press(document.activeElement, " ");
      done({ at, shown: seen, index: Number(stage.dataset.index) });
    }, reaction);
  }).observe(stage, { attributes: true, attributeFilter: ["data-index"] });
  press(stage.querySelector("canvas"), "Enter");
})"""


def test_a_correction_while_playing_costs_four_keys_at_most(annotator: Annotator, session: Session) -> None:
    """The person sees the box leave the hand, and presses a key 400 ms later."""
    wrong = [*place(12)[:2], 90.0, 90.0]
    session.keyframe(0, tuple(place(0)))
    session.keyframe(12, tuple(wrong))  # from here on it is wrong
    annotator.all_tracked()
    said = annotator.page.evaluate(PERSON, [12, 400])
    saw = max(index for since, index in said["shown"] if since <= said["at"] - 400)
    steps = abs(said["index"] - 12)

    assert abs(said["index"] - saw) <= 1
    assert 2 + steps <= 4 + (saw - 12)  # a machine too busy to press in time is late by what it showed since


def test_go_to_a_frame_by_number_or_name_and_from_drawn_frame_to_drawn_frame(annotator: Annotator) -> None:
    page = annotator.page
    annotator.draw(place(0))
    annotator.expect(source="person")
    annotator.all_tracked()
    annotator.press("g")
    page.keyboard.type("31")
    annotator.press("Enter")
    annotator.expect(index="30")
    annotator.press("k", "g")
    page.keyboard.type("frame_7.png")
    annotator.press("Enter")
    annotator.expect(index="7")
    annotator.press(".")
    annotator.expect(index="30")
    annotator.press(",")
    annotator.expect(index="0")
    for said, index in (("03", "2"), ("0", "0")):  # no number of a frame begins with 0: a name, if there is one
        annotator.press("g")
        page.keyboard.type(said)
        annotator.press("Enter")
        annotator.expect(index=index)
    annotator.press("g")
    page.keyboard.type("nowhere")
    annotator.press("Enter")
    page.wait_for_selector("#toast:not([hidden])")
    assert "No picture nowhere." in page.locator("#toast").inner_text()


def test_what_is_no_refusal_is_not_said_in_red_and_nothing_lies_on_it(annotator: Annotator, session: Session) -> None:
    page = annotator.page
    annotator.press("n")  # nothing is drawn, so nothing can be accepted
    assert page.locator("#notice").inner_text() == "Nothing to look at yet."
    annotator.draw(place(0))
    annotator.expect(source="person")
    annotator.until(lambda: session.left_to_track() == 0)
    session.review(0, NUM_FRAMES - 1)
    annotator.until(lambda: page.locator("#num-reviewed").inner_text() == str(NUM_FRAMES))
    annotator.press("x")
    assert page.locator("#notice").inner_text() == "Every frame is accepted."
    assert page.locator("#toast").is_hidden()

    annotator.press("g")
    page.keyboard.type("nowhere")
    annotator.press("Enter", "b")
    page.wait_for_selector("#toast:not([hidden])")
    refusal, notice = (page.locator(name).bounding_box() for name in ("#toast", "#notice"))
    assert refusal
    assert notice
    assert refusal["y"] + refusal["height"] <= notice["y"]


def test_a_box_that_nobody_took_is_not_left_on_the_picture(annotator: Annotator) -> None:
    page = annotator.page
    pixels = "c => c.toDataURL()"
    before = page.locator("#canvas").evaluate(pixels)
    page.route("**/api/edit", lambda route: route.abort())
    page.route("**/api/state*", lambda route: route.abort())
    annotator.draw(place(0))
    page.wait_for_selector("#toast:not([hidden])")
    annotator.until(lambda: page.locator("#canvas").evaluate(pixels) == before)
    page.unroute_all()
    page.wait_for_timeout(200)
    annotator.problems.clear()  # the browser tells of what was cut off


def test_the_list_of_formats_closes_by_its_button(annotator: Annotator) -> None:
    page = annotator.page
    page.click("#export")
    page.locator("#export-dialog button", has_text="Close").click()
    assert page.locator("#export-dialog").is_hidden()
    assert page.locator("#toast").is_hidden()


def test_the_picture_gets_brighter_and_the_timeline_larger(annotator: Annotator) -> None:
    page = annotator.page
    annotator.press("b")
    assert page.locator("#notice").inner_text() == "Brightness 1.5"
    annotator.press("Shift+B")
    assert page.locator("#notice").inner_text() == "Brightness 1"
    timeline = page.locator("#timeline").bounding_box()
    assert timeline
    page.mouse.move(timeline["x"] + 1, timeline["y"] + 20)
    page.mouse.wheel(0, -4000)  # as large as it gets, about the first frame
    page.wait_for_timeout(100)
    page.mouse.click(timeline["x"] + 90, timeline["y"] + 20)
    annotator.until(lambda: annotator.shown("index") not in ("", "0"))
    zoomed = int(annotator.shown("index"))
    annotator.press("Home", *["Shift+T"] * 6)  # the whole strip again
    page.mouse.click(timeline["x"] + 90, timeline["y"] + 20)
    annotator.until(lambda: annotator.shown("index") not in ("", "0"))
    assert int(annotator.shown("index")) == int(90 / timeline["width"] * NUM_FRAMES) != zoomed


def test_the_list_of_sequences_says_how_far_each_is(annotator: Annotator) -> None:
    annotator.draw(place(0))
    annotator.expect(source="person")
    annotator.press("l")
    annotator.page.wait_for_selector("#sequences[open]")

    assert annotator.page.locator("#sequences-title").inner_text() == "Sequences: 0 of 1 accepted"
    assert f"1 of {NUM_FRAMES}" in annotator.page.locator("#sequence-list").inner_text()


def luminance(color: str) -> float:
    """Relative luminance of `rgb(r, g, b)` by WCAG 2.2."""
    channels = [int(part) / 255 for part in re.findall(r"\d+", color)[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
