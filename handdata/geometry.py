"""Cameras, points, affines and the normalised pose: pure functions on arrays.

Pixels: u right, v down, (0, 0) is the centre of the top-left pixel. Camera axes: x right, y down, z forward, mm.
Boxes are the edges (left, top, right, bottom) of a slice: the whole image is (0, 0, W, H), so a point u lies at
u + 0.5 in box coordinates. An affine is a (2, 3) matrix A with [u', v'] = A @ [u, v, 1].
NaN in gives NaN out. Shape letters: N points, any number of leading axes before them. `np` in examples is numpy.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata.skeleton import ROOT, WRIST

Array = NDArray[np.float64]
MIN_SCALE = 1e-6  # docs/method.md 5.2: refuse a wrist that coincides with the middle MCP


def project(xyz_N3: NDArray[Any], K: NDArray[Any]) -> Array:
    """Project camera-space points to pixels with a pinhole camera.

    Args:
        xyz_N3: (..., N, 3) points, mm.
        K: (3, 3) intrinsics, px; the last row is (0, 0, 1).

    Returns:
        (..., N, 2) pixels; NaN where the point is NaN or not in front of the camera. May lie outside the image.

    Examples:
        >>> K = np.array([[600.0, 0.0, 319.5], [0.0, 600.0, 239.5], [0.0, 0.0, 1.0]])
        >>> project(np.array([[10.0, -20.0, 500.0], [0.0, 0.0, -400.0]]), K)
        array([[331.5, 215.5],
               [  nan,   nan]])
    """
    xyz = np.asarray(xyz_N3, np.float64)
    z = np.where(xyz[..., 2] > 0, xyz[..., 2], np.nan)
    uv: Array = np.empty((*xyz.shape[:-1], 2))
    uv[..., 0] = (K[0, 0] * xyz[..., 0] + K[0, 1] * xyz[..., 1]) / z + K[0, 2]
    uv[..., 1] = K[1, 1] * xyz[..., 1] / z + K[1, 2]
    return uv


def backproject(uv_N2: NDArray[Any], z_N: NDArray[Any], K: NDArray[Any]) -> Array:
    """Lift pixels with depth to camera space: the inverse of `project`.

    Args:
        uv_N2: (..., N, 2) pixels.
        z_N: (..., N) depth along the optical axis, mm.
        K: (3, 3) intrinsics, px.

    Returns:
        (..., N, 3) mm.

    Examples:
        >>> K = np.array([[600.0, 0.0, 319.5], [0.0, 600.0, 239.5], [0.0, 0.0, 1.0]])
        >>> backproject(np.array([[331.5, 215.5]]), np.array([500.0]), K)
        array([[ 10., -20., 500.]])
    """
    uv, z = np.asarray(uv_N2, np.float64), np.asarray(z_N, np.float64)
    y = (uv[..., 1] - K[1, 2]) / K[1, 1] * z
    x = (uv[..., 0] - K[0, 2] - K[0, 1] * y / z) / K[0, 0] * z
    return np.stack([x, y, z], axis=-1)


def transform(T_dst_src: NDArray[Any], xyz_N3: NDArray[Any]) -> Array:
    """Move (..., N, 3) points by a (3, 4) or (4, 4) matrix: x_dst = T_dst_src @ x_src.

    Examples:
        >>> T_right_left = np.hstack([np.eye(3), [[-120.0], [0.0], [0.0]]])
        >>> transform(T_right_left, np.array([[10.0, 20.0, 500.0]]))
        array([[-110.,   20.,  500.]])
    """
    T = np.asarray(T_dst_src, np.float64)
    moved: Array = np.asarray(xyz_N3, np.float64) @ T[:3, :3].T + T[:3, 3]
    return moved


def rotation_from_vector(r: NDArray[Any]) -> Array:
    """Return the (3, 3) rotation of a Rodrigues vector (axis times angle, radians).

    Examples:
        >>> rotation_from_vector(np.array([0.0, 0.0, np.pi / 2])).round(3)[0]
        array([ 0., -1.,  0.])
    """
    r = np.asarray(r, np.float64)
    angle = float(np.linalg.norm(r))
    if angle == 0.0:
        return np.eye(3)
    x, y, z = r / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    rotation: Array = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * (cross @ cross)
    return rotation


def invert_rigid(T: NDArray[Any]) -> Array:
    """Invert a rigid (4, 4) transform exactly: R^T and -R^T t.

    Examples:
        >>> invert_rigid(np.array([[1.0, 0, 0, 5], [0, 1, 0, 6], [0, 0, 1, 7], [0, 0, 0, 1]]))[:3, 3]
        array([-5., -6., -7.])
    """
    inverse = np.eye(4)
    inverse[:3, :3] = np.asarray(T)[:3, :3].T
    inverse[:3, 3] = -inverse[:3, :3] @ np.asarray(T)[:3, 3]
    return inverse


# ------------------------------------------------------------------------------------------------ affines


def crop_affine(box_xyxy: NDArray[Any], size: int) -> Array:
    """Return the affine from source pixels to those of the box resized to size x size.

    A square of side s at `left` maps u to (u + 0.5 - left) size / s - 0.5 (docs/method.md 3.6).

    Args:
        box_xyxy: (..., 4) edges in source pixels.
        size: side of the result, px.

    Returns:
        (..., 2, 3).

    Examples:
        >>> A = crop_affine(np.array([100, 50, 300, 250]), 100)
        >>> apply_affine(A, np.array([[99.5, 49.5], [200.5, 150.5]]))
        array([[-0.5, -0.5],
               [50. , 50. ]])
    """
    box = np.asarray(box_xyxy, np.float64)
    scale = size / (box[..., 2:] - box[..., :2])
    A: Array = np.zeros((*box.shape[:-1], 2, 3))
    A[..., 0, 0], A[..., 1, 1] = scale[..., 0], scale[..., 1]
    A[..., 2] = (0.5 - box[..., :2]) * scale - 0.5
    return A


def apply_affine(A: NDArray[Any], uv_N2: NDArray[Any]) -> Array:
    """Map (..., N, 2) pixels by (..., 2, 3) affines.

    Examples:
        >>> apply_affine([[2, 0, 5], [0, 2, 0]], [[10, 20]])
        array([[25., 40.]])
    """
    A = np.asarray(A, np.float64)
    mapped: Array = np.asarray(uv_N2, np.float64) @ np.swapaxes(A[..., :2], -1, -2) + A[..., None, :, 2]
    return mapped


def compose_affine(second: NDArray[Any], first: NDArray[Any]) -> Array:
    """Return the affine that applies `first`, then `second`; both (2, 3).

    Examples:
        >>> double, move = np.array([[2.0, 0, 0], [0, 2, 0]]), np.array([[1.0, 0, 3], [0, 1, 4]])
        >>> compose_affine(double, move)[:, 2]
        array([6., 8.])
    """
    composed: Array = second[:, :2] @ np.column_stack([first[:, :2], first[:, 2]])
    composed[:, 2] += second[:, 2]
    return composed


def invert_affine(A: NDArray[Any]) -> Array:
    """Return the (2, 3) inverse of a (2, 3) affine.

    Examples:
        >>> A = crop_affine(np.array([100, 50, 300, 250]), 100)
        >>> apply_affine(invert_affine(A), np.array([[50.0, 50.0]]))  # from the crop back to the picture
        array([[200.5, 150.5]])
    """
    linear = np.asarray(np.linalg.inv(np.asarray(A, np.float64)[:, :2]), np.float64)
    return np.column_stack([linear, -linear @ np.asarray(A, np.float64)[:, 2]])


def rotation_affine(degrees: float, center: NDArray[Any]) -> Array:
    """Return the affine that turns pixels counter-clockwise on screen about `center` (docs/method.md 8.1).

    With v down that is [[cos a, sin a], [-sin a, cos a]].

    Examples:
        >>> A = rotation_affine(90, np.array([50.0, 50.0]))
        >>> apply_affine(A, np.array([[60.0, 50.0]])).round(3)  # what was right of the centre is above it
        array([[50., 40.]])
    """
    a = np.deg2rad(degrees)
    R = np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]])
    center = np.asarray(center, np.float64)
    return np.column_stack([R, center - R @ center])


def zoom_affine(share: float, width: int, height: int) -> Array:
    """Return the affine by which the thesis scales a picture about its middle, its size kept (docs/method.md 8.2).

    Its offsets are whole pixels: the growth of each side is cut to an integer and halved downwards.

    Args:
        share: growth, 0.15 for 15 % larger.
        width: of the picture, px.
        height: of the picture, px.

    Examples:
        >>> zoom_affine(0.15, 640, 480)[:, 2]
        array([-48., -36.])
    """
    offsets = [-(int(side * share) // 2) for side in (width, height)]
    return np.array([[1 + share, 0.0, offsets[0]], [0.0, 1 + share, offsets[1]]])


def rotate_about_axis(xyz_N3: NDArray[Any], degrees: float) -> Array:
    """Turn (..., N, 3) points about the optical axis, the same sense as `rotation_affine` turns their pixels.

    With the pixels turned about the principal point the two agree exactly if fx = fy (docs/method.md D1, D2).

    Examples:
        >>> xyz, K = np.array([[40.0, 0.0, 400.0]]), np.array([[600.0, 0, 319.5], [0, 600.0, 239.5], [0, 0, 1]])
        >>> project(rotate_about_axis(xyz, 90), K).round(3)  # rotation_affine(90, K[:2, 2]) of the pixels
        array([[319.5, 179.5]])
    """
    a = np.deg2rad(degrees)
    R = np.array([[np.cos(a), np.sin(a), 0.0], [-np.sin(a), np.cos(a), 0.0], [0.0, 0.0, 1.0]])
    turned: Array = np.asarray(xyz_N3, np.float64) @ R.T
    return turned


def crop_intrinsics(K: NDArray[Any], A: NDArray[Any]) -> Array:
    """Return the intrinsics after an axis-aligned affine of the pixels: K' = [A; 0 0 1] @ K.

    Examples:
        >>> K = np.array([[600.0, 0.0, 319.5], [0.0, 600.0, 239.5], [0.0, 0.0, 1.0]])
        >>> crop_intrinsics(K, crop_affine(np.array([220, 140, 420, 340]), 100))[0]
        array([300. ,   0. ,  49.5])
    """
    cropped: Array = np.vstack([A, [0.0, 0.0, 1.0]]) @ np.asarray(K, np.float64)
    return cropped


def view_turn(K: NDArray[Any], size: int) -> Array:
    """Return the smallest rotation that takes the ray through the middle of a crop to the optical axis.

    A crop does not show where in the picture it lay, so a pose in the camera's axes cannot be told from it; a pose in
    the turned axes, `P @ turn.T`, can. The transpose takes it back.

    Args:
        K: (..., 3, 3) intrinsics of the crop, px.
        size: side of the crop, px.

    Returns:
        (..., 3, 3); the identity where K is NaN.

    Example:
        >>> K = np.array([[100.0, 0, 63.5], [0, 100, 63.5], [0, 0, 1]])
        >>> bool(np.allclose(view_turn(K, 128), np.eye(3)))
        True
    """
    K = np.asarray(K, np.float64)
    known = np.isfinite(K).all((-2, -1))[..., None, None]
    middle = np.array([(size - 1) / 2, (size - 1) / 2, 1.0])
    ray = np.linalg.solve(np.where(known, K, np.eye(3)), np.broadcast_to(middle, K.shape[:-1])[..., None])[..., 0]
    x, y, z = np.moveaxis(ray / np.linalg.norm(ray, axis=-1, keepdims=True), -1, 0)
    cross = np.zeros(K.shape)  # of the axis (y, -x, 0), which is as long as the sine of the angle
    cross[..., 0, 2], cross[..., 2, 0] = -x, x
    cross[..., 1, 2], cross[..., 2, 1] = -y, y
    turn: Array = np.eye(3) + cross + cross @ cross / (1 + z)[..., None, None]
    return np.where(known, turn, np.eye(3))


# ------------------------------------------------------------------------------------------------ masks and mirror


def in_frame(uv_N2: NDArray[Any], width: float, height: float) -> NDArray[np.bool_]:
    """Tell which pixels lie inside the image: -0.5 <= u < W - 0.5 and the same for v. NaN lies outside.

    The one rule of the project, for the mask, the heatmaps and every crop.

    Examples:
        >>> in_frame(np.array([[-0.5, 0.0], [639.4, 479.4], [639.5, 0.0], [np.nan, 0.0]]), 640, 480)
        array([ True,  True, False, False])
    """
    u, v = np.asarray(uv_N2, np.float64)[..., 0], np.asarray(uv_N2, np.float64)[..., 1]
    inside: NDArray[np.bool_] = (u >= -0.5) & (u < width - 0.5) & (v >= -0.5) & (v < height - 0.5)
    return inside


def mirror_pixels(uv_N2: NDArray[Any], width: float) -> Array:
    """Mirror pixels left to right in an image of `width` columns: u' = W - 1 - u.

    Examples:
        >>> mirror_pixels(np.array([[0.0, 7.0]]), 640)
        array([[639.,   7.]])
    """
    mirrored = np.array(uv_N2, np.float64)
    mirrored[..., 0] = width - 1 - mirrored[..., 0]
    return mirrored


def mirror_points(xyz_N3: NDArray[Any]) -> Array:
    """Mirror camera-space points left to right: x' = -x.

    Examples:
        >>> mirror_points(np.array([[10.0, 20.0, 500.0]]))
        array([[-10.,  20., 500.]])
    """
    mirrored: Array = np.asarray(xyz_N3, np.float64) * np.array([-1.0, 1.0, 1.0])
    return mirrored


def mirror_intrinsics(K: NDArray[Any], width: float) -> Array:
    """Return the intrinsics of the mirrored image: cx' = W - 1 - cx.

    Examples:
        >>> K = np.array([[600.0, 0.0, 300.0], [0.0, 600.0, 239.5], [0.0, 0.0, 1.0]])
        >>> project(mirror_points(np.array([[10.0, 20.0, 500.0]])), mirror_intrinsics(K, 640))
        array([[327. , 263.5]])
    """
    mirrored = np.array(K, np.float64)
    mirrored[0, 2] = width - 1 - mirrored[0, 2]
    mirrored[0, 1] = -mirrored[0, 1]
    return mirrored


# ------------------------------------------------------------------------------------------------ boxes


def xywh_to_xyxy(box_xywh: NDArray[Any] | Sequence[float]) -> Array:
    """Return the edges (left, top, right, bottom) of (..., 4) boxes given as left, top, width, height.

    Examples:
        >>> xywh_to_xyxy([275, 126, 248, 200])
        array([275., 126., 523., 326.])
    """
    box = np.asarray(box_xywh, np.float64)
    return np.concatenate([box[..., :2], box[..., :2] + box[..., 2:]], axis=-1)


def xyxy_to_xywh(box_xyxy: NDArray[Any] | Sequence[float]) -> Array:
    """Return left, top, width, height of (..., 4) boxes given by their edges.

    Examples:
        >>> xyxy_to_xywh([275, 126, 523, 326])
        array([275., 126., 248., 200.])
    """
    box = np.asarray(box_xyxy, np.float64)
    return np.concatenate([box[..., :2], box[..., 2:] - box[..., :2]], axis=-1)


def iou(a_xyxy: NDArray[Any], b_xyxy: NDArray[Any]) -> Array:
    """Return the intersection over union of (..., 4) boxes; 0 where they do not meet, or where either is NaN.

    Examples:
        >>> float(iou(np.array([0, 0, 10, 10]), np.array([5, 0, 15, 10])).round(3))
        0.333
    """
    a, b = np.asarray(a_xyxy, np.float64), np.asarray(b_xyxy, np.float64)
    overlap = np.clip(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0, None).prod(axis=-1)
    union = (a[..., 2:] - a[..., :2]).prod(axis=-1) + (b[..., 2:] - b[..., :2]).prod(axis=-1) - overlap
    return np.asarray(np.where(union > 0, overlap / np.where(union > 0, union, 1), 0.0))


# ------------------------------------------------------------------------------------------------ pose


def normalize_pose(xyz_K3: NDArray[Any]) -> tuple[Array, Array]:
    """Put the middle MCP at the origin and the wrist at distance 1 (docs/method.md 5.2).

    Args:
        xyz_K3: (..., 21, 3) mm.

    Returns:
        (..., 21, 3) normalised and (...) scale in mm, abs(P[wrist] - P[middle_mcp]); both NaN where either point
        is missing or they coincide (scale below 1e-6 mm).

    Examples:
        >>> xyz = np.zeros((21, 3)) + [0.0, 0.0, 500.0]
        >>> xyz[WRIST] = 0.0, 90.0, 500.0
        >>> normalized, scale = normalize_pose(xyz)
        >>> float(scale), normalized[WRIST]
        (90.0, array([0., 1., 0.]))
    """
    xyz = np.asarray(xyz_K3, np.float64)
    root = xyz[..., ROOT : ROOT + 1, :]
    scale = np.linalg.norm(xyz[..., WRIST, :] - root[..., 0, :], axis=-1)
    scale = np.where(scale >= MIN_SCALE, scale, np.nan)
    normalized: Array = (xyz - root) / scale[..., None, None]
    return normalized, scale


def denormalize_pose(normalized_K3: NDArray[Any], root_3: NDArray[Any], scale: NDArray[Any]) -> Array:
    """Invert `normalize_pose` given the middle MCP (..., 3) mm and the scale (...) mm.

    Examples:
        >>> normalized = np.tile([0.0, 0.5, 0.0], (21, 1))
        >>> denormalize_pose(normalized, np.array([10.0, 0.0, 500.0]), np.array(90.0))[WRIST]
        array([ 10.,  45., 500.])
    """
    absolute: Array = np.asarray(normalized_K3) * np.asarray(scale)[..., None, None] + np.asarray(root_3)[..., None, :]
    return absolute
