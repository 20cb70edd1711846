"""Hands in memory become a dataset that everything else takes for a converted one."""

import json

import numpy as np
import pytest

import handdata as hd
from handdata.check.verify import verify
from handdata.conversion.run import convert
from handdata.conversion.write import write_dataset
from handdata.converters.custom import CustomOptions
from handdata.errors import ConfigError, DataError, MissingError
from handdata.exchange.export import export
from handdata.geometry import project
from handdata.shards.dataset import open_dataset
from handdata.shards.provenance import provenance_of
from handdata.shards.schema import BoxSource
from tests.train.made_shards import made_sample


def made(number, **changes):
    sample = made_sample(number)
    values = {"image": sample.image, "side": "left", "keypoints_2d": sample.keypoints_2d, "K": sample.K,
              "keypoints_3d": sample.keypoints_3d, "id": f"s/{number:04d}", "sequence": f"s{number % 3}",
              "camera": "main", "frame": number}  # fmt: skip
    return hd.Hand(**(values | changes))


def test_hands_come_back_as_they_were(tmp_path):
    hands = [made(n, split="val" if n > 5 else "train", has_object=[True, False, None][n % 3]) for n in range(9)]
    data = write_dataset(tmp_path, hands, name="mine")

    assert len(data) == 9
    assert data.splits == ("train", "val")
    for given, found in zip(hands, data, strict=True):
        assert (found.id, found.sequence, found.camera, found.frame) == (
            given.id, given.sequence, given.camera, given.frame,
        )  # fmt: skip
        assert (found.side, found.has_object, found.split) == (given.side, given.has_object, given.split)
        np.testing.assert_allclose(found.source.keypoints_2d, given.keypoints_2d, atol=1e-4)
        np.testing.assert_allclose(found.keypoints_3d, given.keypoints_3d, atol=1e-4)
        np.testing.assert_allclose(found.source.K, given.K)


def test_dicts_do_as_well_and_get_numbers_for_ids(tmp_path):
    data = write_dataset(tmp_path / "mine", ({"image": made(n).image, "side": "right"} for n in range(3)))

    assert data.name == "mine"
    assert data["id"].tolist() == ["000000", "000001", "000002"]
    assert data["side"].tolist() == ["right"] * 3


def test_verify_finds_nothing_wrong_with_the_files(tmp_path):
    write_dataset(tmp_path / "mine", (made(n) for n in range(12)), name="mine")
    report = verify(tmp_path / "mine")

    assert {check: report.checks[check] for check in ("index", "files", "schema", "checksums", "reprojection")} == {
        "index": "ok", "files": "ok", "schema": "ok", "checksums": "ok", "reprojection": "ok",
    }  # fmt: skip


def test_written_again_from_its_own_hands_it_is_the_same(tmp_path):
    first = write_dataset(tmp_path / "a", (made(n) for n in range(5)), name="mine", canvas=96)
    again = write_dataset(tmp_path / "b", first, name="mine", canvas=96)

    for one, other in zip(first, again, strict=True):
        assert np.abs(one.image.astype(int) - other.image).max() <= 1
        np.testing.assert_allclose(one.keypoints_2d, other.keypoints_2d, atol=1e-3)
        np.testing.assert_allclose(one.crop_box, other.crop_box, atol=1e-3)


def test_the_same_hands_give_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        write_dataset(tmp_path / name, (made(n) for n in range(5)), name="mine")

    assert (tmp_path / "a/train-00000.h5").read_bytes() == (tmp_path / "b/train-00000.h5").read_bytes()


def test_many_hands_make_several_shards(tmp_path):
    data = write_dataset(tmp_path, (made(n) for n in range(10)), name="mine", canvas=32, shard_hands=4)

    assert data.shards.counts == (4, 4, 2)
    assert data["frame"].tolist() == list(range(10))


def test_another_call_adds_a_split_and_keeps_what_is_there(tmp_path):
    write_dataset(tmp_path, (made(n) for n in range(4)), name="mine", split="train")
    data = write_dataset(tmp_path, (made(n + 4) for n in range(2)), name="mine", split="test")

    assert data.summary().hands.tolist() == [2, 4]
    with pytest.raises(ConfigError, match="expected no split train yet, got one"):
        write_dataset(tmp_path, [made(9)], name="mine")
    assert len(open_dataset(tmp_path)) == 6
    assert len(write_dataset(tmp_path, [made(9)], name="mine", overwrite=True).split("train")) == 1


@pytest.mark.parametrize(
    ("hands", "line"),
    [
        ([{"side": "left"}], "hand 0: expected a hand to write, got a hand needs 'image'"),
        ([{"image": np.zeros((4, 4, 3), np.uint8), "side": "left", "keypoint": 1}], "the nearest is"),
        ([made(0), made(0)], "hand 1: expected a unique ASCII id of at most 96 characters, got 's/0000' twice"),
        ([made(0, split="trian")], "expected a split of train, val, test, got 'trian'"),
        ([], "expected hands to write, got none"),
        ([3], "hand 0: expected a Hand or a dict of its attributes, got int"),
        ({"image": 3, "side": "left"}, "hand 0: expected a Hand or a dict of its attributes, got str"),
        ([{"image": "nowhere.png", "side": "left"}], r"nowhere\.png: expected a picture, got no file\. Check the path"),
        ([made(0, K=np.zeros((3, 3)))], "expected positive focal lengths"),
        ([made(0, sequence="séance")], r"hand 0 \(s/0000\)\[sequence\]: expected ASCII text, got 'séance'"),
        ([made(0, camera=None)], r"\[camera\]: expected ASCII text, got None"),
        ([made(0, frame=-1)], r"\[frame\]: expected a whole number from 0 to 2147483647, got -1"),
        (
            [{"image": np.zeros((9, 9, 3), np.uint8), "side": "left", "keypoints_2d": np.full((21, 2), 3 + 1j)}],
            "hand 0: expected a hand to write, got keypoints_2d must hold real numbers, got complex ones",
        ),
        ([made(0, has_object=3)], "has_object must be True, False or None, got 3"),
        ([made(0, has_object=float("inf"))], "has_object must be True, False or None, got inf"),
        ([made(0, has_object=1j)], "has_object must be True, False or None, got 1j"),
        (
            [{"image": np.zeros((9, 9, 3), np.uint8), "side": "left", "scale_mm": 60 + 1j}],
            r"hand 0: expected a hand to write, got scale_mm must be a real number, got '\(60\+1j\)'",
        ),
    ],
)
def test_a_hand_that_cannot_be_written_is_told_and_leaves_no_dataset(tmp_path, hands, line):
    with pytest.raises((DataError, MissingError), match=line):
        write_dataset(tmp_path / "mine", hands, name="mine")
    assert not (tmp_path / "mine" / "index.json").exists()


def far(px):
    points = np.full((21, 2), 30.0)
    points[4] = px, -px  # of a tip just before the camera's plane
    return made(0, keypoints_2d=points, keypoints_3d=np.full((21, 3), np.nan), crop_box=[0, 0, 90, 90])


@pytest.mark.parametrize("kind", ["coco", "csv"])
def test_what_is_written_is_not_too_far_to_be_imported_again(tmp_path, kind):
    data = write_dataset(tmp_path / "mine", [far(2e6)], name="mine")
    export(data, tmp_path / "out", kind)
    options = CustomOptions(annotations=tmp_path / "out")
    convert("custom", tmp_path / "out", tmp_path / "again", options=options, canvas=64)

    (again,) = open_dataset(tmp_path / "again")
    np.testing.assert_allclose(again.source.keypoints_2d, data[0].keypoints_2d, rtol=1e-4, atol=1e-2)
    with pytest.raises(DataError, match=r"\[keypoints_2d\]: expected numbers up to 5e\+06, got 6e\+06\. Correct"):
        write_dataset(tmp_path / "other", [far(6e6)], name="other")


def test_hands_keep_their_origin_through_whatever_is_done_to_them(tmp_path):
    first = write_dataset(tmp_path / "a", [made(0, origin="rendered")], name="mine")
    again = write_dataset(tmp_path / "b", (hand.crop(64, rotate=9).mirrored() for hand in first), name="mine")

    assert first.origin == first[0].origin == first[0].source.origin == again.origin == "rendered"
    assert write_dataset(tmp_path / "c", [made(0)], name="mine").origin == "own"
    assert write_dataset(tmp_path / "d", first, name="mine", origin="own")[0].origin == "own"


def test_licences_stay_with_hands_and_are_given_to_others(tmp_path):
    def licences(data):
        return [(part.licence, part.origin) for part in provenance_of(data)]

    first = write_dataset(tmp_path / "a", [made(0)], name="mine", licence="CC BY 4.0")
    again = write_dataset(tmp_path / "b", (hand.crop(64) for hand in first), name="other", licence="MIT")
    assert licences(first) == licences(again) == [("CC BY 4.0", "own")]
    both = write_dataset(tmp_path / "b", [made(1)], name="other", split="val", licence="MIT")

    assert [part.dataset for part in first[0].source.provenance] == ["mine"]
    assert licences(both) == [("CC BY 4.0", "own"), ("MIT", "own")]
    assert licences(write_dataset(tmp_path / "c", [made(0)], name="mine")) == [("not known", "own")]
    assert "provenance" not in json.loads((tmp_path / "c/index.json").read_text())
    export(both, tmp_path / "out", "csv")
    assert "- Licence of mine: CC BY 4.0\n- Licence of other: MIT" in (tmp_path / "out/README.md").read_text()


def test_hands_of_several_origins_are_not_called_one(tmp_path):
    hands = [made(0, origin="rendered"), made(1)]
    with pytest.raises(
        ConfigError, match=r"hand 1 \(s/0001\): expected rendered hands, as those before, got one that is own"
    ):
        write_dataset(tmp_path / "mine", hands, name="mine")
    write_dataset(tmp_path / "mine", hands[:1], name="mine", split="train")
    with pytest.raises(ConfigError, match="expected rendered hands"):
        write_dataset(tmp_path / "mine", hands[1:], name="mine", split="val")
    assert write_dataset(tmp_path / "mine", hands, name="mine", origin="own", overwrite=True).origin == "own"
    with pytest.raises(ConfigError, match="origin: expected one of rendered, published, own, got 'mine'"):
        write_dataset(tmp_path / "other", hands, name="mine", origin="mine")


def test_another_dataset_is_not_written_over(tmp_path):
    write_dataset(tmp_path, [made(0)], name="mine")

    with pytest.raises(ConfigError, match=r"expected yours, canvases of 192 px, scale 1\.5, got mine"):
        write_dataset(tmp_path, [made(1)], name="yours", split="val")


def test_a_conversion_of_another_dataset_does_not_replace_it(tmp_path, native_tree):
    write_dataset(tmp_path / "mine", [made(0)], name="mine")

    with pytest.raises(ConfigError, match=r"expected a folder for stereo, got the dataset mine\."):
        hd.convert("stereo", native_tree("stereo"), tmp_path / "mine")
    assert len(open_dataset(tmp_path / "mine")) == 1


@pytest.mark.parametrize(("canvas", "scale"), [(100, 1.5), (-8, 1.5), (96, -1), (96, 0)])
def test_canvases_that_cannot_be_are_refused(tmp_path, canvas, scale):
    with pytest.raises(ConfigError):
        write_dataset(tmp_path / "mine", [made(0)], name="mine", canvas=canvas, canvas_scale=scale)


def test_hands_with_a_camera_and_no_2d_get_their_projection(tmp_path):
    given = made(0)
    bare = hd.Hand(image=given.image, side="left", keypoints_3d=given.keypoints_3d, K=given.K)
    (found,) = write_dataset(tmp_path, [bare], name="mine")

    np.testing.assert_allclose(found.source.keypoints_2d, project(given.keypoints_3d, given.K), atol=1e-3)
    assert found.annotated_2d.all()


@pytest.mark.parametrize("factor", [0.001, 0.1, 10])
def test_3d_in_another_unit_is_refused(tmp_path, factor):
    hand = made(0)
    with pytest.raises(DataError, match=r"\[keypoints_3d\]: expected mm: 20 to 300 from wrist to middle MCP"):
        write_dataset(tmp_path, [made(0, keypoints_3d=hand.keypoints_3d * factor)], name="mine")


def test_what_lies_beyond_the_picture_is_not_inside(tmp_path):
    picture = np.full((60, 80, 3), 200, np.uint8)
    uv = np.array([70.0, 50.0]) + np.random.default_rng(0).uniform(-9, 9, (21, 2))
    (hand,) = write_dataset(tmp_path, [{"image": picture, "side": "left", "keypoints_2d": uv}], name="mine")
    black = (hand.image == 0).all(-1)

    assert 0.1 < black.mean() < 0.9
    assert (hand.inside == ~black).mean() > 0.97  # the edge is blurred
    np.testing.assert_allclose(hand.to_source(hand.keypoints_2d), uv, atol=1e-3)


def broken(hands):
    yield from hands
    raise KeyError("of the caller")


def test_what_is_there_stays_until_all_that_replaces_it_is_written(tmp_path):
    write_dataset(tmp_path, (made(n) for n in range(6)), name="mine", shard_hands=2)
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(KeyError, match="of the caller"):
        write_dataset(
            tmp_path, broken(made(n, side="right") for n in range(5)), name="mine", shard_hands=2, overwrite=True
        )

    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == files


def test_hands_may_replace_those_they_are_read_from(tmp_path):
    write_dataset(tmp_path, (made(n) for n in range(6)), name="mine", shard_hands=2)
    again = write_dataset(tmp_path, hd.open(tmp_path)[::-1], name="mine", shard_hands=4, overwrite=True)

    assert again["id"].tolist() == [f"s/{n:04d}" for n in range(6)][::-1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index.json", "train-00000.h5", "train-00001.h5"]


def test_what_an_ended_write_left_is_gone_after_the_next(tmp_path):
    write_dataset(tmp_path, (made(n) for n in range(2)), name="mine")
    (tmp_path / ".new").mkdir()
    for name in (".new/val-00000.h5", "val-00007.h5"):
        (tmp_path / name).write_bytes(b"cut off")
    write_dataset(tmp_path, (made(n, id=f"v/{n}") for n in range(2)), name="mine", split="val")

    assert sorted(path.name for path in tmp_path.iterdir()) == ["index.json", "train-00000.h5", "val-00000.h5"]


@pytest.mark.parametrize(
    ("asked", "kind", "line"),
    [
        ({"name": 5}, TypeError, "name must be text, got 5"),
        ({"licence": 5}, TypeError, "licence must be text, got 5"),
        ({"canvas": 64.0}, TypeError, "'float' object cannot be interpreted as an integer"),
        ({"shard_hands": 0}, ConfigError, "shard_hands: expected 1 or more, got 0"),
    ],
)
def test_settings_that_no_dataset_can_have_leave_no_folder(tmp_path, asked, kind, line):
    with pytest.raises(kind, match=line):
        write_dataset(tmp_path / "out", [made(0)], **{"name": "mine", **asked})

    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"id": 5}, "hand 0: expected an id of text, got 5"),
        ({"sequence": "a\0b"}, r"hand 0 \(s/0000\)\[sequence\]: expected ASCII text, got 'a.*b'"),
        ({"box": (0, 0, np.inf, 9)}, r"\[box\]: expected numbers, or NaN alone where it is not known, got \[0.*inf"),
        ({"K": np.diag([np.nan, 90, 1])}, r"\[K\]: expected numbers, or NaN alone where it is not known, got"),
        ({"crop_box": (0, np.nan, 9, 9)}, r"\[crop_box\]: expected numbers, or NaN alone"),
        ({"palm_center_2d": (np.inf, 1)}, r"\[palm_center_2d\]: expected numbers, or NaN alone"),
        ({"box": (5, 5, 5, 5), "box_source": BoxSource.PERSON}, r"\[box\]: expected .*, got 5, 5, 5, 5\. Correct that"),
        ({"keypoints_2d": np.full((21, 2), 1e30)}, r"got 1e\+30\. Correct that hand, or leave it out\.$"),
        (
            {"keypoints_3d": -made_sample(0).keypoints_3d},
            r"\[keypoints_3d\]: expected points in front of the camera, got z",
        ),
        ({"crop_box": (0, 0, 90, 45)}, r"\[crop_box\]: expected a square, got 90 x 45 px\. Give it as box"),
        ({"mask": np.full((240, 320), 7)}, r"\[mask\]: expected labels of 0, 1, 2, 255, got \[7\]"),
        ({"origin": "mine"}, r"\[origin\]: expected one of rendered, published, own, got 'mine'"),
        ({"flags": 2**33}, r"\[flags\]: expected bits of Flag"),
        ({"flags": -1}, r"\[flags\]: expected bits of Flag"),
        ({"visible": np.full(21, 2)}, r"hand 0 \(s/0000\)\[visible\]: expected 1, 0 or -1, not known, got \[2, 2"),
    ],
)
def test_labels_that_no_reader_would_take_are_refused_before_they_are_written(tmp_path, changes, line):
    with pytest.raises(DataError, match=line):
        write_dataset(tmp_path / "out", [made(0, **changes)], name="mine")

    assert not (tmp_path / "out").exists()


def test_masks_of_keypoints_may_be_lists_and_what_a_masked_array_hides_is_not_known(tmp_path):
    hidden = np.ma.array(made_sample(0).keypoints_2d, mask=np.repeat([[True], *[[False]] * 20], 2, axis=1))
    hand = made(
        0, annotated_2d=[True] * 21, in_frame=[True] * 21, keypoints_2d=hidden, keypoints_3d=np.full((21, 3), np.nan)
    )

    (found,) = write_dataset(tmp_path, [hand], name="mine")

    assert found.annotated_2d.tolist() == [False] + [True] * 20


@pytest.mark.parametrize("visible", [None, [1] * 21, (0,) * 21])
def test_visibilities_may_be_a_list_or_left_open(tmp_path, visible):
    data = write_dataset(tmp_path, [{"image": made(0).image, "side": "left", "visible": visible}], name="mine")

    assert data[0].visible.tolist() == ([-1] * 21 if visible is None else list(visible))


def test_whole_numbers_of_numpy_are_whole_numbers(tmp_path):
    data = write_dataset(tmp_path, [made(0)], name="mine", canvas=np.int64(64))

    assert data.canvas == 64
    assert data.torch(size=np.int64(32))[0][0].shape == (3, 32, 32)


@pytest.mark.parametrize("asked", [{"limit": -1}, {"limit": 0}, {"workers": 0}, {"job": (1, 1)}, {"job": (-1, 2)}])
def test_a_conversion_counts_from_one(tmp_path, asked):
    with pytest.raises(ValueError, match=r"1 or more|one of 0 to n - 1"):
        hd.convert("stereo", tmp_path, tmp_path / "out", **asked)


def test_a_crop_is_numbered_and_sized_by_whole_numbers(tmp_path):
    data = write_dataset(tmp_path, [made(0)], name="mine")

    with pytest.raises(TypeError, match="'float' object cannot be interpreted as an integer"):
        data.torch()[0.5]
    for words in ({"size": True}, {"size": 10**6}, {"size": 64, "scale": 1e9}):
        with pytest.raises(ValueError, match="a crop needs a whole size to 16384"):
            data[0].crop(**words)
