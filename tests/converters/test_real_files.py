"""The readers on real bytes, with the figures that were measured on them; they run where the files are."""

import numpy as np
import pytest
from scipy.io import loadmat

from handdata import manifest
from handdata.check.verify import verify
from handdata.conversion.plan import plan_all
from handdata.conversion.run import convert
from handdata.converters.dexter1 import Dexter1Options
from handdata.geometry import project
from handdata.shards.dataset import open_dataset
from handdata.shards.schema import Flag
from handdata.skeleton import INDEX, to_canonical
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
    # one split, whose boxes all follow from the points, can be asked neither
    assert {name for name, state in report.checks.items() if state != "ok"} == {"boxes 2D", "shift 2D"}


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


# ------------------------------------------------------------------------------------------------ Dexter1


@pytest.fixture(scope="module")
def real_dexter1(tmp_path_factory):
    return real.dexter1_tree(tmp_path_factory.mktemp("real") / "dexter1")


def test_dexter1_labels_are_whole_pixels_of_the_camera(real_dexter1):
    """x to the left, y up, and the intrinsics: every label is where somebody clicked."""
    samples = samples_of("dexter1", real_dexter1)
    uv = np.stack([sample.keypoints_2d for sample in samples.values()])
    known = np.isfinite(uv).all(-1)

    assert len(samples) == 425 + 515 + 341
    assert np.abs(uv[known] - np.round(uv[known])).max() < 6.1e-4
    thumb, *_, little = samples["pinch/tof/0051"].keypoints_2d[[4, 8, 12, 16, 20]]
    assert thumb == pytest.approx((263, 135), abs=1e-3)
    assert little == pytest.approx((190, 76), abs=1e-3)
    assert np.isnan(samples["pinch/tof/0000"].keypoints_2d).all()  # six sentinels


@pytest.mark.slow
def test_dexter1_wrong_tips_are_left_out_and_found_where_they_are_not(real_dexter1, tmp_path, monkeypatch):
    listed = {("adbadd", 288, 20), ("adbadd", 289, 20), ("adbadd", 292, 20), ("adbadd", 293, 20), ("flexex1", 448, 4)}
    convert("dexter1", real_dexter1, tmp_path / "mended", canvas=64)
    assert verify(tmp_path / "mended").findings == []

    monkeypatch.setattr("handdata.conversion.rows.wrong_points", lambda _: {})
    convert("dexter1", real_dexter1, tmp_path / "as-shipped", canvas=64)
    (finding,) = verify(tmp_path / "as-shipped").findings
    assert (finding.check, finding.count) == ("depth", len(listed))

    mended, shipped = (open_dataset(tmp_path / name) for name in ("mended", "as-shipped"))
    ids = [i.decode() for i in mended["sample_id"]]
    lost = shipped["annotated_3d"] & ~mended["annotated_3d"]
    assert {(ids[row].split("/")[0], int(ids[row].split("/")[2]), k) for row, k in np.argwhere(lost)} == listed
    assert np.array_equal(lost, shipped["annotated_2d"] & ~mended["annotated_2d"])
    flagged = (mended["flags"] & Flag.POINT_LEFT_OUT) != 0
    assert np.array_equal(flagged, lost.any(-1))
    assert not (mended["flags"] & Flag.LABEL_WRONG).any()  # the other tips of the frame count


def test_dexter1_says_how_many_labels_are_left_out(real_dexter1):
    plan = plan_all("dexter1", real_dexter1, Dexter1Options())

    assert dict(plan.readings)["labels known to be wrong"].startswith("5 points of 5 frames are left out")


# ------------------------------------------------------------------------------------------------ Stereo

FRAMES = 12


@pytest.fixture(scope="module")
def real_stereo(tmp_path_factory):
    return real.stereo_tree(tmp_path_factory.mktemp("real") / "stereo", FRAMES)


def phalanx(xyz, finger):
    a = INDEX[f"{finger}_mcp"]
    return np.linalg.norm(np.diff(xyz[:, a : a + 4], axis=1), axis=-1)


def test_stereo_bones_keep_their_lengths_in_the_official_order(real_stereo):
    """The thesis exchanges DIP and tip of the little finger; its last two bones would change from frame to frame."""
    labels = loadmat(real_stereo / "labels/B1Counting_BB.mat")["handPara"].transpose(2, 1, 0)
    xyz = np.stack([to_canonical(frame, manifest.load("stereo").keypoints) for frame in labels])

    assert labels.shape == (1500, 21, 3)
    assert labels[0, 0] == pytest.approx((126.5023, 56.8432, 664.353), abs=1e-4)
    assert phalanx(xyz, "middle") == pytest.approx(np.tile([40.0, 25.0, 21.0], (1500, 1)), abs=3e-3)
    assert phalanx(xyz, "thumb") == pytest.approx(np.tile([30.0, 28.0, 26.0], (1500, 1)), abs=3e-3)
    assert np.ptp(phalanx(xyz, "little"), axis=0).max() < 4e-3


def test_stereo_labels_of_the_two_families_differ_by_one_rigid_motion(real_stereo):
    """Both readers' frames are one hand's: BB in the left BumbleBee, SK in its colour camera."""
    bb, sk = (samples_of("stereo", real_stereo, camera=camera) for camera in ("bb_left", "sk"))
    a, b = (np.concatenate([s.keypoints_3d[1:] for s in family.values()]) for family in (bb, sk))
    U, _, Vt = np.linalg.svd((a - a.mean(0)).T @ (b - b.mean(0)))
    R = (U @ np.diag([1, 1, np.linalg.det(U @ Vt)]) @ Vt).T
    assert np.linalg.norm((a - a.mean(0)) @ R.T - (b - b.mean(0)), axis=1).max() < 0.006


def test_stereo_sk_equals_what_bihand_reads(real_stereo):
    cache = np.load(real.samples("stereo_labels") / "bihand_SK_B1Counting.npz")
    for frame, sample in enumerate(samples_of("stereo", real_stereo, camera="sk").values()):
        fingers = slice(1, 21)
        assert np.abs(sample.keypoints_3d[fingers] - 1000 * cache["joints_m"][frame, fingers]).max() < 1e-4
        assert np.abs(sample.keypoints_2d[fingers] - cache["uv_px"][frame, fingers]).max() < 5e-5


@pytest.mark.parametrize("camera", ["sk", "bb_left", "bb_right"])
def test_stereo_the_real_frame_shows_skin_under_its_labels(real_stereo, camera):
    """Along the fingers the picture is redder than it is blue; the wall behind is not."""
    sample = next(iter(samples_of("stereo", real_stereo, camera=camera).values()))
    bones = [(k, k + 1) for k in range(1, 20) if k % 4]
    points = np.concatenate([np.linspace(sample.keypoints_2d[a], sample.keypoints_2d[b], 5) for a, b in bones])
    u, v = np.rint(points).astype(int).T
    assert ((u >= 0) & (u < 640) & (v >= 0) & (v < 480)).all()
    under = sample.image[v, u].astype(int)
    redder = (sample.image[..., 0].astype(int) - sample.image[..., 2]).ravel()
    assert np.median(under[:, 0] - under[:, 2]) > np.percentile(redder, 75)
