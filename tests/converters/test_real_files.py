"""The readers on real bytes, with the figures that were measured on them; they run where the files are."""

import numpy as np
import pytest

from handdata.check.verify import verify
from handdata.conversion.run import convert
from handdata.geometry import project
from tests.converters import real
from tests.converters.conftest import plan_of, samples_of


@pytest.fixture(scope="module")
def every_rhd_label(tmp_path_factory):
    return real.rhd_tree(tmp_path_factory.mktemp("real") / "rhd", drawn=True)


@pytest.mark.slow
def test_rhd_verify_passes_on_every_real_label(every_rhd_label, tmp_path):
    convert("rhd", every_rhd_label, tmp_path / "shards", workers=2, canvas=96)

    report = verify(tmp_path / "shards")
    assert report.findings == []
    assert {name: state for name, state in report.checks.items() if state != "ok"} == {}


@pytest.mark.slow
def test_rhd_hands_behind_the_camera_are_counted(every_rhd_label):
    labels = real.rhd_labels()
    xyz = np.stack([entry["xyz"] for entry in labels.values()])
    assert len(labels) == 2728
    assert (xyz[..., 2] <= 0).sum() == 911

    plan = plan_of("rhd", every_rhd_label, hands="all")
    (warning,) = [line for line in plan.warnings if "behind" in line]
    wholly = (xyz.reshape(-1, 2, 21, 3)[..., 2] <= 0).all(-1)
    assert warning.startswith(f"{wholly.sum()} hands lie wholly behind the camera")
    assert wholly.sum() == 14
    assert dict(plan.readings)["2D against 3D labels"].endswith("keypoints looked at, all within 0.5 px")


def test_rhd_real_labels_reproject_and_lie_in_the_middle_of_the_fingers(tmp_path):
    labels = real.rhd_labels()
    samples = samples_of("rhd", real.rhd_tree(tmp_path / "rhd", drawn=False))

    assert len({name.split("/")[1] for name in samples}) == 41
    for sample in samples.values():
        inside = ((sample.keypoints_2d >= 0) & (sample.keypoints_2d < 319)).all(-1)
        off = np.abs(project(sample.keypoints_3d, sample.K) - sample.keypoints_2d)[inside]
        assert off.max(initial=0) < 0.13

    def uv_of(number, side):
        sample = samples.get(f"evaluation/{number:05d}/{('left', 'right')[side]}")
        return None if sample is None else sample.keypoints_2d

    offset, parts = real.rhd_offset(labels, uv_of)
    assert parts > 250
    assert np.abs(offset).max() <= 0.25
