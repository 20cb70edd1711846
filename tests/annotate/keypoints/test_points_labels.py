"""Labels as files: read back with equal values by handdata's own readers and by pycocotools, and imported again."""

import json
import math
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from handdata.annotate.keypoints.labels import FORMATS, export_text, read_labels, read_uploaded
from handdata.annotate.keypoints.marks import NO_POINTS, FrameMark, HandMark, PointMark
from handdata.annotate.pictures import Pictures, list_pictures
from handdata.converters.custom import CustomOptions, rows_with_ids
from handdata.errors import ConfigError, DataError, HanddataError
from tests.exchange.other_programs import read_elsewhere

STATES = ("visible", "occluded", "outside", "absent")


def hand(seed: int, side: str, source: str = "person") -> HandMark:
    """A hand with points of every state."""
    rng = np.random.default_rng(seed)
    points = []
    for k in range(21):
        state = STATES[k % 7 % 4]
        u, v = rng.uniform(0, 60, 2).round(2).tolist()
        if state == "absent":
            u = v = math.nan
        if state == "outside":
            u, v = (70.25, 10.5) if k % 2 else (math.nan, math.nan)
        points.append(PointMark(u, v, state, source))
    return HandMark(side, tuple(points))


MARKS = {
    0: FrameMark({0: hand(1, "left"), 1: hand(2, "right")}, accepted=True),
    2: FrameMark({0: HandMark("left", (*hand(3, "left").points[:5], *NO_POINTS[5:]))}),
    3: FrameMark({}, accepted=True),
    4: FrameMark({0: HandMark("left", gone=True)}),
    5: FrameMark({1: HandMark("right", hand(4, "right", "imported").points)}),  # nobody has accepted them
}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Pictures:
    folder = tmp_path_factory.mktemp("six")
    for number in range(6):
        cv2.imwrite(str(folder / f"p_{number}.png"), np.zeros((60, 64, 3), np.uint8))
    return list_pictures(folder)


def written(kind: str, pictures: Pictures, folder: Path) -> Path:
    path = folder / f"labels{FORMATS[kind][0]}"
    path.write_text(export_text(kind, MARKS, pictures, "six"), encoding="utf-8")
    return path


def placed(points) -> dict[int, tuple[float, float]]:
    return {k: (p.u, p.v) for k, p in enumerate(points) if p is not None and p.is_placed}


@pytest.mark.parametrize("kind", FORMATS)
def test_what_a_person_said_is_read_by_convert_custom_with_equal_values(
    kind: str, pictures: Pictures, tmp_path: Path
) -> None:
    path = written(kind, pictures, tmp_path)
    side = {"side": "left"} if kind == "coco" else {}  # plain COCO has no sides
    rows = [row for _, row in rows_with_ids(pictures.paths[0].parent, CustomOptions(annotations=(path,), **side))]

    wanted = [("p_0.png", MARKS[0].hands[0]), ("p_0.png", MARKS[0].hands[1]), ("p_2.png", MARKS[2].hands[0])]
    assert [row.image for row in rows] == [name for name, _ in wanted]
    for row, (_, mark) in zip(rows, wanted, strict=True):
        assert not isinstance(row.hand, HanddataError)
        found = {k: tuple(row.hand.uv[k]) for k in range(21) if np.isfinite(row.hand.uv[k]).all()}
        assert found == {
            k: pytest.approx(place, abs=1e-4 if kind == "cvat" else 0) for k, place in placed(mark.points).items()
        }
        for k in found:
            assert row.hand.visible[k] == (mark.points[k].state == "visible")
        if kind != "coco":
            assert row.hand.side == ["left", "right"].index(mark.side)


def test_pycocotools_reads_the_files(pictures: Pictures, tmp_path: Path) -> None:
    from pycocotools.coco import COCO

    for kind in ("json", "coco"):
        coco = COCO(str(written(kind, pictures, tmp_path)))
        annotations = coco.loadAnns(coco.getAnnIds(imgIds=[1]))
        flat = np.array(annotations[0]["keypoints"]).reshape(21, 3)
        want = placed(MARKS[0].hands[0].points)
        assert {k: tuple(flat[k, :2]) for k in range(21) if flat[k, 2]} == want


def test_datumaro_reads_every_placed_point_of_the_cvat_file(pictures: Pictures, tmp_path: Path) -> None:
    shutil.copytree(pictures.paths[0].parent, tmp_path / "images")  # where datumaro looks for them
    written("cvat", pictures, tmp_path).rename(tmp_path / "train.xml")

    found = read_elsewhere("datumaro", "cvat", tmp_path)

    assert len(found["points"]) == len(pictures)
    for frame, numbers in ((0, (0, 1)), (2, (0,))):
        places = {tuple(round(c - 0.5, 2) for c in place) for place in np.reshape(found["points"][frame], (-1, 2))}
        for number in numbers:
            wanted = placed(MARKS[frame].hands[number].points)
            inside = {place for k, place in wanted.items() if MARKS[frame].hands[number].points[k].state != "outside"}
            assert inside <= places
    assert found["points"][1] == []


def test_our_own_file_says_everything_again(pictures: Pictures, tmp_path: Path) -> None:
    path = written("json", pictures, tmp_path)
    again = read_labels(path, pictures)

    assert export_text("json", again, pictures, "six") == path.read_text()
    assert again[0].accepted
    assert again[3] == FrameMark({}, accepted=True)
    assert 4 not in again
    assert 5 not in again  # no label yet
    assert [p and p.state for p in again[2].hands[0].points[:6]] == [
        *(p.state for p in MARKS[2].hands[0].points[:5]),
        None,
    ]


@pytest.mark.parametrize("kind", ["coco", "cvat"])
def test_other_files_come_in_as_proposals(kind: str, pictures: Pictures, tmp_path: Path) -> None:
    again = read_labels(written(kind, pictures, tmp_path), pictures)

    assert sorted(again) == [0, 2]
    assert not again[0].accepted
    assert {p.source for p in again[0].hands[0].points if p is not None} == {"imported"}
    assert placed(again[0].hands[0].points).keys() == placed(MARKS[0].hands[0].points).keys()
    assert export_text("json", again, pictures, "six").count('"image_id"') == 0


def test_predictions_of_label_come_in(pictures: Pictures, tmp_path: Path) -> None:
    keypoints = [v for k in range(21) for v in ((k, 2 * k, 2) if k % 3 else (0, 0, 0))]
    content = {
        "info": {"least_confidence": 0.3},
        "images": [{"id": 1, "file_name": "p_1.png", "width": 64, "height": 60}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "side": "right", "iscrowd": 0, "keypoints": keypoints}
        ],
        "categories": json.loads(export_text("coco", {}, pictures, "six"))["categories"],
    }
    path = tmp_path / "labels.json"
    path.write_text(json.dumps(content), encoding="utf-8")

    mark = read_labels(path, pictures)[1].hands[0]
    assert mark.side == "right"
    assert placed(mark.points) == {k: (k, 2 * k) for k in range(21) if k % 3}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "JSON"),
        ("[]", "a JSON list"),
        ('{"info": {"kind": "handdata keypoints"}}', "images"),
        ('{"info": {"kind": "handdata keypoints"}, "images": [], "annotations": []}', "none of these pictures"),
        ('{"images": [], "annotations": [], "categories": []}', "none"),
    ],
)
def test_other_files_are_refused_in_a_line(pictures: Pictures, text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        read_uploaded("x.json", text, pictures)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("field", ["hand", "side", "states", "sources", "keypoints", "image_id"])
@pytest.mark.parametrize("value", [None, 99, "nonsense", [], {}, [None] * 63])
def test_a_damaged_file_of_ours_is_named(pictures: Pictures, tmp_path: Path, field: str, value: object) -> None:
    content = json.loads(export_text("json", MARKS, pictures, "six"))
    content["annotations"][0][field] = value
    path = tmp_path / "labels.json"
    path.write_text(json.dumps(content), encoding="utf-8")

    with pytest.raises(DataError, match=r"labels\.json"):
        read_labels(path, pictures)
