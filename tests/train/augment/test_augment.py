"""Augmentation: labels stay on their dots through every transform, ranges are the published ones, draws depend on
nothing but seed, epoch and position. Dots are painted at the joints, so the picture itself is the witness."""

import dataclasses
import json

import cv2
import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageFilter

import handdata as hd
from handdata.errors import ConfigError
from handdata.geometry import project, rotate_about_axis
from handdata.model.pixels import denormalize, normalize
from handdata.pictures.crop_window import CropView, map_pixels, plan_views
from handdata.train.augment.backgrounds import BackgroundPool, load_backgrounds
from handdata.train.augment.color import ORDERS, blur, jitter
from handdata.train.augment.prepare import prepare
from handdata.train.augment.settings import PUBLISHED, AugmentConfig, published_configs
from handdata.train.augment.warp import unpack_bits, warp
from handdata.train.loader.loaders import EvalLoader, open_mixture
from tests.train.made_shards import K, made_hand, write_dataset

SIZE = 128
CANVAS = 192
FULL = AugmentConfig(rotation_deg=180.0, scale=(-0.25, 0.15), window="box", box_factor=(0.7, 1.0), shift=0.05)


def load(folder, count=None):
    with EvalLoader(open_mixture([folder], "train"), count or 1000, threads=0) as loader:
        return next(iter(loader))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("shards")


@pytest.fixture(scope="module")
def left(root):
    return load(write_dataset(root / "left", "left", (24,), canvas=CANVAS))


@pytest.fixture(scope="module")
def small(root):
    """The same samples on canvases too small to look at: for counting what was drawn."""
    return load(write_dataset(root / "small", "small", (24,), canvas=16))


@pytest.fixture(scope="module")
def right(root):
    return load(write_dataset(root / "right", "right", (24,), canvas=CANVAS, hand_side=1))


@pytest.fixture(scope="module")
def keyed(root):
    return load(write_dataset(root / "keyed", "keyed", (24,), canvas=CANVAS, foreground=True))


@pytest.fixture(scope="module")
def pool():
    tiles = torch.zeros(5, 160, 160, 3, dtype=torch.uint8)
    for i in range(5):
        tiles[i] = torch.tensor([200, 40 * i, 90])
    return BackgroundPool(tiles, SIZE)


def seen(inputs):
    return (denormalize(inputs.image_B3HW) * 255).permute(0, 2, 3, 1).numpy()


def dot_offsets(inputs):
    """Where the white dot really is, minus where its label says: crop px, for dots that lie clear of all others."""
    offsets = []
    for image, uv, present in zip(
        seen(inputs), inputs.uv_BK2.numpy() * SIZE, inputs.present_2d_BK.numpy(), strict=True
    ):
        white = np.clip(image.min(-1) - 130, 0, None)  # the dot's core; skin's blue channel is 120
        for k in np.flatnonzero(present):
            x, y = uv[k]
            alone = np.delete(np.linalg.norm(uv - uv[k], axis=1), k).min() > 11
            if not alone or min(x, y) < 8 or max(x, y) > SIZE - 9:
                continue
            x0, y0 = round(x) - 5, round(y) - 5
            patch = white[y0 : y0 + 11, x0 : x0 + 11]
            rows, columns = np.mgrid[y0 : y0 + 11, x0 : x0 + 11]
            offsets.append([(patch * columns).sum() / patch.sum() - x, (patch * rows).sum() / patch.sum() - y])
    return np.array(offsets)


# ------------------------------------------------------------------------------------------------ labels and picture


@pytest.mark.parametrize("config", [AugmentConfig(), FULL, PUBLISHED["stereo"], PUBLISHED["synthhands"]])
@pytest.mark.parametrize("side", ["left", "right"])
def test_no_label_is_off_its_dot_d3(config, side, request):
    batch = request.getfixturevalue(side)
    offsets = np.concatenate(
        [dot_offsets(prepare(batch, config, seed=1, epoch=epoch, train=True)) for epoch in range(4)]
    )

    assert len(offsets) > 100
    assert np.abs(offsets.mean(0)).max() < 0.05  # no half-pixel bias (D3)
    assert np.linalg.norm(offsets, axis=1).max() < 0.6  # dots are drawn to 1/16 px and resampled twice


def test_projected_rotated_3d_is_the_rotated_2d_for_a_thousand_angles_d1_d2():
    rng = np.random.default_rng(0)
    count = 1000
    angle = rng.uniform(-180, 180, count)
    angle[:4] = (0, 90, -180, 180)
    xyz = rng.normal(0, 60, (count, 21, 3)) + np.array([0, 0, 450])
    cameras = np.tile(K, (count, 1, 1))
    uv = np.stack([project(p, K) for p in xyz])
    view = CropView(
        angle=angle,
        mirror=rng.random(count) < 0.5,
        window=rng.choice(["fixed", "follow", "box", "keypoints"], count),
        zoom=rng.uniform(0.75, 1.15, count),
        margin=rng.uniform(40, 100, count),
        factor=rng.uniform(0.7, 1, count),
        shift=np.zeros((count, 2)),
    )
    crop = np.tile([40.0, 0.0, 280.0, 240.0], (count, 1))
    plan = plan_views(view, SIZE, crop_xyxy=crop, points=uv, K=cameras, image_width=np.full(count, 320))

    turned = xyz @ plan.rotation.transpose(0, 2, 1)
    projected = np.stack([project(p, camera) for p, camera in zip(turned, plan.K, strict=True)])
    assert np.abs(projected - map_pixels(plan.source_to_crop, uv)).max() < 0.01


def test_unmirrored_rotation_has_the_published_sense(shared):
    golden = json.loads((shared / "golden" / "golden_give.json").read_text())
    cases = golden["rotate_3d_about_z"]
    points = np.array(cases["points"])
    for case in cases["cases"]:
        view = still(1, angle=np.array([case["angle_deg"]]))
        plan = plan_views(view, SIZE, **camera_of(1))

        np.testing.assert_allclose(points @ plan.rotation[0].T, case["points_out"], atol=1e-6)
        np.testing.assert_allclose(plan.rotation[0] @ points[0], rotate_about_axis(points[0], case["angle_deg"]))


def test_the_turned_2d_is_the_golden_one_about_the_picture_centre(shared):
    golden = json.loads((shared / "golden" / "golden_give.json").read_text())
    cases = golden["rotate_2d_640x480_positive_is_counterclockwise_on_screen"]
    points = np.array(cases["points"])
    camera = np.array([[600.0, 0, 320], [0, 600.0, 240], [0, 0, 1]])  # principal point where the golden centre is
    for case in cases["cases"]:
        plan = plan_views(
            still(1, angle=np.array([case["angle_deg"]])),
            480,
            crop_xyxy=np.array([[80.0, 0, 560, 480]]),
            points=points[None],
            K=camera[None],
            image_width=np.array([640]),
        )
        in_crop = map_pixels(plan.source_to_crop, points[None])[0]
        np.testing.assert_allclose(in_crop + np.array([80, 0]), case["points_out"], atol=1e-5)


def test_keypoint_windows_follow_the_stereo_rule(shared):
    golden = json.loads((shared / "golden" / "golden_give.json").read_text())
    for case in golden["stereo_crop_margin40"]:
        points = np.array(case["points"])
        low, high = points.min(0) - 40, points.max(0) + 40
        if (low < 0).any() or high[0] > 640 or high[1] > 480:
            continue  # the published rule clips at the picture; a turned picture has no such edge
        plan = plan_views(still(1, window=np.array(["keypoints"])), SIZE, **(camera_of(1) | {"points": points[None]}))

        assert abs(plan.side[0] - (high - low).max()) < 1e-6


def test_box_windows_are_the_golden_ones_to_the_truncation_d5(shared):
    golden = json.loads((shared / "golden" / "golden_give.json").read_text())
    for case in golden["dexter_rotate"]:
        x, y, w, h = golden["dexter"]["bbox_xywh"]
        camera = np.array([[600.0, 0, 319.5], [0, 600.0, 239.5], [0, 0, 1]])
        view = still(
            1, angle=np.array([case["angle_deg"]]), window=np.array(["box"]), factor=np.array([case["box_scale"]])
        )
        given = camera_of(1) | {"K": camera[None], "crop_xyxy": np.array([[x, y, x + w, y + h]], float)}
        plan = plan_views(view, SIZE, **given)

        left, top, side, _ = case["bbox_intended"]
        assert np.abs(plan.window[0] - [left, top, left + side, top + side]).max() < 2.01  # three int() in the original


def still(count, **changes):
    values = {
        "angle": np.zeros(count),
        "mirror": np.zeros(count, bool),
        "window": np.full(count, "fixed", dtype="<U9"),
        "zoom": np.ones(count),
        "margin": np.full(count, 40.0),
        "factor": np.ones(count),
        "shift": np.zeros((count, 2)),
    }
    return CropView(**(values | changes))


def camera_of(count):
    return {
        "crop_xyxy": np.tile([40.0, 0.0, 280.0, 240.0], (count, 1)),
        "points": np.full((count, 22, 2), np.nan),
        "K": np.tile(K, (count, 1, 1)),
        "image_width": np.full(count, 320),
    }


def test_a_window_that_follows_keeps_a_hand_far_from_the_principal_point():
    count = 36
    angle = np.linspace(-180, 180, count)
    window = np.full(count, "follow", dtype="<U9")
    crop = np.tile([200.0, 10.0, 300.0, 110.0], (count, 1))  # a corner of the picture
    plan = plan_views(still(count, angle=angle, window=window), SIZE, **(camera_of(count) | {"crop_xyxy": crop}))
    seen = map_pixels(plan.source_to_crop, np.tile([249.5, 59.5], (count, 1, 1)))

    np.testing.assert_allclose(seen[:, 0], (SIZE - 1) / 2, atol=1e-9)
    np.testing.assert_allclose(plan.side, 100)


def test_without_intrinsics_the_picture_turns_about_the_crop():
    plan = plan_views(still(1, angle=np.array([77.0])), SIZE, **(camera_of(1) | {"K": np.full((1, 3, 3), np.nan)}))
    center = map_pixels(plan.source_to_crop, np.array([[[159.5, 119.5]]]))

    np.testing.assert_allclose(center, [[[(SIZE - 1) / 2] * 2]], atol=1e-9)
    assert np.isnan(plan.K).any()


def test_a_right_hand_becomes_the_left_hand_it_mirrors(left, right):
    plain = prepare(left, AugmentConfig(), seed=0, epoch=0, train=False)
    mirrored = prepare(right, AugmentConfig(), seed=0, epoch=0, train=False)

    assert mirrored.mirrored_B.all()
    assert not plain.mirrored_B.any()
    torch.testing.assert_close(mirrored.image_B3HW, plain.image_B3HW.flip(-1), atol=2e-3, rtol=0)
    flipped = plain.uv_BK2.clone()
    flipped[..., 0] = (SIZE - 1) / SIZE - flipped[..., 0]
    torch.testing.assert_close(mirrored.uv_BK2, flipped, atol=1e-5, rtol=0)
    torch.testing.assert_close(mirrored.xyz_BK3, plain.xyz_BK3 * torch.tensor([-1.0, 1, 1]), atol=1e-6, rtol=0)


@pytest.mark.parametrize("train", [False, True])
def test_a_closer_look_is_the_middle_of_the_crop(left, train):
    plain, closer = (prepare(left, AugmentConfig(), seed=0, epoch=0, train=train, zoom=zoom) for zoom in (1.0, 1.25))
    edges = plain.uv_BK2 + 0.5 / SIZE - 0.5

    torch.testing.assert_close(closer.uv_BK2 + 0.5 / SIZE - 0.5, 1.25 * edges, atol=1e-5, rtol=0)
    torch.testing.assert_close(closer.xyz_BK3, plain.xyz_BK3)
    np.testing.assert_allclose(closer.K_B33[:, 0, 0], 1.25 * plain.K_B33[:, 0, 0])


def test_a_hand_of_unknown_side_is_trained_on_both_ways_round_and_teaches_no_side(tmp_path):
    batch = load(write_dataset(tmp_path / "unknown", "unknown", (24,), canvas=CANVAS, hand_side=2))
    shown = [prepare(batch, AugmentConfig(), seed=0, epoch=epoch, train=True) for epoch in range(16)]

    mirrored = np.stack([inputs.mirrored_B for inputs in shown])
    assert 0.4 < mirrored.mean() < 0.6
    assert mirrored.any(0).all()
    assert not mirrored.all(0).any()
    assert not any(inputs.right_B.any() or inputs.side_known_B.any() for inputs in shown)
    kept = prepare(batch, AugmentConfig(mirror_right=False), seed=0, epoch=0, train=True)
    assert not kept.mirrored_B.any()


def test_a_hand_of_unknown_side_is_validated_on_as_it_lies(tmp_path):
    batches = [load(write_dataset(tmp_path / name, name, (4,), canvas=CANVAS, hand_side=side))
               for name, side in (("left", 0), ("unknown", 2))]  # fmt: skip
    left, unknown = (prepare(batch, AugmentConfig(), seed=0, epoch=0, train=False) for batch in batches)

    assert not unknown.mirrored_B.any()
    assert torch.equal(unknown.image_B3HW, left.image_B3HW)
    assert torch.equal(unknown.uv_BK2, left.uv_BK2)


def test_mirroring_can_be_left_out(right):
    inputs = prepare(right, AugmentConfig(mirror_right=False), seed=0, epoch=0, train=True)

    assert not inputs.mirrored_B.any()


def test_normalised_3d_keeps_its_root_and_scale(left):
    inputs = prepare(left, FULL, seed=0, epoch=0, train=True)

    assert inputs.present_3d_BK.all()
    torch.testing.assert_close(inputs.xyz_BK3[:, 9], torch.zeros(24, 3))
    torch.testing.assert_close(inputs.xyz_BK3[:, 0].norm(dim=-1), torch.ones(24))


def test_points_outside_the_crop_are_labelled_but_not_present_d10(left):
    inputs = prepare(left, AugmentConfig(scale=(1.0, 1.0)), seed=0, epoch=0, train=True)
    inside = ((inputs.uv_BK2 * SIZE >= -0.5) & (inputs.uv_BK2 * SIZE < SIZE - 0.5)).all(-1)

    assert inputs.labelled_2d_BK.all()
    assert torch.equal(inputs.present_2d_BK, inside)
    assert 0 < inputs.present_2d_BK.float().mean() < 1
    assert inputs.uv_BK2[~inside].abs().max() > 1


@pytest.mark.parametrize("train", [True, False])
def test_points_outside_the_picture_as_shipped_are_not_present_wherever_the_crop_lies(left, train):
    labels = {**left.labels, "in_frame": left.labels["in_frame"].copy()}
    labels["in_frame"][:, ::2] = False  # as the converter says of a tip that the picture's rim cuts off
    wide = AugmentConfig(scale=(-0.5, -0.5), mirror_right=False)
    inputs = prepare(dataclasses.replace(left, labels=labels), wide, seed=0, epoch=0, train=train)

    assert inputs.labelled_2d_BK.all()
    assert not inputs.present_2d_BK[:, ::2].any()
    assert inputs.present_2d_BK[:, 1::2].all()


# ------------------------------------------------------------------------------------------------ validation


def test_validation_is_the_stored_crop_whatever_the_config(left):
    plain = prepare(left, AugmentConfig(), seed=0, epoch=0, train=False)
    other = prepare(left, PUBLISHED["stereo"], seed=5, epoch=9, train=False)
    crop = left.labels["crop_xyxy"]

    assert torch.equal(plain.image_B3HW, other.image_B3HW)
    np.testing.assert_allclose(plain.side_B.numpy(), crop[:, 2] - crop[:, 0], rtol=1e-6)
    expected = (left.labels["keypoints_2d"] + 0.5 - crop[:, None, :2]) * SIZE / plain.side_B.numpy()[
        :, None, None
    ] - 0.5
    np.testing.assert_allclose(plain.uv_BK2.numpy() * SIZE, expected, atol=1e-3)  # the one rule of docs/method.md 3.6


def test_the_warp_is_opencvs(left):
    angle, S = 33.0, CANVAS
    affine = cv2.getRotationMatrix2D(((S - 1) / 2, (S - 1) / 2), angle, 1.1)
    crop_to_canvas = cv2.invertAffineTransform(affine)
    unit = np.array([[S / 2, 0, (S - 1) / 2], [0, S / 2, (S - 1) / 2], [0, 0, 1]])  # grid_sample's -1..1 to pixels
    theta = np.linalg.inv(unit) @ np.vstack([crop_to_canvas, [0, 0, 1]]) @ unit
    ours = warp(left.canvases[:1], torch.from_numpy(theta[None, :2]).float(), S)[0]
    theirs = cv2.warpAffine(left.canvases[0].numpy().astype(np.float32), affine, (S, S), flags=cv2.INTER_LINEAR)

    y, x = np.mgrid[:S, :S] - (S - 1) / 2
    inner = np.hypot(x, y) < 94  # the rim, 105 px from the centre, is black in OpenCV's blend
    difference = np.abs(ours.permute(1, 2, 0).numpy() * 255 - theirs)[inner]
    assert difference.mean() < 0.5  # OpenCV places samples to 1/32 px
    assert difference.max() < 12


# ------------------------------------------------------------------------------------------------ ranges


def test_published_ranges_are_those_of_the_table():
    synth, gan, stereo, dexter = (PUBLISHED[name] for name in ("synthhands", "ganerated", "stereo", "dexter"))

    assert (synth.rotation_deg, synth.scale, synth.window, synth.background) == (180, (-0.25, 0.15), "fixed", True)
    assert (gan.rotation_deg, gan.scale) == (0, (0, 0))
    assert (stereo.rotation_deg, stereo.window, stereo.margin_px) == (180, "keypoints", (40, 100))
    assert (dexter.rotation_deg, dexter.window, dexter.box_factor) == (180, "box", (0.7, 1.0))
    for config in PUBLISHED.values():
        assert (config.brightness, config.contrast, config.saturation) == (0.25, 0.25, 0.25)
        assert config.blur_px == (0.0, 0.8)


def drawn(batch, config, epochs=60):
    """All inputs of many epochs of one batch."""
    return [prepare(batch, config, seed=2, epoch=epoch, train=True, size=16) for epoch in range(epochs)]


def uniform_over(values, low, high):
    """Assert that values fill [low, high] evenly: no outsider, and every tenth of the range holds its share."""
    values = np.asarray(values)
    assert values.min() >= low - 1e-6
    assert values.max() <= high + 1e-6
    shares = np.histogram(values, bins=10, range=(low, high))[0] / len(values)
    assert np.abs(shares - 0.1).max() < 5 * (0.09 / len(values)) ** 0.5  # five standard deviations


def test_rotation_fills_the_circle(small):
    inputs = drawn(small, AugmentConfig(rotation_deg=180.0))
    R = np.concatenate([i.rotation_B33 for i in inputs])

    uniform_over(np.degrees(np.arctan2(R[:, 0, 1], R[:, 0, 0])), -180, 180)


def test_scale_fills_its_range(small):
    inputs = drawn(small, AugmentConfig(scale=(-0.25, 0.15)))
    stored = small.labels["crop_xyxy"][:, 2] - small.labels["crop_xyxy"][:, 0]

    uniform_over(np.concatenate([stored / i.side_B.numpy() - 1 for i in inputs]), -0.25, 0.15)


def test_margins_fill_their_range(small):
    inputs = drawn(small, AugmentConfig(window="keypoints", margin_px=(40.0, 100.0)))
    extent = np.ptp(small.labels["keypoints_2d"], axis=1).max(-1)

    uniform_over(np.concatenate([(i.side_B.numpy() - extent) / 2 for i in inputs]), 40 - 1e-4, 100 + 1e-4)


def test_box_factors_fill_their_range(small):
    inputs = drawn(small, AugmentConfig(window="box", box_factor=(0.7, 1.0)))
    stored = small.labels["crop_xyxy"][:, 2] - small.labels["crop_xyxy"][:, 0]

    uniform_over(np.concatenate([i.side_B.numpy() / stored for i in inputs]), 0.7, 1.0)


@pytest.mark.parametrize("axis", [0, 1])
def test_shifts_fill_their_range(small, axis):
    inputs = drawn(small, AugmentConfig(shift=0.1))
    still_uv = prepare(small, AugmentConfig(), seed=0, epoch=0, train=True).uv_BK2[:, 0, axis].numpy()

    # a half-pixel belongs to the smaller size these were drawn at
    moves = np.concatenate([i.uv_BK2[:, 0, axis].numpy() + 0.5 / 16 for i in inputs]) - np.tile(
        still_uv + 0.5 / SIZE, 60
    )
    uniform_over(moves, -0.1 - 1e-5, 0.1 + 1e-5)


@pytest.mark.parametrize("kind", ["brightness", "contrast", "saturation"])
def test_colour_factors_fill_their_range(kind):
    config = published_configs(
        ["ganerated"], {"ganerated": {n: 0.25 if n == kind else 0.0 for n in ("brightness", "contrast", "saturation")}}
    )[0]
    from handdata.shards.sampling import STREAM_AUGMENT, uniforms
    from handdata.train.augment.prepare import _DRAWS, _draw

    u = uniforms(0, 0, np.arange(4000), _DRAWS, stream=STREAM_AUGMENT)
    draws = _draw([config], np.zeros(4000, int), u, right=np.zeros(4000, bool), flip=np.zeros(4000, bool), train=True)
    column = ("brightness", "contrast", "saturation").index(kind)

    uniform_over(draws.factors[:, column], 0.75, 1.25)
    assert (np.delete(draws.factors, column, axis=1) == 1).all()
    uniform_over(draws.sigma, 0.0, 0.8)
    assert np.allclose(np.bincount(draws.order) / 4000, 1 / 6, atol=0.03)
    parameters = np.stack([draws.factors[:, column], draws.sigma, draws.order, *draws.tile.T])
    assert np.abs(np.corrcoef(parameters) - np.eye(6)).max() < 0.06  # one number never decides two things


def test_backgrounds_are_drawn_evenly_and_afresh_f6(root, pool):
    batch = load(write_dataset(root / "tiny", "tiny", (24,), canvas=16, foreground=True))
    greens = []
    for epoch in range(20):
        inputs = prepare(batch, AugmentConfig(), seed=0, epoch=epoch, train=True, backgrounds=pool)
        greens.append(np.round(seen(inputs)[:, 0, 0, 1] / 40).astype(int))
    shares = np.bincount(np.concatenate(greens), minlength=5) / (20 * 24)

    assert np.abs(shares - 0.2).max() < 0.09
    assert not (greens[0] == greens[1]).all()


# ------------------------------------------------------------------------------------------------ backgrounds


@pytest.mark.parametrize("train", [True, False])
def test_no_key_colour_survives_and_the_hand_stays_d19_d20(keyed, pool, train):
    config = PUBLISHED["synthhands"]
    calm = AugmentConfig(rotation_deg=config.rotation_deg, scale=config.scale)
    bare = prepare(keyed, calm, seed=0, epoch=0, train=train)
    inputs = prepare(keyed, calm, seed=0, epoch=0, train=train, backgrounds=pool)
    over, under = seen(inputs), seen(bare)
    greenness = over[..., 1] - np.maximum(over[..., 0], over[..., 2])

    assert greenness.max() < 1  # the tiles' greens lie below their red, the hand's too
    hand = under[..., 2] > 118  # skin's blue is 120, a dot's 255, the key's 14
    core = np.stack([cv2.erode(mask.astype(np.uint8), np.ones((7, 7))) for mask in hand]) > 0
    assert core.sum() > 1000
    assert np.abs(over[core] - under[core]).max() < 1.5


def test_revealed_pixels_are_background_where_a_mask_allows_and_black_elsewhere(keyed, left, pool):
    zoomed_out = AugmentConfig(scale=(-0.6, -0.6))  # the crop becomes 2.5 times the stored one, the canvas is 1.5
    masked = seen(prepare(keyed, zoomed_out, seed=0, epoch=0, train=True, backgrounds=pool))
    plain = seen(prepare(left, zoomed_out, seed=0, epoch=0, train=True, backgrounds=pool))

    assert np.abs(masked[:, :8, :8, 0] - 200).max() < 1.5
    assert plain[:, :8, :8].max() < 1e-3


def test_samples_do_not_change_with_their_neighbours(root, keyed, left, pool):
    both = load_mixture(root)
    configs = [PUBLISHED["synthhands"], PUBLISHED["stereo"]]
    together = prepare(both, configs, seed=0, epoch=0, train=True, backgrounds=pool)
    first = prepare(keyed, configs[0], seed=0, epoch=0, train=True, backgrounds=pool, indices=both.position[:24])
    second = prepare(left, configs[1], seed=0, epoch=0, train=True, backgrounds=pool, indices=both.position[24:])

    for name in ("image_B3HW", "uv_BK2", "xyz_BK3"):
        apart = torch.cat([getattr(first, name), getattr(second, name)])
        torch.testing.assert_close(getattr(together, name), apart, atol=2e-5, rtol=1e-5)


def load_mixture(root):
    with EvalLoader(open_mixture([root / "keyed", root / "left"], "train"), 48, threads=0) as loader:
        return next(iter(loader))


def test_tiles_smaller_than_the_input_are_told_with_a_way_out():
    with pytest.raises(
        ConfigError, match=r"tiles of at least 256 px, got 192 px\. Name a pool .*--canvas 256.* or none"
    ):
        load_backgrounds(None, "train", size=256)


# ------------------------------------------------------------------------------------------------ repeatability


def test_the_same_place_in_the_same_epoch_looks_the_same(left):
    again = [prepare(left, PUBLISHED["dexter"], seed=3, epoch=4, train=True) for _ in range(2)]

    assert torch.equal(again[0].image_B3HW, again[1].image_B3HW)
    assert torch.equal(again[0].uv_BK2, again[1].uv_BK2)


@pytest.mark.parametrize("change", [{"seed": 4}, {"epoch": 5}, {"indices": np.arange(100, 124)}])
def test_seed_epoch_and_position_each_change_the_sample_l15(left, change):
    base = {"seed": 3, "epoch": 4, "train": True}
    first = prepare(left, PUBLISHED["dexter"], **base)
    second = prepare(left, PUBLISHED["dexter"], **(base | change))

    assert (first.uv_BK2 != second.uv_BK2).any(-1).any(-1).all()


# ------------------------------------------------------------------------------------------------ colour


@pytest.fixture(scope="module")
def photo():
    rng = np.random.default_rng(0)
    smooth = cv2.resize(
        rng.uniform(20, 235, (12, 12, 3)).astype(np.float32), (SIZE, SIZE), interpolation=cv2.INTER_CUBIC
    )
    return np.clip(smooth, 0, 255).astype(np.uint8)


def as_batch(photo, count):
    return torch.from_numpy(photo).permute(2, 0, 1).float().div(255).repeat(count, 1, 1, 1)


@pytest.mark.parametrize("order", range(6))
def test_jitter_is_pillows_to_its_rounding(photo, order):
    factors = (1.2, 0.8, 1.25)
    expected = Image.fromarray(photo)
    enhancers = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)
    for kind in ORDERS[order]:
        expected = enhancers[kind](expected).enhance(factors[kind])
    ours = jitter(as_batch(photo, 1), torch.tensor([factors]), torch.tensor([order]))[0].permute(1, 2, 0) * 255

    assert (
        np.abs(ours.numpy() - np.asarray(expected, np.float32)).max() < 3.9
    )  # Pillow cuts down to whole levels three times: 1 + 1.25 + 1.25^2


def test_factors_of_one_change_nothing(photo):
    batch = as_batch(photo, 2)

    torch.testing.assert_close(jitter(batch, torch.ones(2, 3), torch.tensor([0, 5])), batch, atol=1e-6, rtol=0)


@pytest.mark.parametrize("sigma", [0.1, 0.3, 0.5, 0.8])
def test_blur_is_pillows_to_its_rounding(photo, sigma):
    noisy = np.clip(photo + np.random.default_rng(1).normal(0, 25, photo.shape), 0, 255).astype(np.uint8)
    ours = blur(as_batch(noisy, 1), torch.tensor([sigma]))[0].permute(1, 2, 0).numpy() * 255
    pillow = np.asarray(Image.fromarray(noisy).filter(ImageFilter.GaussianBlur(sigma)), np.float32)
    difference = np.abs(ours - pillow)[3:-3, 3:-3]  # at the rim Pillow repeats the edge before each of its boxes

    assert difference.max() < 3  # it rounds six times
    assert difference.mean() < 1


def test_a_blur_of_zero_changes_nothing(photo):
    batch = as_batch(photo, 2)

    torch.testing.assert_close(blur(batch, torch.zeros(2)), batch, atol=1e-6, rtol=0)


def test_normalisation_is_imagenets_and_inverts(photo):
    batch = as_batch(photo, 1)
    normal = normalize(batch)

    np.testing.assert_allclose(
        normal[0, :, 5, 7], (photo[5, 7] / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225], atol=1e-5
    )
    torch.testing.assert_close(denormalize(normal), batch, atol=1e-6, rtol=0)


def test_bits_unpack_as_numpy_packs_them():
    bits = np.random.default_rng(0).random((3, 16, 16)) < 0.5
    packed = torch.from_numpy(np.packbits(bits, axis=-1))

    assert np.array_equal(unpack_bits(packed).numpy(), bits.astype(np.uint8))


def test_an_unknown_field_of_a_recipe_is_refused():
    with pytest.raises(ValueError, match="unknown augmentation of rhd"):
        published_configs(["rhd"], {"rhd": {"flop": 1}})


def test_a_hand_labelled_in_3d_alone_is_a_hand_and_one_without_labels_is_none(tmp_path):
    whole = made_hand(0)
    deep = {"image": whole.image, "side": "left", "crop_box": whole.crop_box, "keypoints_3d": whole.keypoints_3d}
    bare = {name: value for name, value in deep.items() if name != "keypoints_3d"}
    hd.write_dataset(tmp_path, [whole, deep, bare], canvas=CANVAS)

    inputs = prepare(load(tmp_path), AugmentConfig(), seed=0, epoch=0, train=False)

    assert inputs.hand_B.tolist() == [True, True, False]
    assert inputs.labelled_2d_BK.any(1).tolist() == [True, False, False]
