"""Made sequences with a known motion, and sessions on them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from handdata.annotate.pictures import Pictures, list_pictures
from handdata.annotate.session import Session
from handdata.annotate.tracker import TrackerSettings
from handdata.boxes import Box

WIDTH, HEIGHT, SIDE = 160, 120, 40
NUM_FRAMES = 24
EXACT = TrackerSettings("kcf")  # follows whole pixels exactly, which tests of the session want


def textured(height: int, width: int, seed: int) -> NDArray[np.uint8]:
    """A picture with structure at the scale a correlation filter looks for."""
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 5 + 1, width // 5 + 1, 3), np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def place(frame: int) -> Box:
    """Where the target is in the made sequence: 3 px right and 1 px down a frame."""
    return (10.0 + 3 * frame, 20.0 + frame, float(SIDE), float(SIDE))


@pytest.fixture(scope="session")
def made_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    ground, target = textured(HEIGHT, WIDTH, 1) // 3, textured(SIDE, SIDE, 2)
    for frame in range(NUM_FRAMES):
        image = ground.copy()
        x, y, w, h = (int(side) for side in place(frame))
        image[y : y + h, x : x + w] = target
        cv2.imwrite(str(folder / f"img_{frame}.png"), image)
    return folder


@pytest.fixture
def pictures(made_folder: Path) -> Pictures:
    return list_pictures(made_folder)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "boxes" / "made.csv"


@pytest.fixture
def session(pictures: Pictures, table: Path) -> Iterator[Session]:
    opened = Session(pictures, table, EXACT)
    yield opened
    opened.close()


@pytest.fixture
def track_all() -> Callable[[Session], None]:
    def run(session: Session) -> None:
        while session.work():
            pass

    return run
