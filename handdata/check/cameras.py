"""Do 3D and 2D labels agree through K, and is K the camera's?"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata.check.findings import Finding, Report, examples
from handdata.manifest import CameraFacts, Manifest
from handdata.shards.dataset import Dataset
from handdata.shards.schema import Flag
from handdata.skeleton import KEYPOINTS

MAX_RESIDUAL_PX = 2.0  # rounding of shipped labels stays below 0.1 px, that of integer pixels below 0.71
FAR_PX = 2000.0  # off the axis; beyond it a point is beside the camera, and rounding grows with its distance
WRONG_CAMERA = 0.2  # share of a camera's samples whose hand as a whole is off: its K, not single labels
K_TOLERANCE_PX = 0.5


def check_projection(rows: Dataset, facts: Manifest | None, options: dict[str, Any], report: Report) -> None:
    """Compare keypoints_2d with keypoints_3d through K, and K with the manifest's."""
    known = rows["annotated_2d"] & rows["annotated_3d"] & np.isfinite(rows["K"]).all((1, 2))[:, None]
    if options.get("projection") == "compat":
        known &= ((rows["flags"] & int(Flag.PROJECTION_APPROXIMATE)) == 0)[:, None]
    if not known.any():
        report.leave_out("reprojection", "no sample with 2D, 3D and K, or its projection is approximate")
    else:
        residual = residuals(rows["keypoints_3d"], rows["keypoints_2d"], rows["K"], known)
        off_axis = np.linalg.norm(rows["keypoints_2d"] - rows["K"][:, None, :2, 2], axis=-1)
        residual /= np.maximum(off_axis / FAR_PX, 1.0)
        report.record("reprojection", _residual_faults(residual, rows, facts))
    cameras = dict(facts.cameras) if facts is not None else {}
    if any(name in cameras for name in rows.codes("camera")[1]):
        report.record("sizes", _size_faults(rows, cameras))
        report.record("intrinsics", _intrinsics_faults(rows, cameras))
    else:
        for check in ("sizes", "intrinsics"):
            report.leave_out(check, "the manifest has no camera of that name")


def residuals(
    xyz_N213: NDArray[Any], uv_N212: NDArray[Any], K_N33: NDArray[Any], known_N21: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the (N, 21) distances, px, between 2D labels and projected 3D labels; NaN where not `known`."""
    xyz, K = np.asarray(xyz_N213, np.float64), np.asarray(K_N33, np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        uvw = xyz @ np.swapaxes(K, -1, -2)
        distance = np.linalg.norm(uvw[..., :2] / uvw[..., 2:] - uv_N212, axis=-1)
    return np.asarray(np.where(known_N21, distance, np.nan))


def _residual_faults(residual: NDArray[np.float64], rows: Dataset, facts: Manifest | None) -> Iterator[Finding]:
    seen = np.isfinite(residual).any(-1)
    whole = np.zeros(len(rows))
    whole[seen] = np.nanmedian(residual[seen], axis=1)
    off = whole > MAX_RESIDUAL_PX
    cameras, names = rows.codes("camera")
    for number, camera in enumerate(names):
        here = seen & (cameras == number)
        if here.any() and (off & here).sum() > WRONG_CAMERA * here.sum():
            yield _camera_fault(rows, here & off, camera, float(np.median(whole[here & off])), facts)
            off &= ~here
            residual[here] = np.nan
    if off.any():
        what = f"whole hands off by {np.median(whole[off]):.0f} px: not what 3D and K project to"
        yield Finding("reprojection", "keypoints_2d", what, int(off.sum()), int(seen.sum()), examples(rows.ids[off]))
        residual[off] = np.nan
    single = np.nan_to_num(residual) > MAX_RESIDUAL_PX
    if single.any():
        yield _keypoint_fault(rows, residual, single, int(seen.sum()))


def _camera_fault(rows: Dataset, off: NDArray[np.bool_], camera: str, median: float, facts: Manifest | None) -> Finding:
    """Say that a camera's K does not fit, and whose would."""
    what = f"wrong camera's K: 3D labels project {median:.0f} px beside the 2D labels"
    known = rows["annotated_2d"] & rows["annotated_3d"]
    fits = {}
    for name, other in (facts.cameras if facts is not None else {}).items():
        if np.isfinite(other.K).all():
            distance = residuals(rows["keypoints_3d"][off], rows["keypoints_2d"][off], other.K[None], known[off])
            fits[name] = float(np.nanmedian(distance))
    best = min(fits, key=lambda name: fits[name]) if fits else ""
    if best and fits[best] < MAX_RESIDUAL_PX:
        what += f"; the K of {best} fits"
    where = f"camera {camera}" if camera else "K"
    return Finding("reprojection", where, what, int(off.sum()), len(rows), examples(rows.ids[off]))


def _keypoint_fault(rows: Dataset, residual: NDArray[np.float64], single: NDArray[np.bool_], total: int) -> Finding:
    order = np.argsort(-single.sum(0))
    names = [KEYPOINTS[int(k)] for k in order if single[:, k].any()]
    affected = single.any(-1)
    listed = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    off = residual[single]
    what = f"single keypoints off by {np.median(off):.0f} px (largest {off.max():.0f}): {listed}"
    return Finding("reprojection", "keypoints_2d", what, int(affected.sum()), total, examples(rows.ids[affected]))


def _size_faults(rows: Dataset, cameras: dict[str, CameraFacts]) -> Iterator[Finding]:
    """Find pictures of another size than their camera's: their labels lie beside the hands."""
    codes, names = rows.codes("camera")
    for number, name in enumerate(names):
        if name in cameras:
            off = (codes == number) & (rows["image_size"] != np.array(cameras[name].size)).any(-1)
            for size in np.unique(rows["image_size"][off], axis=0):
                these = off & (rows["image_size"] == size).all(-1)
                what = "pictures of {} x {} px, the camera's have {} x {}".format(*size, *cameras[name].size)
                yield Finding("sizes", f"camera {name}", what, int(these.sum()), len(rows), examples(rows.ids[these]))


def _intrinsics_faults(rows: Dataset, cameras: dict[str, CameraFacts]) -> Iterator[Finding]:
    codes, names = rows.codes("camera")
    for number, name in enumerate(names):
        if name not in cameras:
            continue
        here = (codes == number) & np.isfinite(rows["K"]).all((1, 2))
        here &= (rows["image_size"] == np.array(cameras[name].size)).all(-1)
        off = here & (np.abs(rows["K"] - cameras[name].K) > K_TOLERANCE_PX).any((1, 2))
        if off.any():
            K = rows["K"][off][0]
            same = [other for other, facts in cameras.items() if np.abs(K - facts.K).max() <= K_TOLERANCE_PX]
            what = (
                f"wrong camera's K: f {K[0, 0]:.2f}, {K[1, 1]:.2f}, c {K[0, 2]:.2f}, {K[1, 2]:.2f}, not the manifest's"
            )
            what += f" but that of {same[0]}" if same else ""
            yield Finding("intrinsics", f"camera {name}", what, int(off.sum()), len(rows), examples(rows.ids[off]))
