"""Real files of labels from public repositories, as they lie, with one command each; they run where the files are."""

import json

import numpy as np
import pytest

from handdata.check.diff import compare
from handdata.conversion.run import convert
from handdata.converters.custom import CustomOptions
from handdata.exchange.export import export
from handdata.geometry import project
from handdata.shards.dataset import open_dataset
from handdata.skeleton import INDEX
from tests.converters import real
from tests.converters.conftest import plan_of, samples_of

WHOLE_BODY = ("coco_wholebody", "test_coco_wholebody.json")
# folder, file, folder of the pictures, hands by side (left, right, unknown), part of the format's name
FILES = {
    "wholebody": (*WHOLE_BODY, "", (3, 4, 0), "COCO-WholeBody"),
    "halpe": ("halpe", "test_halpe.json", "coco_wholebody", (5, 4, 0), "Halpe"),
    "onehand10k": ("onehand10k", "test_onehand10k.json", "", (0, 0, 3), "OneHand10K"),
    "panoptic": ("panoptic", "test_panoptic.json", "", (1, 1, 0), "Panoptic"),
    "freihand": ("freihand", "annotations.json", "", (0, 8, 0), "FreiHAND"),
    "rhd": ("rhd", "annotations.json", "", (1, 1, 0), "RHD"),
    "interhand": ("interhand", "test_interhand2.6m_data.json", "", (2, 2, 0), "InterHand2.6M"),
}


def taken(name, **more):
    """Return the folder of the pictures and the options for a real file."""
    folder, file, pictures, *_ = FILES[name]
    root = real.samples(pictures or folder)
    return root, {"annotations": real.samples(folder) / file, **more}


def raw(name):
    folder, file, *_ = FILES[name]
    return json.loads((real.samples(folder) / file).read_text())


@pytest.mark.parametrize("name", FILES)
def test_a_real_file_is_known_and_every_hand_is_read(name):
    root, options = taken(name)

    samples, plan = samples_of("custom", root, **options), plan_of("custom", root, **options)

    sides = [sample.hand_side for sample in samples.values()]
    assert tuple(sides.count(side) for side in (0, 1, 2)) == FILES[name][3]
    assert FILES[name][4] in dict(plan.readings)["format"]
    assert not plan.faults
    assert not [line for line in plan.warnings if "order" in line]


@pytest.mark.parametrize("name", ["interhand", "freihand"])
@pytest.mark.parametrize("given", ["the folder", "every file of it"])
def test_a_folder_of_real_files_is_its_labels(name, given):
    """InterHand2.6M's cameras and joints lie beside its labels, and are no labels of their own."""
    root, options = taken(name)
    named = root if given == "the folder" else tuple(sorted(root.glob("*.json")))

    samples = samples_of("custom", root, annotations=named)

    assert list(samples) == list(samples_of("custom", root, **options))


@pytest.mark.parametrize("name", FILES)
def test_the_order_of_a_real_file_is_what_the_evidence_says(name):
    root, options = taken(name)

    given, judged = samples_of("custom", root, **options), samples_of("custom", root, order="auto", **options)

    for key in given:
        np.testing.assert_array_equal(given[key].keypoints_2d, judged[key].keypoints_2d)


@pytest.mark.parametrize("name", FILES)
def test_a_real_file_becomes_shards(name, tmp_path):
    root, options = taken(name)

    convert("custom", root, tmp_path / "out", options=CustomOptions(**options), canvas=64)

    assert len(open_dataset(tmp_path / "out")) == sum(FILES[name][3])


def test_wholebody_points_boxes_and_visibility_are_the_files():
    root, options = taken("wholebody")
    samples = samples_of("custom", root, **options)

    jump = samples["000000000785.jpg/442619/right"]
    np.testing.assert_allclose(jump.bbox_xyxy, [280.43, 173.12, 280.43 + 27.86, 173.12 + 24.85], atol=1e-6)
    np.testing.assert_allclose(jump.keypoints_2d[INDEX["wrist"]], (304.10366, 181.75134), atol=1e-6)
    np.testing.assert_allclose(jump.keypoints_2d[INDEX["thumb_tip"]], (290.1, 187.8))
    assert set(jump.visible) == {-1}  # flags 1 alone: nothing is said
    wave = samples["000000040083.jpg/198196/left"]
    np.testing.assert_allclose(wave.keypoints_2d[INDEX["little_tip"]], (105.729, 206.681), atol=1e-4)
    assert (wave.visible[INDEX["wrist"]], wave.visible[INDEX["little_tip"]]) == (-1, 1)
    np.testing.assert_allclose(samples["000000197388.jpg/531914/right"].keypoints_2d[0], (565, 153))
    assert "4 persons without a labelled hand" in " ".join(plan_of("custom", root, **options).warnings)


def test_labels_of_a_picture_that_is_not_there_are_counted(tmp_path):
    """15 hands of the one picture of COCO-WholeBody's own example are labelled."""
    from handdata.errors import MissingError

    with pytest.raises(MissingError, match="none of 1, the first would be 000000001000"):
        plan_of("custom", tmp_path, annotations=real.samples("coco_wholebody") / "example_gt_1000.json")


def test_halpe_labels_some_points_of_a_hand():
    root, options = taken("halpe")
    samples = samples_of("custom", root, **options)

    labelled = {key: int(np.isfinite(sample.keypoints_2d).all(-1).sum()) for key, sample in samples.items()}
    assert labelled["000000000785.jpg/442619/left"] == 18
    assert labelled["000000000785.jpg/442619/right"] == 13
    fourth = next(sample for key, sample in samples.items() if key.endswith("531914/right"))
    np.testing.assert_allclose(fourth.keypoints_2d[INDEX["index_tip"]], (571, 169))


@pytest.mark.parametrize("name", ["onehand10k", "panoptic", "freihand"])
def test_points_of_one_hand_per_annotation_are_the_files(name):
    root, options = taken(name)
    samples = list(samples_of("custom", root, **options).values())

    for annotation, sample in zip(raw(name)["annotations"], samples, strict=True):
        points = np.array(annotation["keypoints"], np.float64).reshape(21, 3)
        known = points[:, 2] > 0
        np.testing.assert_allclose(sample.keypoints_2d[known], points[known, :2], atol=1e-9)
        assert np.isnan(sample.keypoints_2d[~known]).all()
        assert set(sample.visible) == {-1}


def test_freihands_four_versions_of_a_shot_stay_in_one_split():
    root, options = taken("freihand")

    items = plan_of("custom", root, **options).items

    shots = {frozenset(item.split for item in items if item.image in names) for names in (
        ("00000355.jpg", "00032915.jpg", "00065475.jpg", "00098035.jpg"),
        ("00017620.jpg", "00050180.jpg", "00082740.jpg", "00115300.jpg"),
    )}  # fmt: skip
    assert shots == {frozenset({"train"}), frozenset({"val"})}


def test_a_picture_stored_twice_stays_in_one_split():
    root, options = taken("panoptic")

    assert len({item.split for item in plan_of("custom", root, **options).items}) == 1


def test_rhds_points_are_listed_from_the_tip_whatever_their_names_say():
    root, options = taken("rhd")
    left = samples_of("custom", root, **options)["00111.png"]

    np.testing.assert_allclose(left.keypoints_2d[INDEX["thumb_tip"]], (170.4, 115.0), atol=1e-4)
    np.testing.assert_allclose(project(left.keypoints_3d, left.K), left.keypoints_2d, atol=1)
    np.testing.assert_allclose(left.keypoints_3d[INDEX["wrist"]], (117.9, -118.2, 411.0), atol=1e-4)


def test_rhds_points_under_their_names_are_noticed():
    root, options = taken("rhd")

    plan = plan_of("custom", root, order="base-first", **options)

    assert any("the longer bone at the tip" in line for line in plan.warnings)


def test_interhands_joints_project_into_the_hand():
    root, options = taken("interhand")
    samples = samples_of("custom", root, **options)

    assert set(samples) == {
        "image69148.jpg/left", "image69148.jpg/right", "image29590.jpg/left", "image2017.jpg/right",
    }  # fmt: skip
    for sample in samples.values():
        height, width = sample.image.shape[:2]
        np.testing.assert_allclose(project(sample.keypoints_3d, sample.K), sample.keypoints_2d, atol=1e-6)
        inside = (sample.keypoints_2d >= 0) & (sample.keypoints_2d < (width, height))
        assert inside.all(-1).mean() > 0.9
    only = samples["image2017.jpg/right"]
    assert (only.keypoints_2d.min(0) >= only.bbox_xyxy[:2] - 1).all()
    assert (only.keypoints_2d.max(0) <= only.bbox_xyxy[2:] + 1).all()


def test_several_files_are_read_at_once():
    """Each names its pictures from its own folder."""
    files = tuple(real.samples(folder) / file for folder, file, *_ in (FILES["panoptic"], FILES["freihand"]))

    plan = plan_of("custom", files[0].parent, annotations=files)

    assert len(plan.items) == 10
    assert all((plan.root / item.image).is_file() for item in plan.items)


# ------------------------------------------------------------------------------------------------ CVAT

RECORDING = "20221001_171108"


def test_cvats_project_of_videos_is_read_with_its_own_frame_numbers():
    """Frames run on over the tasks of a project; positions count from the edge of the picture."""
    folder = real.samples("dexycb_layout") / RECORDING
    samples = samples_of("custom", folder, annotations=folder / "cvat_kpts/annotations_1.xml", side="right")

    assert len(samples) == 4 * 5  # pictures of five frames of each of four cameras are here
    sample = samples["141122079464/color_000040.jpg"]
    assert sample.hand_side == 1
    np.testing.assert_allclose(sample.keypoints_2d[INDEX["wrist"]], (414.40, 269.88), atol=1e-9)
    assert set(sample.visible) <= {0, 1}


def test_cvats_occluded_points_are_hidden_or_missing():
    folder = real.samples("dexycb_layout") / RECORDING
    files = tuple(folder / f"cvat_kpts/annotations_{number}.xml" for number in (1, 2))

    hidden = samples_of("custom", folder, annotations=files)
    missing = samples_of("custom", folder, annotations=files, occluded="missing")

    assert len(hidden) == len(missing) == 8 * 5
    assert any(
        "as if put aside; --occluded missing" in line for line in plan_of("custom", folder, annotations=files).warnings
    )
    assert not plan_of("custom", folder, annotations=files, occluded="missing").warnings[1:]  # some pictures are absent
    for key, sample in hidden.items():
        known = np.isfinite(missing[key].keypoints_2d).all(-1)
        assert (known == (sample.visible == 1)).all()


@pytest.mark.parametrize("kind", ["coco", "csv", "webdataset"])
@pytest.mark.parametrize("name", ["wholebody", "onehand10k", "interhand"])
def test_a_real_file_comes_back_from_an_export_without_a_differing_label(name, kind, tmp_path):
    root, options = taken(name)
    convert("custom", root, tmp_path / "first", options=CustomOptions(**options), canvas=64)
    export(open_dataset(tmp_path / "first"), tmp_path / "out", kind, i_may_share=True)

    again = CustomOptions(annotations=tmp_path / "out")
    convert("custom", tmp_path, tmp_path / "second", options=again, canvas=64)

    assert compare(tmp_path / "first", tmp_path / "second", exported=True, tolerance=1e-3).same
