"""What is peculiar to RHD: two hands a picture, metres, fingers from the tip, flags, part masks, a pickle."""

import json
import pickle
import resource
import shutil

import cv2
import numpy as np
import pytest

from handdata.check.verify import verify
from handdata.conversion.run import convert
from handdata.errors import ConfigError, DataError, MissingError
from handdata.geometry import apply_affine, project
from handdata.shards.dataset import open_dataset
from handdata.skeleton import INDEX, LEFT, RIGHT, TIPS, WRIST
from handdata.synth.native import rhd as rhd_writer
from handdata.synth.native import write_native
from handdata.synth.native.python2_pickle import dumps
from handdata.synth.native.tree import save_labels
from tests.converters.conftest import plan_of, samples_of

# Native joint -> ours, docs/datasets.md: wrist, then thumb to little, each from the tip.
PERMUTATION = [0, 4, 3, 2, 1, 8, 7, 6, 5, 12, 11, 10, 9, 16, 15, 14, 13, 20, 19, 18, 17]
K = np.array([[280.0, 0, 160.0], [0, 280.0, 160.0], [0, 0, 1]])


def entry(*, visible=(LEFT,)):
    """One picture's labels: the left hand about (-30, 0, 500) mm, the right about (60, 0, 500) mm."""
    offsets = np.arange(21)[:, None] * [2.0, 1.0, 3.0]
    xyz = np.vstack([offsets + np.array(place) for place in ((-30, 0, 500), (60, 0, 500))])
    flags = np.repeat([side in visible for side in (LEFT, RIGHT)], 21).astype(float)
    return labels_of(xyz, flags)


def labels_of(xyz, flags):
    """Labels as the archive has them, of (42, 3) mm and (42,) flags: metres, pixels from the corner of the first."""
    uv_vis = np.column_stack([project(xyz, K), flags])
    return {"xyz": (xyz / 1000).astype(np.float32), "uv_vis": uv_vis.astype(np.float32), "K": K.astype(np.float32)}


@pytest.fixture
def tree(tmp_path):
    """Make a tree of one set from {number: labels}; every mask has a person, 3 left pixels and 2 right ones."""

    def make(table, name="training"):
        root = tmp_path / "rhd"
        for kind in ("color", "mask"):
            (root / name / kind).mkdir(parents=True, exist_ok=True)
        mask = np.zeros((320, 320), np.uint8)
        mask[10:20, 10:20] = 1
        mask[100, 100:103] = 2, 10, 17
        mask[200, 100:102] = 18, 33
        for number in table:
            cv2.imwrite(str(root / name / "color" / f"{number:05d}.png"), np.full((320, 320, 3), 90, np.uint8))
            cv2.imwrite(str(root / name / "mask" / f"{number:05d}.png"), mask)
        (root / name / f"anno_{name}.pickle").write_bytes(dumps(table))
        return root

    return make


# ------------------------------------------------------------------------------------------------ hands


@pytest.mark.parametrize(
    ("hands", "expected"),
    [
        ("visible", ["training/00000/left", "training/00001/left", "training/00001/right", "training/00002/right"]),
        ("dominant", [f"training/0000{i}/left" for i in range(4)]),
        ("all", [f"training/0000{i}/{side}" for i in range(4) for side in ("left", "right")]),
    ],
)
def test_the_hands_of_a_picture_that_become_samples(tree, hands, expected):
    table = {0: entry(), 1: entry(visible=(LEFT, RIGHT)), 2: entry(visible=(RIGHT,)), 3: entry(visible=())}

    assert [item.id for item in plan_of("rhd", tree(table), hands=hands).items] == expected


def test_pictures_without_a_visible_hand_are_counted(tree):
    plan = plan_of("rhd", tree({0: entry(), 1: entry(visible=())}))

    assert plan.warnings[0] == "1 of 2 pictures of training show no hand by their flags: no sample"


def test_one_flag_is_enough_to_be_visible(tree):
    labels = entry(visible=())
    labels["uv_vis"][21 + 8, 2] = 1
    (sample,) = samples_of("rhd", tree({5: labels})).values()

    assert sample.hand_side == RIGHT
    assert np.flatnonzero(sample.visible == 1).tolist() == [PERMUTATION[8]]
    assert np.count_nonzero(sample.visible == 0) == 20


def test_the_dominant_hand_has_more_pixels_and_a_tie_goes_to_the_right(tree):
    root = tree({0: entry(), 1: entry()})
    mask = np.zeros((320, 320), np.uint8)
    mask[0, :2], mask[1, :2] = (2, 17), (18, 33)
    cv2.imwrite(str(root / "training/mask/00001.png"), mask)

    assert [item.ref for item in plan_of("rhd", root, hands="dominant").items] == [LEFT, RIGHT]


def test_an_unknown_choice_of_hands_is_refused(tree, refused):
    root = tree({0: entry()})

    assert "--hands" in refused(ConfigError, lambda: plan_of("rhd", root, hands="both"))


# ------------------------------------------------------------------------------------------------ labels


def test_metres_become_millimetres_and_fingers_run_from_the_knuckle(tree):
    labels = entry(visible=(LEFT, RIGHT))
    samples = samples_of("rhd", tree({7: labels}))

    for first, sample in zip((0, 21), samples.values(), strict=True):
        native = labels["xyz"][first : first + 21].astype(float) * 1000
        assert sample.keypoints_3d == pytest.approx(native[PERMUTATION])
        assert sample.keypoints_3d[INDEX["thumb_tip"]] == pytest.approx(native[1])
        assert sample.keypoints_2d == pytest.approx(labels["uv_vis"][first : first + 21, :2][PERMUTATION] - 0.5)
        assert pytest.approx(np.array([[280.0, 0, 159.5], [0, 280.0, 159.5], [0, 0, 1]])) == sample.K
    assert [sample.hand_side for sample in samples.values()] == [LEFT, RIGHT]


def test_the_mask_is_hand_of_either_side_person_unknown_and_only_nought_is_background(tree):
    (sample,) = samples_of("rhd", tree({0: entry()})).values()

    assert np.unique(sample.mask, return_counts=True)[1].tolist() == [320 * 320 - 105, 5, 100]
    assert np.unique(sample.mask).tolist() == [0, 1, 255]
    assert np.array_equal(sample.foreground, sample.mask != 0)


def test_the_archive_s_two_sets_are_train_and_test(tree):
    root = tree({0: entry()})
    tree({0: entry()}, "evaluation")

    assert [(item.id, item.split) for item in plan_of("rhd", root).items] == [
        ("training/00000/left", "train"), ("evaluation/00000/left", "test")
    ]  # fmt: skip


# ------------------------------------------------------------------------------------------------ what is absent


def test_without_masks_there_is_no_foreground_and_it_says_so(tree):
    root = tree({0: entry()})
    shutil.rmtree(root / "training/mask")
    plan = plan_of("rhd", root)

    assert not plan.has_foreground
    assert "no foreground: training/mask absent" in plan.warnings
    assert samples_of("rhd", root)["training/00000/left"].foreground is None


def test_pictures_that_are_absent_are_named_and_the_rest_converts(tree):
    root = tree({0: entry(), 1: entry(), 4: entry()})
    (root / "training/color/00001.png").unlink()
    plan = plan_of("rhd", root)

    assert [item.frame for item in plan.items] == [0, 4]
    assert "absent: 1 of 3 pictures of training, the first 00001.png" in plan.warnings
    assert "absent: evaluation" in plan.warnings


@pytest.mark.parametrize(
    ("damage", "names"),
    [
        (lambda root: (root / "training/anno_training.pickle").unlink(), "anno_training.pickle"),
        (lambda root: shutil.copy(root / "training/color/00000.png", root / "training/color/00009.png"), "00009.png"),
        (lambda root: (root / "training/color/00000.png").unlink(), "training/color"),
    ],
    ids=["no labels", "no label of a picture", "no pictures"],
)
def test_pictures_without_labels_and_labels_without_pictures_are_an_error(tree, refused, damage, names):
    root = tree({0: entry()})
    damage(root)

    assert names in refused(MissingError, lambda: plan_of("rhd", root))


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("K", np.full((3, 3), np.nan), "[0][K]: expected finite numbers"),
        ("xyz", np.zeros((21, 3)), "[0][xyz]: expected an array of shape (42, 3), got shape (21, 3)"),
        ("uv_vis", None, "[0][uv_vis]: expected an array of shape (42, 3), got none"),
        ("uv_vis", np.full((42, 3), 1e7), "[0][uv_vis]: expected numbers up to 5e+06, got 1e+07"),
        ("K", np.diag([1e300, 1e300, 1]), "[0][K]: expected numbers up to 1e+06, got 1e+300"),
        ("xyz", np.full((42, 3), -1e300), "[0][xyz]: expected numbers up to 1e+06, got 1e+300"),
    ],
)
def test_a_label_that_cannot_be_used_is_named_and_can_be_skipped(tree, tmp_path, refused, key, value, says):
    root = tree({0: {**entry(), key: value}, 1: entry()})

    assert says in refused(DataError, lambda: convert("rhd", root, tmp_path / "out"))
    assert not (tmp_path / "out/index.json").exists()
    kept = convert("rhd", root, tmp_path / "out", skip_bad=True)
    assert kept.num_samples == 1
    assert sorted(kept.skipped) == ["training/00000/left", "training/00000/right"]


def test_a_point_a_million_pixels_away_neither_widens_the_crop_nor_takes_memory(tree, tmp_path):
    far = entry()
    far["uv_vis"][3, :2] = 1e6
    root = tree({0: entry(), 1: far})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    convert("rhd", root, tmp_path / "out")

    data = open_dataset(tmp_path / "out")
    assert data["keypoints_2d"][1].max() > 999_000
    assert (data["crop_xyxy"][1, 2:] - data["crop_xyxy"][1, :2]).max() < 3 * 320
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB


def test_a_picture_whose_camera_is_none_is_named_or_skipped_alone(tree, tmp_path, refused):
    broken = {**entry(), "K": np.diag([0.0, 280.0, 1.0]).astype(np.float32)}
    root = tree({0: entry(), 1: broken, 2: entry()})

    line = refused(DataError, lambda: convert("rhd", root, tmp_path / "out"))
    assert "00001.png[K]: expected positive focal lengths" in line
    assert list(convert("rhd", root, tmp_path / "out", skip_bad=True).skipped) == ["training/00001/left"]


@pytest.mark.parametrize(
    ("shift", "said"),
    [
        (0.05, "84 keypoints looked at, all within 0.5 px"),
        (1.0, "1 of 84 keypoints looked at are more than 0.5 px apart, the largest 1.0"),
    ],
)
def test_how_far_2d_and_3d_labels_are_apart_is_told(tree, shift, said):
    """Of which edition the archive is, the labels do not tell."""
    other = entry()
    other["uv_vis"][7, 0] += shift

    readings = plan_of("rhd", tree({0: entry(), 1: other})).readings
    assert ("2D against 3D labels", said) in readings
    assert "edition" not in dict(readings)


# ------------------------------------------------------------------------------------------------ behind the camera


def reaching_back(side, depths):
    """A picture's labels whose hand of one side has its points at these depths, mm."""
    labels = entry()
    xyz = labels["xyz"].astype(float) * 1000
    xyz[21 * side : 21 * side + 21, 2] = depths
    with np.errstate(divide="ignore"):
        uv = (xyz @ K.T)[:, :2] / xyz[:, 2:]
    changed = labels_of(xyz, labels["uv_vis"][:, 2])
    changed["uv_vis"][:, :2] = np.nan_to_num(uv, posinf=1e6, neginf=-1e6)
    return changed


def test_points_at_or_behind_the_camera_have_no_2d_and_do_not_widen_the_crop(tree, tmp_path):
    depths = np.full(21, 500.0)
    depths[[4, 8, 12]] = 0.0, -80.0, 2.0  # native: thumb MCP, index MCP, middle MCP just in front
    convert("rhd", tree({0: reaching_back(LEFT, depths)}), tmp_path / "out")
    (reader,) = open_dataset(tmp_path / "out").shards.readers

    lost = [INDEX["thumb_mcp"], INDEX["index_mcp"]]
    assert np.flatnonzero(~reader["annotated_2d"][0]).tolist() == lost
    assert np.isnan(reader["keypoints_2d"][0][lost]).all()
    assert reader["annotated_3d"][0].all()
    assert np.abs(reader["keypoints_2d"][0][INDEX["middle_mcp"]]).max() > 1000  # a true projection, far outside
    near = reader["keypoints_2d"][0][reader["in_frame"][0]] + 0.5
    expected = np.ptp(near, axis=0).max() + 80
    assert reader["crop_xyxy"][0][2] - reader["crop_xyxy"][0][0] == pytest.approx(expected, abs=1e-3)
    assert verify(tmp_path / "out").checks["schema"] == "ok"


def test_a_hand_wholly_behind_the_camera_is_counted_and_named(tree, tmp_path):
    root = tree({0: entry(), 7: reaching_back(RIGHT, -np.linspace(50.0, 150.0, 21))})

    assert not any("behind" in note for note in plan_of("rhd", root).warnings)  # no flag shows it
    plan = plan_of("rhd", root, hands="all")
    assert "1 hands lie wholly behind the camera and have no 2D: training/00007/right" in plan.warnings
    sample = samples_of("rhd", root, hands="all")["training/00007/right"]
    assert np.isnan(sample.keypoints_2d).all()
    assert sample.crop_xyxy.tolist() == [0, 0, 320, 320]


def test_what_is_rendered_and_what_is_read_agree(tmp_path, monkeypatch):
    """Digits enough, writer and reader are each other's inverse: half pixels, axes, units, order."""
    drawn = {}

    def save(root, name, number, labels):
        drawn[name, number] = labels
        save_labels(root, name, number, labels)

    monkeypatch.setattr(rhd_writer, "DIGITS", 9)
    monkeypatch.setattr(rhd_writer, "save_labels", save)
    write_native("rhd", tmp_path / "rhd", 6, seed=0, small=True)

    samples = samples_of("rhd", tmp_path / "rhd", hands="all")
    assert len(samples) == 2 * len(drawn) > 0
    for name, sample in samples.items():
        folder, number, side = name.split("/")
        labels = drawn[folder, int(number)]
        xyz, K_drawn = labels[21 * (side == "right") :][:21, :3], labels[42:, :3]
        assert np.abs(sample.keypoints_3d - xyz).max() < 0.001
        assert np.abs(sample.K - K_drawn).max() < 0.001
        assert np.abs(sample.keypoints_2d - project(xyz, K_drawn)).max() < 0.001


def test_labels_that_changed_are_read_again(tree):
    samples_of("rhd", tree({0: entry()}))

    (sample,) = samples_of("rhd", tree({0: entry(visible=(RIGHT,))})).values()

    assert sample.hand_side == RIGHT


def test_a_malicious_pickle_ends_the_conversion_and_nothing_runs(tree, tmp_path, refused):
    class Touches:
        def __reduce__(self):
            return __import__("os").mkdir, (str(tmp_path / "ran"),)

    root = tree({0: entry()})
    (root / "training/anno_training.pickle").write_bytes(pickle.dumps({0: Touches()}))

    assert "posix.mkdir" in refused(DataError, lambda: convert("rhd", root, tmp_path / "out"))
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "out/index.json").exists()


# ------------------------------------------------------------------------------------------------ real input


@pytest.fixture
def real(shared, tmp_path):
    """The two real pictures put back: native order as they are, metres, the other hand out of sight, flags by side."""
    folder = shared / "samples" / "rhd"
    notes = json.loads((folder / "annotations.json").read_text())
    root, table = tmp_path / "real", {}
    (root / "training" / "color").mkdir(parents=True)
    for picture, hand in zip(notes["images"], notes["annotations"], strict=True):
        side = ("left", "right").index(hand["hand_type"])
        camera = picture["cam_param"]
        xyz = np.tile([3.0, 0.0, 0.5], (42, 1))
        uv_vis = np.zeros((42, 3))
        rows = slice(21 * side, 21 * side + 21)
        xyz[rows], uv_vis[rows] = np.array(hand["joint_cam"]) / 1000, np.array(hand["keypoints"])
        table[hand["id"]] = {
            "xyz": xyz.astype(np.float32),
            "uv_vis": uv_vis.astype(np.float32),
            "K": np.array([[camera["focal"][0], 0, 160], [0, camera["focal"][1], 160], [0, 0, 1]], np.float32),
        }
        shutil.copy(folder / picture["file_name"], root / "training" / "color" / picture["file_name"])
    (root / "training" / "anno_training.pickle").write_bytes(dumps(table))
    return root


def test_the_two_real_pictures_convert_and_reproject_within_a_tenth_of_a_pixel(real, tmp_path):
    convert("rhd", real, tmp_path / "out")
    (reader,) = open_dataset(tmp_path / "out").shards.readers

    assert [i.decode() for i in reader["sample_id"]] == ["training/00111/left", "training/11111/right"]
    assert reader["hand_side"].tolist() == [LEFT, RIGHT]
    for row in range(2):
        uv = project(reader["keypoints_3d"][row], reader["K"][row])
        assert np.abs(uv - reader["keypoints_2d"][row]).max() < 0.1
    assert reader["keypoints_2d"][0][WRIST] == pytest.approx((245.3, 73.48), abs=1e-3)
    assert reader["keypoints_2d"][0][INDEX["thumb_tip"]] == pytest.approx((169.9, 114.5), abs=1e-3)
    assert reader["keypoints_2d"][0][INDEX["thumb_mcp"]] == pytest.approx((219.5, 82.01), abs=1e-3)


def test_the_real_hands_lie_on_skin_after_the_canvas_warp(real, tmp_path):
    """Skin is redder than it is blue; the trousers, the lake and the sky behind it are not."""
    convert("rhd", real, tmp_path / "out")
    (reader,) = open_dataset(tmp_path / "out").shards.readers

    for row in range(2):
        points = np.rint(apply_affine(reader["source_to_canvas"][row], reader["keypoints_2d"][row])).astype(int)
        assert ((points >= 0) & (points < reader.images.shape[1])).all()
        inner = [k for k in range(21) if k not in TIPS]
        skin = reader.images[row][points[inner, 1], points[inner, 0]].astype(int)
        assert np.mean(skin[:, 0] > skin[:, 2]) > 0.9
