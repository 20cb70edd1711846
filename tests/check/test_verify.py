"""Each planted fault is named, nothing else is; and a clean dataset is clean."""

import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner

import handdata as hd
from handdata.check.files import check_bytes, open_shards, read_index
from handdata.check.verify import verify
from handdata.cli import group
from handdata.geometry import in_frame, mirror_intrinsics, mirror_pixels, mirror_points, normalize_pose
from handdata.shards.index import open_shard
from handdata.shards.index import read_index as index_of_folder
from handdata.shards.reader import INDEX, write_index
from handdata.skeleton import INDEX as SLOT
from handdata.skeleton import LEFT, RIGHT
from tests.check.made_dataset import CANVAS, SIZE, make_dataset, read_rows, rewrite, write_shard

FAR = 30.0  # px


@pytest.fixture(scope="session")
def clean(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("made") / "clean")


@pytest.fixture(scope="session")
def clean_tips(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("made") / "tips", tips_only=True)


@pytest.fixture
def folder(clean, tmp_path):
    shutil.copytree(clean, tmp_path / "made")
    return tmp_path / "made"


def named(report):
    return [(finding.check, finding.what) for finding in report.findings]


def move(row, *, uv=None, xyz=None):
    """Change the labels of a row and everything that follows from them."""
    if uv is not None:
        row["keypoints_2d"] = uv.astype(np.float32)
        row["in_frame"] = row["annotated_2d"] & in_frame(row["keypoints_2d"], *row["image_size"])
    if xyz is not None:
        row["keypoints_3d"] = xyz.astype(np.float32)
        row["keypoints_3d_normalized"], row["scale_mm"] = normalize_pose(row["keypoints_3d"])


def permute(row, slots):
    for name in ("annotated_2d", "annotated_3d", "visible"):
        row[name] = row[name][slots]
    move(row, uv=row["keypoints_2d"][slots], xyz=row["keypoints_3d"][slots])


def reverse_fingers(rows, split):
    slots = [0, *(k for first in range(1, 21, 4) for k in range(first + 3, first - 1, -1))]
    for row in rows:
        permute(row, slots)


def swap_little_dip_and_tip(rows, split):
    for row in rows:
        permute(row, [*range(19), 20, 19])


def swap_thumb_and_little(rows, split):
    for row in rows:
        permute(row, [0, 17, 18, 19, 20, *range(5, 17), 1, 2, 3, 4])


def list_fingers_backwards(rows, split):
    for row in rows:
        permute(row, [0, *(k for first in (17, 13, 9, 5, 1) for k in range(first, first + 4))])


def metres(rows, split):
    for row in rows:
        move(row, xyz=row["keypoints_3d"] / 1000)


def mirror_picture_and_labels(rows, split):
    for row in rows:
        row["K"] = mirror_intrinsics(row["K"], SIZE[0])
        left, top, right, bottom = row["crop_xyxy"]
        row["crop_xyxy"] = np.array([SIZE[0] - right, top, SIZE[0] - left, bottom])
        row["source_to_canvas"] = row["source_to_canvas"].copy()
        scale = row["source_to_canvas"][0, 0]
        row["source_to_canvas"][0, 2] = CANVAS - 1 - row["source_to_canvas"][0, 2] - scale * (SIZE[0] - 1)
        row["image"] = row["image"][:, ::-1]
        move(row, uv=mirror_pixels(row["keypoints_2d"], SIZE[0]), xyz=mirror_points(row["keypoints_3d"]))


def mirror_pixels_alone(rows, split):
    for row in rows:
        row["image"] = row["image"][:, ::-1]


def exchange_sides(rows, split):
    for row in rows[::3]:
        row["hand_side"] = 1 - row["hand_side"]


def another_cameras_K(rows, split):
    for row in rows:
        row["K"] = np.array([[475.0, 0.0, 311.0], [0.0, 475.0, 246.0], [0.0, 0.0, 1.0]])


def move_one_keypoint(rows, split):
    if split == "val":  # one of 120 samples
        uv = rows[5]["keypoints_2d"].copy()
        uv[SLOT["ring_pip"], 0] += FAR
        move(rows[5], uv=uv)


def move_one_keypoint_in_3d(rows, split):
    if split == "val":
        xyz = rows[5]["keypoints_3d"].copy()
        xyz[SLOT["index_dip"]] += (0, 0, 45.0)
        move(rows[5], xyz=xyz)
        rows[5]["K"] = np.full((3, 3), np.nan)  # no projection to compare with


def sentinel_let_through(rows, split):
    xyz = rows[0]["keypoints_3d"].copy()
    xyz[SLOT["thumb_tip"]] = 32001.0
    move(rows[0], xyz=xyz)
    rows[0]["K"] = np.full((3, 3), np.nan)


def mask_does_not_follow(rows, split):
    rows[2]["annotated_2d"] = ~rows[2]["annotated_2d"]


def canvas_of_another_crop(rows, split):
    rows[0]["crop_xyxy"] = rows[0]["crop_xyxy"] + np.float32(20)


FAULTS = [
    (reverse_fingers, "order", "every finger: stored from tip to MCP, reversed"),
    (swap_little_dip_and_tip, "order", "little: DIP and tip exchanged"),
    (swap_thumb_and_little, "fingers", "thumb and little exchanged"),
    (list_fingers_backwards, "fingers", "fingers are stored in the order little, ring, middle, index, thumb"),
    (metres, "units", "metres instead of millimetres"),
    (mirror_picture_and_labels, "chirality", "picture and labels are mirrored"),
    (mirror_pixels_alone, "pictures", "mirrored image"),
    (exchange_sides, "chirality", "the sides are exchanged"),
    (another_cameras_K, "reprojection", "wrong camera's K"),
    (move_one_keypoint, "reprojection", "single keypoints off by 30 px (largest 30): ring_pip"),
    (move_one_keypoint_in_3d, "bones", "impossible bone lengths"),
    (sentinel_let_through, "depth", "depth outside"),
    (mask_does_not_follow, "schema", "annotated_2d is not where keypoints_2d is finite"),
    (canvas_of_another_crop, "schema", "source_to_canvas does not show crop_xyxy"),
]


@pytest.mark.parametrize("side", [LEFT, RIGHT], ids=["left", "right"])
@pytest.mark.parametrize("quick", [True, False], ids=["quick", "full"])
def test_a_clean_dataset_has_no_findings(tmp_path, side, quick):
    report = verify(make_dataset(tmp_path / "made", side=side), quick=quick)

    assert named(report) == []
    assert {"ok"} <= set(report.checks.values())


@pytest.mark.parametrize("quick", [True, False], ids=["quick", "full"])
def test_a_clean_dataset_of_tips_has_no_findings_and_says_what_it_cannot_know(clean_tips, quick):
    report = verify(clean_tips, quick=quick)

    assert named(report) == []
    assert report.checks["chirality"] == "not checked: no hand with every finger joint; tips alone do not tell"
    assert report.checks["units"] == report.checks["reprojection"] == "ok"


@pytest.mark.parametrize(("spoil", "check", "what"), FAULTS, ids=[fault[0].__name__ for fault in FAULTS])
def test_a_planted_fault_is_named(folder, spoil, check, what):
    rewrite(folder, spoil)

    report = verify(folder)

    assert [(c, w) for c, w in named(report) if c == check and what in w], named(report)
    assert report.checks[check] == "found"


@pytest.mark.parametrize(
    ("spoil", "check"),
    [fault[:2] for fault in FAULTS if fault[1] in {"order", "fingers", "units", "pictures"}],
    ids=[fault[0].__name__ for fault in FAULTS if fault[1] in {"order", "fingers", "units", "pictures"}],
)
def test_one_fault_is_named_once(folder, spoil, check):
    rewrite(folder, spoil)

    assert [c for c, _ in named(verify(folder))] == [check]


@pytest.mark.parametrize("spoil", [metres, another_cameras_K, mirror_pixels_alone], ids=lambda f: f.__name__)
def test_a_fault_of_tips_is_named(clean_tips, tmp_path, spoil):
    folder = shutil.copytree(clean_tips, tmp_path / "tips")
    rewrite(folder, spoil)
    expected = {"metres": "units", "another_cameras_K": "reprojection", "mirror_pixels_alone": "pictures"}

    assert expected[spoil.__name__] in {check for check, _ in named(verify(folder))}


def test_tips_in_depth_pictures_of_an_empty_ground_are_in_order(tmp_path):
    """Mirrored about the picture they all lie where it is black, which is one colour as well."""
    folder = make_dataset(tmp_path / "depth", tips_only=True, empty=True)

    assert verify(folder).checks["pictures"] == "ok"


@pytest.mark.parametrize("how", [{}, {"tips_only": True}, {"tips_only": True, "empty": True}], ids=str)
def test_pictures_mirrored_before_they_were_cut_out_are_named(tmp_path, how):
    """The canvas is cut out where the labels are; the hand lies elsewhere in it, or outside."""
    folder = make_dataset(tmp_path / "mirrored", mirrored=True, **how)

    assert [w for c, w in named(verify(folder)) if c == "pictures" and "mirrored image" in w]


@pytest.mark.parametrize(("spoil", "check", "what"), FAULTS[:6], ids=[fault[0].__name__ for fault in FAULTS[:6]])
def test_quick_names_the_faults_of_labels_too(folder, spoil, check, what):
    rewrite(folder, spoil)

    assert [w for c, w in named(verify(folder, quick=True)) if c == check and what in w]


def test_the_one_spoilt_sequence_is_named(folder):
    rewrite(folder, lambda rows, split: swap_little_dip_and_tip(rows, split) if split == "val" else None)

    (finding,) = [f for f in verify(folder).findings if f.check == "order"]

    assert (finding.where, finding.count, finding.total) == ("c", 40, 120)


def test_sequences_too_short_to_judge_one_by_one_are_judged_together(folder):
    """As short recordings beside a long one, or the part of an archive."""
    rewrite(folder, lambda rows, split: reverse_fingers(rows, split) if split == "train" else None)
    index = index_of_folder(folder)
    for number, entry in enumerate(index["shards"]):
        path = folder / entry["file"]
        rows = [row | {"sequence": i // 4} for i, row in enumerate(read_rows(path, ["a", "b", "c"]))]
        names = [f"{path.stem}/{i}" for i in range(len(rows))]
        if entry["split"] == "train":
            index["shards"][number] = write_shard(path, rows, names, "train")
    write_index(folder, index)

    found = {(f.check, f.where, f.count) for f in verify(folder, quick=True).findings}

    assert ("order", "the short sequences", 80) in found
    assert "chirality" not in {check for check, *_ in found}


def test_the_sample_whose_keypoint_is_off_is_listed(folder):
    rewrite(folder, move_one_keypoint)

    (finding,) = verify(folder).findings

    assert (finding.examples, finding.count) == (("c/0085",), 1)


# ------------------------------------------------------------------------------------------------ some of the hands


def test_hands_are_verified_as_their_folder_is(folder):
    rewrite(folder, move_one_keypoint)
    whole, opened = verify(folder), verify(hd.open(folder))

    assert (opened.findings, opened.checks) == (whole.findings, whole.checks)
    assert opened.to_pandas().examples[0] == ("c/0085",)
    assert "reprojection" in repr(opened)
    assert not opened.ok


@pytest.mark.parametrize("quick", [True, False], ids=["quick", "full"])
def test_of_chosen_hands_only_those_are_looked_at(folder, quick):
    rewrite(folder, move_one_keypoint)
    (folder / "train-00000.h5").unlink()
    data = hd.open(folder, split="val")
    bad = np.array(["c/0085"])

    without, alone = (verify(data.where(id=wanted), quick=quick) for wanted in (lambda ids: ~np.isin(ids, bad), bad))

    assert without.num_looked_at == len(data) - 1
    assert not without.findings
    assert (alone.num_samples, [one.examples for one in alone.findings]) == (1, [("c/0085",)])
    with pytest.raises(ValueError, match="no hands to verify"):
        verify(data[:0])


def test_several_datasets_are_one_report(folder, clean):
    rewrite(folder, move_one_keypoint)
    both = verify(hd.open(folder)[80:] + hd.open(clean)[:40] + hd.open(clean)[20:60])

    assert [finding.where.split(":")[0] for finding in both.findings] == ["made"]
    assert both.num_samples == len(hd.open(folder)) - 80 + 60
    assert (both.checks["reprojection"], both.checks["checksums"]) == ("found", "ok")


# ------------------------------------------------------------------------------------------------ files


def test_a_truncated_shard_is_named(folder):
    path = folder / "train-00001.h5"
    path.write_bytes(path.read_bytes()[:-1000])

    (finding,) = [f for f in verify(folder, quick=True).findings if f.check == "files"]

    assert finding.where == "train-00001.h5"
    assert finding.what.startswith("truncated shard")


@pytest.mark.parametrize("quick", [True, False], ids=["quick", "full"])
def test_a_missing_shard_is_named(folder, quick):
    (folder / "train-00000.h5").unlink()

    (finding,) = [f for f in verify(folder, quick=quick).findings if f.check == "files"]

    assert (finding.where, finding.what.split(":")[0]) == ("train-00000.h5", "missing shard")


@pytest.mark.parametrize("field", ["image", "visible"])
def test_a_flipped_byte_is_named_with_the_sample_it_lies_in(folder, field):
    path = folder / "val-00000.h5"
    reader = open_shard(path)
    row = 7
    size = reader.images[0].nbytes if field == "image" else 21
    data = bytearray(path.read_bytes())
    data[reader.offset(field) + row * size + 3] ^= 64
    path.write_bytes(data)

    finding = next(f for f in verify(folder).findings if f.check == "checksums")

    assert (finding.where, finding.count, finding.examples) == ("val-00000.h5", 1, ("c/0087",))
    assert finding.what.startswith("changed bytes")


def test_a_byte_flipped_outside_the_arrays_is_named(folder):
    path = folder / "val-00000.h5"
    data = bytearray(path.read_bytes())
    place = data.find(b"In source pixels")
    data[place] ^= 32
    path.write_bytes(data)

    (finding,) = verify(folder).findings

    assert finding.check == "files"
    assert finding.what.startswith("damaged shard: another one")


def test_shards_without_an_index_are_an_unfinished_conversion(folder):
    (folder / INDEX).unlink()

    assert named(verify(folder)) == [("index", "unfinished conversion: shards but no index.json")]


@pytest.mark.parametrize("text", ["{", "[]", '{"schema": "handdata/0", "shards": []}', '{"schema": "handdata/1"}'])
def test_a_damaged_index_is_named(folder, text):
    (folder / INDEX).write_text(text)

    assert [check for check, _ in named(verify(folder))] == ["index"]


def test_counts_and_hashes_of_the_index_are_compared(folder):
    index = json.loads((folder / INDEX).read_text())
    index["shards"][0]["num_samples"] += 1
    index["shards"][1]["content_sha256"] = "0" * 64
    (folder / INDEX).write_text(json.dumps(index))

    found = [f.what for f in verify(folder, quick=True).findings]

    assert any("num_samples is 120, its shards hold 121" in what for what in found)
    assert any(what.startswith("attribute content_sha256") for what in found)


def test_stray_and_partial_files_are_named(folder):
    shutil.copy(folder / "val-00000.h5", folder / "val-00007.h5")
    (folder / "val-00008.h5.17.partial").write_bytes(b"")

    found = {(f.what, f.examples) for f in verify(folder, quick=True).findings}

    assert ("shards that the index does not list", ("val-00007.h5",)) in found
    assert ("partial files of a stopped conversion", ("val-00008.h5.17.partial",)) in found


# ------------------------------------------------------------------------------------------------ copies


@pytest.fixture
def first_train_row(folder):
    reader = open_shard(folder / "train-00000.h5")
    names = [field.name for field in reader.fields if field.name not in {"row_hash", "image"}]
    return {name: reader[name][0] for name in names} | {"image": reader.images[0].copy()}


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({}, "split leak: the same sample in two splits"),
        ({"sample_id": b"c/copy"}, "split leak: hands of the same picture in two splits"),
        ({"sample_id": b"c/copy", "sequence": 2, "frame": 999}, "split leak: the same picture in two splits"),
    ],
    ids=["same id", "same frame", "same pixels"],
)
def test_a_split_leak_is_named(folder, first_train_row, changes, what):
    rewrite(folder, lambda rows, split: [*rows, first_train_row | changes] if split == "val" else None)

    assert ("splits", what) in named(verify(folder))


def test_a_sequence_in_two_splits_is_a_leak(folder):
    index = json.loads((folder / INDEX).read_text())
    index["splits"]["val"]["sequences"] = ["a", "c"]
    (folder / INDEX).write_text(json.dumps(index))

    (finding,) = verify(folder, quick=True).findings

    assert (finding.what, finding.examples) == ("split leak: sequences both in train and val", ("a",))


def test_the_published_splits_may_share_sequences(folder):
    index = json.loads((folder / INDEX).read_text())
    index["splits"]["val"]["sequences"] = ["a", "c"]
    index["options"]["split_scheme"] = "reference"
    (folder / INDEX).write_text(json.dumps(index))

    assert named(verify(folder, quick=True)) == []


def test_cameras_that_count_their_frames_alike_leak_nothing_in_the_published_splits(folder, first_train_row):
    """As in SynthHands, whose reference splits are of pictures: frame 16 of cam01/02 is not that of cam01/01."""
    picture = first_train_row["image"][::-1]
    other = first_train_row | {"sample_id": b"a/cam02/0000", "image": picture}
    rewrite(folder, lambda rows, split: [*rows, other] if split == "val" else None)
    index = json.loads((folder / INDEX).read_text())
    index["options"]["split_scheme"] = "reference"
    (folder / INDEX).write_text(json.dumps(index))

    assert named(verify(folder)) == []


def test_duplicate_pictures_and_ids_are_named(folder):
    def repeat(rows, split):
        if split == "val":
            return [*rows, rows[0] | {"sample_id": b"c/again", "frame": 998}, dict(rows[1])]
        return None

    rewrite(folder, repeat)

    assert {"duplicate pictures: the same pixels under different samples", "sample ids that repeat"} <= {
        what for _, what in named(verify(folder))
    }


def test_two_hands_of_one_picture_are_no_duplicates(folder):
    def both_hands(rows, split):
        return [*rows, rows[0] | {"sample_id": b"c/0080/right"}] if split == "val" else None

    rewrite(folder, both_hands)

    assert named(verify(folder)) == []


def test_a_flipped_byte_of_a_header_is_a_finding_wherever_it_is(folder):
    """HDF5 answers most of them by an error of its own, some by arrays of another shape."""
    path = folder / "val-00000.h5"
    whole = path.read_bytes()
    for offset in range(0, 2048, 9):
        path.write_bytes(whole[:offset] + bytes([whole[offset] ^ 0xFF]) + whole[offset + 1 :])
        index, _ = read_index(folder)
        readers, found = open_shards(folder, index)
        assert found or check_bytes(folder, index, readers)[0], offset
        assert all(len(reader.take("keypoints_2d", np.arange(40))) == 40 for reader in readers)


@pytest.mark.parametrize(
    "changes",
    [{"num_samples": "x"}, {"splits": None}, {"splits": {"val": 3}}, {"options": None}, {"shards": ["a"]}],
    ids=str,
)
def test_an_index_with_another_kind_of_value_is_damaged(folder, changes):
    index = json.loads((folder / INDEX).read_text())
    (folder / INDEX).write_text(json.dumps(index | changes))

    (finding,) = verify(folder).findings

    assert finding.check == "index"


def test_a_size_that_is_no_number_is_damage_of_the_index(folder):
    index = json.loads((folder / INDEX).read_text())
    index["shards"][1]["size"] = "big"
    (folder / INDEX).write_text(json.dumps(index))

    (finding,) = verify(folder).findings

    assert "train-00001.h5 without its size" in finding.what


# ------------------------------------------------------------------------------------------------ command


def run(*arguments):
    return CliRunner().invoke(group, [str(argument) for argument in arguments])


def test_the_command_prints_a_table_and_ends_with_0(clean):
    result = run("verify", clean)

    assert result.exit_code == 0
    assert "chirality" in result.stdout
    assert result.stdout.rstrip().endswith("nothing wrong")


def test_the_command_ends_with_1_and_names_the_fault(folder):
    rewrite(folder, metres)

    result = run("verify", folder, "--quick")

    assert result.exit_code == 1
    assert "metres instead of millimetres" in result.stdout


def test_the_command_prints_json(folder):
    rewrite(folder, metres)

    result = run("verify", folder, "--json")
    report = json.loads(result.stdout)

    assert result.exit_code == 1
    assert not report["ok"]
    assert report["findings"][0]["check"] == "units"


def test_a_dataset_is_found_by_its_name_and_all_without_one(clean, tmp_path):
    shutil.copytree(clean, tmp_path / "data" / "shards" / "stereo")

    assert run("--data-root", tmp_path, "verify", "stereo", "--quick").exit_code == 0
    assert run("--data-root", tmp_path, "verify", "--quick").exit_code == 0


def test_nothing_converted_is_one_clear_line(tmp_path):
    result = run("--data-root", tmp_path, "verify")

    assert str(result.exception).startswith(f"{tmp_path}/data/shards: expected converted datasets, got none.")


def test_no_such_folder_is_one_clear_line(tmp_path):
    make_dataset(tmp_path / "somewhere", count=3)
    result = run("verify", tmp_path / "nowhere")

    line = "expected a folder of shards, got no such folder. The nearest is 'somewhere'. Name a folder of shards"
    assert line in str(result.exception)


def test_a_scale_that_the_shards_do_not_have_is_found(tmp_path):
    folder = make_dataset(tmp_path / "made", count=6)
    index = json.loads((folder / "index.json").read_text())
    (folder / "index.json").write_text(json.dumps({**index, "canvas_scale": 9.0}))

    assert any("attribute canvas_scale is" in finding.what for finding in verify(folder).findings)
