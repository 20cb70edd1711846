"""The correlation filter follows, from the first frame on, exactly."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from handdata.annotate.size import size_change
from handdata.annotate.tracker import Follower, TrackerSettings, can_follow, working_scale
from handdata.boxes import Box
from tests.annotate.conftest import textured

KCF = TrackerSettings("kcf")
GROUND = textured(480, 640, 3)
SHIFTS = [(0, 0), (7, 0), (0, -9), (11, 6), (-12, 12)]


def shifted(image: np.ndarray, dx: int, dy: int) -> np.ndarray:
    """The picture moved by whole pixels; what comes in at the edge repeats it."""
    return cv2.warpAffine(image, np.float32([[1, 0, dx], [0, 1, dy]]), None, borderMode=cv2.BORDER_REFLECT)


def errors_of(box: Box, expected: Box) -> list[float]:
    return [abs(a - b) for a, b in zip(box, expected, strict=True)]


@pytest.mark.parametrize("shift", SHIFTS)
def test_the_first_motion_is_followed_without_an_offset(shift: tuple[int, int]) -> None:
    box = (250.0, 180.0, 56.0, 56.0)  # small enough for OpenCV to work at whole pixels

    found = Follower(GROUND, box, KCF).follow(shifted(GROUND, *shift))

    assert found == (250.0 + shift[0], 180.0 + shift[1], 56.0, 56.0)


def test_without_priming_every_box_is_off_by_the_first_motion(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fault that priming is there for: OpenCV learns the second picture at the first picture's place."""

    class Unprimed:
        def __init__(self) -> None:
            params = cv2.TrackerKCF_Params()
            params.detect_thresh = 0.2
            self._filter, self._asked = cv2.TrackerKCF.create(params), 0

        def init(self, image: np.ndarray, box: tuple[int, ...]) -> None:
            self._box = box
            self._filter.init(image, box)

        def update(self, image: np.ndarray) -> tuple[bool, tuple[int, ...]]:
            self._asked += 1
            return (True, self._box) if self._asked == 1 else self._filter.update(image)

    moved = [shifted(GROUND, 12 * i, 0) for i in range(4)]
    monkeypatch.setattr("handdata.annotate.tracker._make", lambda _: Unprimed())
    unprimed = Follower(moved[0], (250.0, 180.0, 90.0, 90.0), KCF)
    offsets = [unprimed.follow(image)[0] - (250 + 12 * i) for i, image in enumerate(moved[1:], start=1)]
    assert offsets == [-12.0, -12.0, -12.0]
    monkeypatch.undo()

    primed = Follower(moved[0], (250.0, 180.0, 90.0, 90.0), KCF)
    assert [primed.follow(image)[0] - (250 + 12 * i) for i, image in enumerate(moved[1:], start=1)] == [0.0, 0.0, 0.0]


HANDS = {
    "hand_desk/frames/0060.jpg": (132, 210),
    "hand_desk/frames/0200.jpg": (278, 139),
    "vot_bag/frames/00000051.jpg": (266, 135),
}


@pytest.mark.parametrize(("side", "exact_to"), [(56, 0.0), (96, 2.0)])  # above 80 px OpenCV works at every other pixel
@pytest.mark.parametrize("name", HANDS)
def test_shifted_real_pictures_are_followed_with_zero_offset(
    shared: Path, name: str, side: int, exact_to: float
) -> None:
    image = cv2.imread(str(shared / "samples" / "tracking" / name))
    left, top = HANDS[name][0] - side / 2, HANDS[name][1] - side / 2
    follower = Follower(image, (left, top, side, side), KCF)

    for i in range(1, 7):
        found = follower.follow(shifted(image, 4 * i, -2 * i))
        assert found is not None
        assert max(errors_of(found, (left + 4 * i, top - 2 * i, side, side))) <= exact_to
    assert abs(found[0] - left - 24) <= exact_to  # no drift: six steps are as good as one


def test_medianflow_follows_the_same_shifts(shared: Path) -> None:
    image = cv2.imread(str(shared / "samples" / "tracking" / "vot_bag" / "frames" / "00000051.jpg"))
    follower = Follower(image, (226.0, 95.0, 80.0, 80.0), TrackerSettings("medianflow"))

    for i in range(1, 7):
        found = follower.follow(shifted(image, 4 * i, -2 * i))
        assert found is not None
        assert max(errors_of(found, (226.0 + 4 * i, 95.0 - 2 * i, 80.0, 80.0))) <= 1.0


def test_large_boxes_are_tracked_small_to_within_a_pixel_of_the_small_picture() -> None:
    box = (150.0, 100.0, 250.0, 250.0)
    assert working_scale(box) == pytest.approx(0.4)
    follower = Follower(GROUND, box, KCF)

    assert follower.follow(GROUND) == box
    found = follower.follow(shifted(GROUND, 15, 10))
    assert max(errors_of(found, (165.0, 110.0, 250.0, 250.0))) <= 1 / 0.4


@pytest.mark.parametrize(("side", "scale"), [(40, 1.0), (70, 100 / 70), (90, 1.0), (120, 1.0), (322, 100 / 322)])
def test_pictures_are_resized_to_where_the_filter_is_quick(side: float, scale: float) -> None:
    assert working_scale((0, 0, side, side)) == pytest.approx(scale)


@pytest.mark.parametrize(
    "box", [(-30.0, 100.0, 100.0, 100.0), (580.0, 420.0, 110.0, 110.0), (200.0, -45.0, 90.0, 90.0)]
)
def test_a_box_over_the_edge_keeps_its_overhang(box: Box) -> None:
    follower = Follower(GROUND, box, KCF)

    assert follower.follow(GROUND) == box


@pytest.mark.parametrize("box", [(-200.0, 0.0, 100.0, 100.0), (640.0, 10.0, 90.0, 90.0), (10.0, 478.0, 100.0, 100.0)])
def test_a_box_outside_the_picture_is_refused_before_opencv_sees_it(box: Box) -> None:
    assert not can_follow(box, 640, 480)
    with pytest.raises(ValueError, match="outside the picture"):
        Follower(GROUND, box, KCF)


def test_a_lost_target_has_no_box() -> None:
    follower = Follower(GROUND, (250.0, 180.0, 90.0, 90.0), KCF)

    assert follower.follow(np.zeros_like(GROUND)) is None


def test_following_leaves_the_picture_as_it_was() -> None:
    image, later = GROUND.copy(), shifted(GROUND, 5, 5)
    before = later.copy()

    Follower(image, (250.0, 180.0, 200.0, 200.0), KCF).follow(later)

    assert np.array_equal(image, GROUND)
    assert np.array_equal(later, before)


def test_the_same_pictures_give_the_same_boxes() -> None:
    moved = [shifted(GROUND, 7 * i, 3 * i) for i in range(8)]

    def track() -> list[Box | None]:
        follower = Follower(moved[0], (200.0, 150.0, 150.0, 130.0), KCF)
        return [follower.follow(image) for image in moved[1:]]

    assert track() == track()


def zoomed(image: np.ndarray, factor: float, center: tuple[float, float]) -> np.ndarray:
    """The picture enlarged about a point."""
    matrix = cv2.getRotationMatrix2D(center, 0, factor)
    return cv2.warpAffine(image, matrix, (image.shape[1], image.shape[0]), borderMode=cv2.BORDER_REFLECT)


@pytest.mark.parametrize("factor", [0.97, 0.99, 1.0, 1.02, 1.05])
def test_growth_is_read_off_the_flow(factor: float) -> None:
    before = cv2.cvtColor(GROUND, cv2.COLOR_BGR2GRAY)
    after = zoomed(before, factor, (300, 220))

    assert size_change(before, after, (250, 170, 100, 100)) == pytest.approx(factor, abs=0.003)


@pytest.mark.parametrize("box", [(250.0, 170.0, 100.0, 100.0), (-500.0, 0.0, 50.0, 50.0)])
def test_nothing_to_follow_is_no_growth(box: Box) -> None:
    blank = np.zeros((480, 640), np.uint8)

    assert size_change(blank, blank, box) == 1.0


def test_the_box_grows_with_the_target_about_its_centre() -> None:
    """Thirty frames at 1 % each: 1.35 times the size; without it the box stays as drawn."""
    frames = [zoomed(GROUND, 1.01**i, (300, 220)) for i in range(31)]
    follower = Follower(frames[0], (250.0, 170.0, 100.0, 100.0), KCF)
    fixed = Follower(frames[0], (250.0, 170.0, 100.0, 100.0), TrackerSettings("kcf", follow_size=False))
    found = [follower.follow(frame) for frame in frames[1:]][-1]
    stayed = [fixed.follow(frame) for frame in frames[1:]][-1]

    assert found is not None
    assert found[2] == pytest.approx(100 * 1.01**30, rel=0.05)
    assert found[0] + found[2] / 2 == pytest.approx(300, abs=4)
    assert stayed is not None
    assert stayed[2:] == (100.0, 100.0)
