"""What is peculiar to SynthHands: a key colour, two cameras, paths that say what is shown, a published shuffle."""

import json

import cv2
import numpy as np
import pytest

from handdata import manifest
from handdata.conversion.run import convert
from handdata.converters import synthhands
from handdata.converters.read.reference_split import reference_split
from handdata.errors import ConfigError, DataError, MissingError
from handdata.geometry import normalize_pose
from handdata.skeleton import LEFT
from tests.converters.conftest import plan_of, samples_of

FACTS = manifest.load("synthhands")
POINTS = np.arange(21)[:, None] * [2.0, 1.0, 3.0] + np.array([10.0, 20.0, 400.0])


def line(points=POINTS, separator=","):
    return separator.join(f"{value:.6f}" for value in np.ravel(points)) + "\n"


@pytest.fixture
def tree(tmp_path):
    """Make frames at "<class>/<seq>/<cam>/<part>/<number>", all with the same label and pictures."""

    def make(*stems, label=None, kinds=("color", "color_on_depth", "depth")):
        picture = np.full((480, 640, 3), (14, 255, 14), np.uint8)
        picture[200:280, 300:380] = (13, 255, 14)  # one off the key: hand
        picture[240, 340] = (0, 0, 0)  # black inside the hand is hand (docs/method.md D19)
        for stem in stems:
            path = tmp_path / "synthhands" / stem
            path.parent.mkdir(parents=True, exist_ok=True)
            for kind in kinds:
                image = picture[..., ::-1] if kind == "color" else np.zeros_like(picture)
                cv2.imwrite(f"{path}_{kind}.png", image)
            path.with_name(f"{path.name}_joint_pos.txt").write_text(label or line())
        return tmp_path / "synthhands"

    return make


FIRST = "female_noobject/seq01/cam01/01/00000000"


# ------------------------------------------------------------------------------------------------ cameras and labels


@pytest.mark.parametrize(("camera", "uv"), [("color", (368.4994, 272.7612)), ("color_on_depth", (323.0155, 269.746))])
def test_each_family_projects_with_its_own_camera(tree, camera, uv):
    (sample,) = samples_of("synthhands", tree(FIRST), camera=camera).values()

    assert sample.keypoints_2d[0] == pytest.approx(uv, abs=1e-4)  # by hand: X = (10, 20, 400)
    assert np.array_equal(sample.K, FACTS.cameras[camera].K)


def test_labels_move_to_the_colour_camera_by_a_shift_alone(tree):
    (sample,) = samples_of("synthhands", tree(FIRST)).values()

    assert sample.keypoints_3d == pytest.approx(POINTS + np.array([24.7, -0.0471401, 3.72045]))
    assert sample.hand_side == LEFT


def test_the_author_s_own_projection_and_normalisation_are_met(shared, tree):
    golden = json.loads((shared / "golden" / "golden_give.json").read_text())["synthhands"]
    (sample,) = samples_of("synthhands", tree(FIRST, label=line(golden["joint_pos_mm"]))).values()

    assert np.abs(sample.keypoints_2d - golden["uv_640x480"]).max() < 1e-4  # the file's text has 6 decimals
    assert np.abs(normalize_pose(sample.keypoints_3d)[0] - golden["normalised_3d"]).max() < 1e-6
    crop = sample.crop_xyxy
    fractions = (sample.keypoints_2d - crop[:2]) / (crop[2:] - crop[:2])
    assert np.abs(fractions - golden["vector_2d"]).max() < 1e-6


@pytest.mark.parametrize(
    "text",
    [
        line(separator=", "),
        line(separator=" "),
        line(separator=";"),
        line(separator="\n"),
        line().replace("\n", ",\r\n"),
        line().rstrip("\n"),
        f"\ufeff{line()}\n",
        line().replace("400.000000", "4.000000e+002", 1),
    ],
    ids=["spaced", "spaces", "semicolons", "a line each", "CRLF", "no line end", "byte order mark", "MSVC exponent"],
)
def test_numbers_read_however_they_are_parted(tree, text):
    (sample,) = samples_of("synthhands", tree(FIRST, label=text)).values()

    assert sample.keypoints_3d == pytest.approx(np.add(POINTS, (24.7, -0.0471401, 3.72045)), abs=1e-6)


# ------------------------------------------------------------------------------------------------ masks


def test_only_the_exact_key_colour_is_background(tree):
    (sample,) = samples_of("synthhands", tree(FIRST)).values()

    assert np.flatnonzero(sample.foreground.any(axis=1)).tolist() == list(range(200, 280))
    assert sample.foreground.sum() == 80 * 80
    assert sample.foreground[240, 340]


@pytest.mark.parametrize(("tolerance", "kept"), [(0, 80 * 80), (1, 1)])
def test_a_tolerance_takes_the_rim_that_smoothing_left(tree, tolerance, kept):
    (sample,) = samples_of("synthhands", tree(FIRST), key_tolerance=tolerance).values()

    assert sample.foreground.sum() == kept
    assert sample.foreground[240, 340]


@pytest.mark.parametrize(("name", "has_object", "value"), [("male_object", 1, 255), ("male_noobject", 0, 1)])
def test_the_path_says_whether_there_is_an_object(tree, name, has_object, value):
    (sample,) = samples_of("synthhands", tree(f"{name}/seq01/cam01/01/00000000")).values()

    assert sample.has_object == has_object
    assert np.unique(sample.mask).tolist() == [0, value]  # what is not key is the hand, or hand or object


def test_color_on_depth_has_no_segmentation(tree):
    root = tree(FIRST)

    assert not plan_of("synthhands", root, camera="color_on_depth").has_foreground
    assert samples_of("synthhands", root, camera="all")[f"{FIRST}_color_on_depth"].foreground is None


# ------------------------------------------------------------------------------------------------ files


def test_the_colour_pictures_are_not_mistaken_for_color_on_depth(tree):
    root = tree(FIRST, "male_object/seq02/cam05/03/00000499")
    (root / FIRST).with_name("Thumbs.db").write_text("")
    (root / "female_noobject/.DS_Store").write_text("")

    assert [item.image for item in plan_of("synthhands", root).items] == [
        f"{FIRST}_color.png", "male_object/seq02/cam05/03/00000499_color.png"
    ]  # fmt: skip
    assert len(plan_of("synthhands", root, camera="all").items) == 4


def test_ids_do_not_depend_on_the_cameras_asked_for(tree):
    root = tree(FIRST)
    every = {item.id for item in plan_of("synthhands", root, camera="all").items}

    assert {item.id for item in plan_of("synthhands", root).items} < every


def test_gaps_in_the_frame_numbers_are_nothing_to_speak_of(tree):
    plan = plan_of("synthhands", tree(*(f"female_noobject/seq01/cam01/01/{i:08d}" for i in (0, 3, 499))))

    assert [item.frame for item in plan.items] == [0, 3, 499]
    assert not any("lack" in warning for warning in plan.warnings)


def test_absent_classes_and_sequences_are_named(tree):
    (warning,) = plan_of("synthhands", tree(FIRST, "male_object/seq07/cam01/01/00000000")).warnings

    assert warning.startswith("absent: female_object, male_noobject, female_noobject/seq02")
    assert "male_object/seq01" in warning


@pytest.mark.parametrize("gone", ["color.png", "joint_pos.txt"])
def test_a_frame_that_lacks_a_file_is_an_error_unless_skipped(tree, tmp_path, refused, gone):
    second = FIRST.replace("00000000", "00000001")
    root = tree(FIRST, second)
    (root / f"{second}_{gone}").unlink()

    assert plan_of("synthhands", root).warnings[-1] == f"1 frames lack a file, the first {second}_{gone}"
    line = refused(MissingError, lambda: convert("synthhands", root, tmp_path / "out"))
    assert f"{second}_{gone}" in line
    kept = convert("synthhands", root, tmp_path / "out", skip_bad=True)
    assert (kept.num_samples, list(kept.skipped)) == (1, [f"{second}_color"])


def test_a_family_that_is_not_there_is_named(tree, refused):
    root = tree(FIRST, kinds=("color_on_depth",))

    assert "color_on_depth" in refused(MissingError, lambda: plan_of("synthhands", root))
    assert "*_color.png" in plan_of("synthhands", root, camera="all").warnings[0]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (line(POINTS[:20]), "expected 63 numbers, got 60"),
        (line() + line(), "expected 63 numbers, got 126"),
        (line().replace("403", "4O3", 1), "expected numbers"),
        (line().replace("400.000000", "nan", 1), "expected finite numbers"),
        (line().replace("400.000000", "1e300", 1), "expected numbers up to 1e+06, got 1e+300"),
        (" ", "got 0"),
    ],
)
def test_a_bad_label_is_named_with_its_line(tree, refused, text, says):
    root = tree(FIRST, label=text)

    message = refused(DataError, lambda: samples_of("synthhands", root))
    assert f"{FIRST}_joint_pos.txt:1" in message
    assert says in message


# ------------------------------------------------------------------------------------------------ splits


def test_recorded_motions_part_the_splits(tree):
    stems = [f"female_object/seq0{k}/cam01/01/00000000" for k in range(1, 8)]
    splits = [item.split for item in plan_of("synthhands", tree(*stems)).items]

    assert splits == ["train"] * 5 + ["val", "test"]


@pytest.mark.parametrize(
    ("wanted", "count"), [(("seq01",), 2), (("female_object/seq01",), 1), (("seq01", "male_object/seq02"), 3)]
)
def test_sequences_are_chosen_by_motion_or_by_class_and_motion(tree, wanted, count):
    stems = [f"{name}/seq0{k}/cam01/01/00000000" for name in ("female_object", "male_object") for k in (1, 2)]

    assert len(plan_of("synthhands", tree(*stems), sequences=wanted).items) == count


def test_an_unknown_sequence_is_refused(tree, refused):
    root = tree(FIRST)

    refused(ConfigError, lambda: plan_of("synthhands", root, sequences=("seq09",)))


def test_the_reference_split_is_numpy_s_legacy_shuffle_of_the_sorted_paths_d21():
    """docs/method.md 2.1, word for word: seed(42), shuffle, first 5000 validate, next 5000 test."""
    names = [f"{i:06d}_color.png" for i in range(20_000)]
    splits, warnings = reference_split(names, {"seed": 42, "val": 5000, "test": 5000}, 20_000)

    shuffled = list(names)
    np.random.seed(42)  # noqa: NPY002 - as published
    np.random.shuffle(shuffled)  # noqa: NPY002
    expected = {**dict.fromkeys(shuffled[:5000], "val"), **dict.fromkeys(shuffled[5000:10_000], "test")}
    assert dict(zip(names, splits, strict=True)) == {name: expected.get(name, "train") for name in names}
    assert warnings == []


def test_a_part_of_the_archive_gets_shares_in_proportion_and_a_warning(tree):
    root = tree(*(f"male_noobject/seq01/cam01/01/{i:08d}" for i in range(6)))
    plan = plan_of("synthhands", root, split_scheme="reference")

    assert sorted(item.split for item in plan.items) == ["test", "train", "train", "train", "train", "val"]
    assert "6 of 185634 pictures" in plan.warnings[0]


def test_both_cameras_of_a_frame_are_in_the_same_reference_split(tree):
    root = tree(*(f"male_noobject/seq01/cam01/01/{i:08d}" for i in range(6)))
    items = plan_of("synthhands", root, split_scheme="reference", camera="all").items

    split = {item.id: item.split for item in items}
    assert all(split[i] == split[i.replace("_color", "_color_on_depth")] for i in split if i.endswith("_color"))


@pytest.mark.parametrize("width", [64, 61])
@pytest.mark.parametrize("others", [0, 1, 2, 40])
def test_the_mask_is_the_exact_key_colour_whatever_lies_where(width, others):
    rng, key = np.random.default_rng(others), np.array([14, 255, 14], np.uint8)
    image = np.tile(key, (48, width, 1))
    for _ in range(others):
        image[rng.integers(48), rng.integers(width), rng.integers(3)] ^= 1

    mask = synthhands._mask(image, key, 0, has_object=1)

    np.testing.assert_array_equal(mask, np.where((image == key).all(axis=-1), 0, 255))
