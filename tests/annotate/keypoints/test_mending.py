"""Labels of shards that are mended: what differs is in the file, nothing else is, and converting again has it."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from handdata.annotate.keypoints.mend_state import MendPlace
from handdata.annotate.keypoints.mending import MendSession, corrections_path, hands_to_mend
from handdata.errors import BusyError, ConfigError, DataError
from handdata.exchange.corrections import MendedPoint, read_corrections
from handdata.shards.conditions import read_ids
from handdata.shards.dataset import Dataset
from handdata.shards.schema import Flag
from handdata.skeleton import INDEX
from tests.annotate.keypoints.made_shards_to_mend import HEIGHT, PICTURES, WIDTH, converted, write_native

TIP, DIP, RING, LITTLE, WRIST = (INDEX[f"{n}"] for n in ("index_tip", "index_dip", "ring_tip", "little_tip", "wrist"))


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_native(tmp_path_factory.mktemp("native") / "labels")


@pytest.fixture(scope="module")
def plain(native: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return converted(native, tmp_path_factory.mktemp("root") / "made")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mended.json"


def opened(data: Dataset, path: Path, ids: list[str] | None = None) -> MendSession:
    return MendSession(hands_to_mend(data, ids, path), path)


def digests(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir()) if p.is_file()}


def drag(session: MendSession, frame: int, k: int, native_uv: tuple[float, float]) -> None:
    """Drag a point to a place of the picture as shipped."""
    A = session.canvases.to_canvas[frame]
    u, v = A[:, :2] @ np.array(native_uv) + A[:, 2]
    session.place(frame, 0, {k: (u, v)})


def test_the_stored_labels_are_what_it_begins_with_and_nothing_is_written(plain: Dataset, path: Path) -> None:
    session = opened(plain, path)
    hand = session.cell(1).hands[0]
    A = session.canvases.to_canvas[1]
    expected = plain["keypoints_2d"][1] @ A[:, :2].T + A[:, 2]

    known = [k for k in range(21) if k != LITTLE]
    np.testing.assert_allclose(hand.uv[known], expected[known], atol=1e-3)
    assert hand.side == "left"
    assert [hand.states[k] for k in (WRIST, 1, 2, RING, LITTLE)] == [
        "visible",
        "occluded",
        "visible",
        "outside",
        "absent",
    ]
    assert set(hand.sources) == {"stored"}
    while session.left():
        assert session.work()
    session.accept(0, 2)
    session.close()
    assert not path.exists()


def test_a_session_in_which_nothing_is_said_leaves_no_file(plain: Dataset, path: Path) -> None:
    opened(plain, path).close()
    assert list(path.parent.glob(f"{path.stem}*")) == []

    session = opened(plain, path)
    session.accept(0, 2)
    session.close()
    assert path.with_suffix(".journal").is_file()  # which hands were looked at


def test_one_mended_point_comes_back_in_the_shards_and_nothing_else_changes(
    native: Path, plain: Dataset, path: Path, tmp_path: Path
) -> None:
    before = digests(native), digests(plain.folder)
    session = opened(plain, path)
    drag(session, 2, TIP, (201.377, 88.123))
    session.accept(2, 3)
    others = [k for k in range(21) if k not in (TIP, LITTLE)]
    np.testing.assert_array_equal(session.cell(2).hands[0].uv[others], opened_uv(plain, 2)[others])  # none moved along
    session.close()

    said = read_corrections(path)
    assert said.dataset == "custom"
    assert list(said.samples) == [plain["id"][2]]
    hand = said.samples[plain["id"][2]]
    assert (list(hand.points), hand.side, hand.size) == (["index_tip"], "", (WIDTH, HEIGHT))
    made = converted(native, tmp_path / "again", path)
    np.testing.assert_allclose(made["keypoints_2d"][2, TIP], (201.377, 88.123), atol=0.01)
    assert (made["flags"] & Flag.CORRECTED != 0).tolist() == [False, False, True, False]
    np.testing.assert_array_equal(made["keypoints_2d"][2, others], plain["keypoints_2d"][2, others])
    assert (digests(native), digests(plain.folder)) == before


def opened_uv(plain: Dataset, frame: int) -> np.ndarray:
    from handdata.annotate.keypoints.canvases import canvases_of, stored_labels

    points = stored_labels(canvases_of(plain)).hands[frame].points
    return np.array([(p.u, p.v) for p in points if p is not None])


def test_states_sides_and_new_points(native: Path, plain: Dataset, path: Path, tmp_path: Path) -> None:
    ids = plain["id"].tolist()
    session = opened(plain, path)
    session.set_state(0, 0, [TIP], "occluded")
    session.set_state(0, 0, [DIP], "absent")
    session.set_state(0, 0, [LITTLE], "visible")  # had no label: it is put somewhere on the picture
    drag(session, 0, RING, (300.0, 100.0))  # lay outside
    drag(session, 0, WRIST, (WIDTH + 3.0, 100.0))
    session.set_side(1, 0, "right")
    session.gone(3, 0)
    with pytest.raises(ConfigError, match="one hand"):
        session.begin(0, (1.0, 1.0, 50.0, 50.0))
    session.close()

    said = read_corrections(path).samples
    points = said[ids[0]].points
    stored = tuple(map(float, plain["keypoints_2d"][0, TIP]))
    assert points["index_tip"] == MendedPoint("occluded", stored)  # the place as stored, to the last bit
    assert points["index_dip"] == MendedPoint("absent")
    assert {name: points[name].state for name in ("ring_tip", "wrist", "little_tip")} == {
        "ring_tip": "visible",
        "wrist": "outside",
        "little_tip": "visible",
    }
    assert (said[ids[1]].side, dict(said[ids[1]].points)) == ("right", {})
    assert {point.state for point in said[ids[3]].points.values()} == {"absent"}
    made = converted(native, tmp_path / "again", path)
    assert made["side"].tolist() == ["left", "right", "left", "left"]
    assert made["annotated_2d"][0, [DIP, LITTLE, RING]].tolist() == [False, True, True]
    assert made["in_frame"][0, [RING, WRIST]].tolist() == [True, False]


def test_what_is_put_back_is_not_in_the_file(plain: Dataset, path: Path) -> None:
    session = opened(plain, path)
    stored = tuple(map(float, plain["keypoints_2d"][0, TIP]))
    drag(session, 0, TIP, (170.0, 80.0))
    session.save()
    assert list(read_corrections(path).samples) == [plain["id"][0]]
    drag(session, 0, TIP, stored)
    drag(session, 1, DIP, (170.0, 80.0))
    session.clear(1, 0, [DIP])
    session.set_side(2, 0, "right")
    session.undo()
    session.close()

    assert read_corrections(path).samples == {}


def test_shards_converted_with_the_file_do_not_lose_it(
    native: Path, plain: Dataset, path: Path, tmp_path: Path
) -> None:
    """Their stored labels are the mended ones: they differ from the archive's though not from what is stored."""
    session = opened(plain, path)
    drag(session, 0, TIP, (170.0, 80.0))
    session.set_side(1, 0, "right")
    session.close()
    first = read_corrections(path)
    made = converted(native, tmp_path / "again", path)
    session = opened(made, path)
    drag(session, 2, TIP, (171.0, 81.0))
    session.close()
    both = read_corrections(path)

    assert {name: both.samples[name].side for name in first.samples} == {n: h.side for n, h in first.samples.items()}
    assert both.samples[plain["id"][0]].points["index_tip"].state == "visible"
    np.testing.assert_allclose(both.samples[plain["id"][0]].points["index_tip"].uv, (170, 80), atol=0.01)
    assert list(both.samples) == sorted(plain["id"][:3].tolist())


def test_chosen_hands_come_first_and_those_mended_before_stay_in_the_file(plain: Dataset, path: Path) -> None:
    ids = plain["id"].tolist()
    session = opened(plain, path, [ids[3], ids[1]])
    assert session.canvases.img_names == (ids[3], ids[1])
    drag(session, 0, TIP, (170.0, 80.0))
    session.close()
    session = opened(plain, path, [ids[2]])
    assert session.canvases.img_names == (ids[2], ids[3])
    drag(session, 0, TIP, (172.0, 80.0))
    session.close()

    assert list(read_corrections(path).samples) == sorted([ids[2], ids[3]])


def test_a_file_without_its_journal_is_begun_with(plain: Dataset, path: Path) -> None:
    session = opened(plain, path)
    drag(session, 0, TIP, (170.0, 80.0))
    session.set_state(0, 0, [LITTLE], "outside")
    session.set_side(1, 0, "unknown")
    session.close()
    text = path.read_text()
    path.with_suffix(".journal").unlink()
    session = opened(plain, path)
    session.close()

    said = read_corrections(path)
    assert {n: (h.side, sorted(h.points)) for n, h in said.samples.items()} == {
        plain["id"][0]: ("", ["index_tip", "little_tip"]),
        plain["id"][1]: ("unknown", []),
    }
    assert len(text) > 100
    place = MendPlace(opened(plain, path))
    assert place.import_text("json", text) == 2
    with pytest.raises(ConfigError, match="the imported file"):
        place.import_text("json", "{}")
    with pytest.raises(ConfigError, match="got a deeper one"):  # it was a traceback
        place.import_text("json", "[" * 100_000)
    place._session.close()


def test_refusals_in_one_line(plain: Dataset, path: Path, tmp_path: Path) -> None:
    session = opened(plain, path)
    with pytest.raises(BusyError):
        opened(plain, path)
    session.close()
    path.write_text('{"format": "handdata-corrections/1", "dataset": "rhd", "samples": {}}')
    with pytest.raises(DataError, match="expected corrections of custom, got rhd"):
        opened(plain, path)
    ids = tmp_path / "ids.txt"
    ids.write_text(f"{plain['id'][0]}\nnobody\n")
    with pytest.raises(DataError, match=r"ids.txt:2: expected an id of that dataset, got nobody"):
        read_ids(ids, set(plain["id"].tolist()))
    assert len(plain) == PICTURES
    assert corrections_path(tmp_path / "rhd") == tmp_path / "rhd.corrections.json"
