"""Labels of shards mended in a real headless browser: by mouse and by keyboard, and converted again."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handdata.annotate.keypoints.mend_state import MendPlace
from handdata.annotate.keypoints.mending import MendSession, hands_to_mend
from handdata.annotate.server import make_server
from handdata.annotate.worker import Worker
from handdata.exchange.corrections import read_corrections
from handdata.shards.dataset import Dataset
from handdata.skeleton import INDEX
from tests.annotate.keypoints.made_shards_to_mend import CANVAS, PICTURES, converted, write_native
from tests.browser.stage import WAIT_MS, Stage, barriers
from tests.served import served

TOKEN = "a-token"
TIP = INDEX["index_tip"]

pytestmark = pytest.mark.browser


class Mending(Stage):
    """The page as a person sees and works it."""

    SIZE = (CANVAS, CANVAS)

    def __init__(self, page: Any, address: str) -> None:
        super().__init__(page, address, hands="1", left="0", drawn="0")


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_native(tmp_path_factory.mktemp("native") / "labels")


@pytest.fixture(scope="module")
def plain(native: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return converted(native, tmp_path_factory.mktemp("root") / "made")


@pytest.fixture
def session(plain: Dataset, tmp_path: Path) -> Iterator[MendSession]:
    path = tmp_path / "mended.json"
    opened = MendSession(hands_to_mend(plain, None, path), path)
    yield opened
    opened.close()


@pytest.fixture
def address(session: MendSession) -> Iterator[str]:
    worker = Worker(session)
    with served(make_server(MendPlace(session), worker, TOKEN), worker) as port:
        yield f"http://127.0.0.1:{port}/#{TOKEN}"


def test_a_point_is_dragged_a_side_said_and_the_shards_have_both(
    browser: Any, address: str, session: MendSession, native: Path, tmp_path: Path
) -> None:
    page = browser.new_page(viewport={"width": 1100, "height": 760})
    opened = Mending(page, address)
    opened.expect(source="stored", side="left")
    assert page.locator("button.several:visible").count() == 0
    start = session.cell(0).hands[0].uv[TIP]
    end = start + np.array((9.0, -6.0))
    opened.drag(start + 0.5, (start + end) / 2 + 0.5, end + 0.5)
    opened.expect(source="person", saved="saved")
    opened.press("a")  # one more hand: not here
    opened.press("Enter")
    opened.expect(index="1", source="stored")
    opened.press("s", "5", "o")
    opened.expect(side="right", state="occluded", saved="saved")
    placed = session.marks[0].hands[0].points[TIP]
    assert placed is not None
    aimed = session.canvases.as_shipped(0, (placed.u, placed.v))
    page.close()
    session.save()

    made = converted(native, tmp_path / "again", session.path)
    np.testing.assert_allclose(made["keypoints_2d"][0, TIP], aimed, atol=0.01)
    assert np.abs(np.array([placed.u, placed.v]) - end).max() < 0.5
    assert made["side"].tolist() == ["left", "right", *["left"] * (PICTURES - 2)]
    assert (made["flags"] & 128).astype(bool).tolist() == [True, True, False, False]
    assert list(read_corrections(session.path).samples) == ["0.png", "1.png"]
    assert opened.problems == []
    assert opened.foreign == []


@pytest.mark.parametrize(("width", "scheme"), [(1400, "dark"), (390, "light")])
def test_no_barrier_and_nothing_hangs_over(browser, address, axe, width, scheme):
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme, bypass_csp=True)
    page = context.new_page()
    opened = Mending(page, address)
    page.evaluate(axe)
    assert barriers(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    opened.press("?")
    page.wait_for_selector("#help .alone:visible", timeout=WAIT_MS)
    assert page.locator("#help p.several:visible").count() == 0
    context.close()
