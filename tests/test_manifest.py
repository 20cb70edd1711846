"""Manifests are complete, say where their facts are from, and a wrong one is named."""

import numpy as np
import pytest

from handdata import manifest
from handdata.cli.options import DATASETS
from handdata.converters import CONVERTERS
from handdata.errors import ConfigError, DataError
from handdata.evaluation.protocols import PROTOCOLS
from handdata.skeleton import KEYPOINTS

MADE = """
title = "Made"
citation = "nobody"
licence = "none"
homepage = "http://localhost"
kind = "synthetic"
hand = "left"
unit = "m"
view = "egocentric"
keypoints = ["wrist"]
required = ["*.txt"]
note = "kept"
[sequences]
train = ["a"]
[cameras.one]
K = [[500, 0, 320], [0, 500, 240], [0, 0, 1]]
size = [640, 480]
T_camera_label = [[1, 0, 0, 5], [0, 1, 0, 6], [0, 0, 1, 7]]
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr("handdata.manifest._FOLDERS", (tmp_path,))
    manifest.load.cache_clear()
    yield tmp_path
    manifest.load.cache_clear()


def test_the_seven_datasets_have_a_manifest_and_a_converter():
    assert set(DATASETS) <= set(manifest.names())
    assert set(DATASETS) <= set(CONVERTERS)


@pytest.mark.parametrize("name", DATASETS)
def test_a_manifest_is_complete(name):
    facts = manifest.load(name)

    assert all([facts.title, facts.citation, facts.licence, facts.homepage, facts.sources, facts.required])
    assert facts.kind in {"real", "synthetic"}
    assert facts.hand in {"left", "right", "both"}
    assert facts.unit == "none" or facts.mm_per_unit in {1.0, 1000.0}
    assert facts.view
    assert facts.counts["frames"] > 0
    assert facts.extra["comment"]
    assert len(facts.sha256) == 64


@pytest.mark.parametrize("name", DATASETS)
def test_native_keypoints_are_named_once_and_known_where_they_are_ours(name):
    facts = manifest.load(name)

    assert len(set(facts.keypoints)) == len(facts.keypoints)
    assert set(facts.keypoints) & set(KEYPOINTS)


@pytest.mark.parametrize("name", DATASETS)
def test_no_sequence_is_in_two_splits(name):
    sequences = [s for members in manifest.load(name).sequences.values() for s in members]

    assert len(set(sequences)) == len(sequences)


@pytest.mark.parametrize("name", DATASETS)
def test_cameras_are_cameras(name):
    for camera in manifest.load(name).cameras.values():
        assert camera.K[2].tolist() == [0, 0, 1]
        assert all(
            np.isnan(centre) or 0 < centre < side for centre, side in zip(camera.K[:2, 2], camera.size, strict=True)
        )
        np.testing.assert_allclose(
            camera.T_camera_label[:3, :3] @ camera.T_camera_label[:3, :3].T, np.eye(3), atol=2e-3
        )


@pytest.mark.parametrize("name", DATASETS)
def test_wrong_points_are_of_keypoints_and_frames_there_are(name):
    facts = manifest.load(name)
    for entry in facts.extra.get("wrong_points", ()):
        assert set(entry) == {"sequence", "frame", "point"}
        assert entry["point"] in facts.keypoints
        assert 0 <= entry["frame"] < facts.counts[entry["sequence"]]


def test_what_no_field_holds_is_kept_as_extra(folder):
    (folder / "made.toml").write_text(MADE)

    facts = manifest.load("made")

    assert manifest.names() == ["made"]
    assert facts.extra == {"note": "kept"}
    assert facts.mm_per_unit == 1000.0
    assert facts.sequences == {"train": ("a",)}
    assert facts.cameras["one"].T_camera_label.tolist() == [[1, 0, 0, 5], [0, 1, 0, 6], [0, 0, 1, 7], [0, 0, 0, 1]]


def test_an_unknown_dataset_is_told_with_the_known_ones():
    with pytest.raises(ConfigError, match=r"expected one of dexter, dexter1, .*egodexter, .*, got nothing"):
        manifest.load("nothing")


@pytest.mark.parametrize(
    "text",
    [
        MADE.replace('title = "Made"', ""),
        MADE.replace("[640, 480]", "[640]"),
        MADE + "[",
        MADE.replace("[0, 500, 240]", "[0]"),
    ],
    ids=["a fact is missing", "no size", "no TOML", "no matrix"],
)
def test_a_broken_manifest_is_named(folder, text):
    (folder / "made.toml").write_text(text)

    with pytest.raises(DataError, match=r"made\.toml(: expected a manifest|:19: expected TOML)"):
        manifest.load("made")


@pytest.mark.parametrize("name", DATASETS)
def test_metrics_of_published_results_are_protocols(name):
    assert set(manifest.load(name).extra.get("metrics", ())) <= set(PROTOCOLS)


def test_the_thesis_seven_come_first():
    order = manifest.in_order()

    assert set(order[:7]) == {"stereo", "dexter", "dexter1", "egodexter", "synthhands", "rhd", "ganerated"}
    assert sorted(order) == manifest.names()
    assert [manifest.load(name).in_thesis for name in order] == [True] * 7 + [False] * (len(order) - 7)
