"""What every converter must do, whatever its dataset; the trees are rendered in each dataset's own layout."""

import re
import shutil
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from handdata import manifest
from handdata.cli.options import DATASETS
from handdata.conversion.plan import make_plan
from handdata.conversion.run import convert
from handdata.converters import CONVERTERS
from handdata.converters.options import Options
from handdata.converters.protocol import Converter
from handdata.errors import MissingError
from handdata.geometry import apply_affine, in_frame, invert_affine, project
from handdata.pictures.decode import resample_kept, resample_square
from handdata.shards.dataset import open_dataset
from handdata.shards.schema import SPLITS, row_faults
from handdata.skeleton import KEYPOINTS
from handdata.synth.native import NATIVE_WRITERS
from tests.conftest import NATIVE_FRAMES
from tests.converters.conftest import plan_of, samples_of

HERE = Path(__file__).parent
REGISTERED = [name for name in DATASETS if name in CONVERTERS and name in NATIVE_WRITERS]


@pytest.fixture(params=REGISTERED)
def name(request):
    return request.param


@pytest.mark.parametrize("dataset", DATASETS)
def test_a_dataset_is_a_manifest_a_writer_a_converter_and_a_test_file(dataset):
    assert dataset in manifest.names()
    assert dataset in NATIVE_WRITERS
    assert dataset in CONVERTERS
    assert isinstance(import_module(f"handdata.converters.{dataset}"), Converter)
    assert issubclass(CONVERTERS[dataset].OPTIONS, Options)
    assert (HERE / f"test_{dataset}.py").is_file()


def test_manifests_hold_nothing_but_facts_about_known_datasets():
    assert set(manifest.names()) <= set(DATASETS) | {"backgrounds", "custom"}


def test_every_rendered_sample_is_converted(name, converted):
    dataset = open_dataset(converted(name))

    assert len(dataset) == NATIVE_FRAMES
    assert dataset.index["skipped"] == {}


def test_ids_are_unique_ascii_and_in_the_order_of_the_plan(name, native_tree, converted):
    planned = plan_of(name, native_tree(name)).items
    stored = [i.decode() for reader in open_dataset(converted(name)).shards.readers for i in reader["sample_id"]]

    assert len(set(stored)) == len(stored)
    assert all(re.fullmatch(r"[!-~]+", i) for i in stored)
    assert stored == [item.id for split in SPLITS for item in planned if item.split == split]


def test_the_plan_is_the_same_from_another_folder_and_one_level_above(name, native_tree, native_copy):
    here = plan_of(name, native_tree(name))
    copy = native_copy(name)
    there, above = plan_of(name, copy), plan_of(name, copy.parent)

    assert here.items == there.items == above.items
    assert above.root == there.root == copy


def test_no_sequence_is_in_two_splits(name, native_tree):
    split_of: dict[str, set[str]] = {}
    for item in plan_of(name, native_tree(name)).items:
        split_of.setdefault(item.sequence, set()).add(item.split)

    assert all(len(splits) == 1 for splits in split_of.values())


def test_rows_keep_the_schema_s_own_rules(name, converted):
    for reader in open_dataset(converted(name)).shards.readers:
        labels = {
            field.name: reader[field.name] for field in reader.fields if field.name not in ("image", "foreground")
        }
        assert row_faults(labels) == {}


def test_what_is_missing_is_nan_and_a_false_flag(name, converted):
    for reader in open_dataset(converted(name)).shards.readers:
        assert np.array_equal(np.isnan(reader["keypoints_2d"]).any(-1), ~reader["annotated_2d"])
        assert np.array_equal(np.isnan(reader["keypoints_3d"]).any(-1), ~reader["annotated_3d"])
        width, height = reader["image_size"].T[:, :, None]
        inside = in_frame(reader["keypoints_2d"], width, height)
        assert np.array_equal(reader["in_frame"], inside & reader["annotated_2d"])


def test_two_labels_of_a_point_agree_through_the_camera(name, converted):
    """Half a pixel: Dexter's 2D is derived, RHD's has four digits."""
    for reader in open_dataset(converted(name)).shards.readers:
        for uv, xyz, K in zip(reader["keypoints_2d"], reader["keypoints_3d"], reader["K"], strict=True):
            both = np.isfinite(uv).all(-1) & np.isfinite(xyz).all(-1)
            if np.isfinite(K).all() and both.any():
                assert np.abs(project(xyz[both], K) - uv[both]).max() < 0.5


def test_masks_have_the_canvas_shape_and_only_where_the_plan_says(name, native_tree, converted):
    plan = plan_of(name, native_tree(name))
    for reader in open_dataset(converted(name)).shards.readers:
        side = reader.attributes["canvas_size"]
        assert reader.images.shape[1:] == (side, side, 3)
        assert (reader.foreground is not None) == plan.has_foreground
        if plan.has_foreground:
            assert reader.foreground.shape == (len(reader), side, side // 8)


def test_visible_points_lie_on_the_foreground(name, converted):
    """A dot stays under its label from the source to the canvas."""
    hits = []
    for reader in open_dataset(converted(name)).shards.readers:
        if reader.foreground is None:
            continue
        for row in range(len(reader)):
            bits = np.unpackbits(reader.foreground[row], axis=1)
            A = reader["source_to_canvas"][row]
            points = reader["keypoints_2d"][row] @ A[:, :2].T + A[:, 2]
            shown = np.isfinite(points).all(-1) & (reader["visible"][row] != 0)
            column, line = np.rint(points[shown]).astype(int).T
            inside = (column >= 0) & (line >= 0) & (column < bits.shape[1]) & (line < bits.shape[0])
            hits += list(bits[line[inside], column[inside]])

    assert np.mean(hits) > 0.97 if hits else not plan_has_foreground(name)


def plan_has_foreground(name: str) -> bool:
    return name in ("rhd", "synthhands")


def test_converting_twice_gives_the_same_bytes(name, native_tree, converted, tmp_path):
    convert(name, native_tree(name), tmp_path / "again")

    first, again = ({p.name: p.read_bytes() for p in f.iterdir() if p.is_file() and p.suffix in (".h5", ".json")}
                    for f in (converted(name), tmp_path / "again"))  # fmt: skip
    assert first == again != {}


def test_a_split_alone_has_the_same_samples(name, native_tree, converted):
    whole = open_dataset(converted(name))
    for split in whole.index["splits"]:
        alone = make_plan(name, native_tree(name), CONVERTERS[name].OPTIONS(), (split,))
        assert len(alone.items) == whole.index["splits"][split]["num_samples"]


def test_keypoints_named_by_the_manifest_are_annotated_and_no_others(name, native_tree):
    facts = manifest.load(name)
    annotated = np.zeros(len(KEYPOINTS), bool)
    for sample in samples_of(name, native_tree(name)).values():
        labels = sample.keypoints_2d if facts.unit == "none" else sample.keypoints_3d
        annotated |= np.isfinite(labels).all(-1)

    assert {KEYPOINTS[i] for i in np.flatnonzero(annotated)} == set(facts.keypoints) & set(KEYPOINTS)


def test_a_folder_without_the_dataset_is_refused_with_where_to_get_it(name, tmp_path, refused):
    line = refused(MissingError, lambda: plan_of(name, tmp_path))

    assert manifest.load(name).homepage in line
    assert f"handdata synth {name}" in line


def test_a_truncated_picture_ends_it_by_name_or_is_skipped_by_name(name, native_copy, tmp_path, refused):
    root = native_copy(name)
    item = plan_of(name, root).items[-1]
    picture = root / item.image
    picture.write_bytes(picture.read_bytes()[:200])

    line = refused(Exception, lambda: convert(name, root, tmp_path / "out"))
    assert item.image in line
    assert not (tmp_path / "out" / "index.json").exists()

    kept = convert(name, root, tmp_path / "out", skip_bad=True)
    assert item.id in kept.skipped
    assert all(item.image in why for why in kept.skipped.values())
    shutil.rmtree(tmp_path / "out")


def test_a_hand_lies_on_its_picture_and_its_source_on_the_picture_as_shipped(name, native_tree, converted):
    """0.01 px: the labels are those the converter read, and the canvas is the window that its affine says."""
    read = samples_of(name, native_tree(name))
    for hand in open_dataset(converted(name)):
        sample = read[hand.id]
        np.testing.assert_allclose(hand.source.keypoints_2d, sample.keypoints_2d, atol=0.01)
        assert hand.source.size == sample.image.shape[1::-1]
        onto = invert_affine(hand.source_to_image)
        np.testing.assert_allclose(apply_affine(onto, hand.keypoints_2d), sample.keypoints_2d, atol=0.01)
        side = hand.image.shape[0]
        corners = apply_affine(onto, np.array([[-0.5, -0.5], [side - 0.5, side - 0.5]])) + 0.5
        window, kept = corners.ravel(), sample.foreground
        if kept is None:
            again = resample_square(sample.image, window, side)
        else:
            again = resample_kept(sample.image, kept, window, side)
        assert np.abs(again.astype(int) - hand.image).mean() < 0.1
        if np.isfinite(hand.K).all() and (both := hand.annotated_2d & hand.annotated_3d).any():
            np.testing.assert_allclose(project(hand.keypoints_3d, hand.K)[both], hand.keypoints_2d[both], atol=0.5)
