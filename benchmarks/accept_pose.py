"""Steps of acceptance.py about geometry: the view turn, absolute millimetres, the kinematic fit. No training."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import Aim
from made_people import K, People, people
from numpy.typing import NDArray

import handdata as hd
from handdata.evaluation.absolute import Lifted, Size, lift_closed, lift_palm, lift_pose, rays_of
from handdata.geometry import crop_affine, view_turn
from handdata.model import kinematics
from handdata.model.fit import fit
from handdata.skeleton import BONES, HAND_SIDES, ROOT
from handdata.train.augment.prepare import prepare
from handdata.train.augment.settings import AugmentConfig
from handdata.train.loader.loaders import Loader, open_mixture

Floats = NDArray[np.float64]
RENDERED = 81.2  # mm, mean size of rendered hands labelled as people click
ANY_SIZE = Size(80.0, 0.1, "any")
HANDS, FITTED, EXACT = 4000, 128, 60


def at_most(what: str, figure: float, aim: float, unit: str = "mm") -> Aim:
    """Return a figure that is to be no larger."""
    return Aim(what, float(figure), aim, at_least=False, unit=unit)


def turn(scratch: Path) -> list[Aim]:
    """Section 2."""
    hands = people(HANDS // 4)
    whole = np.tile(np.eye(3), (len(hands.side), 1, 1))
    whole[:, :2] = crop_affine(hands.crops(), 128)
    turns = view_turn(whole @ K, 128)
    seen = (hands.uv - hands.uv.mean(1, keepdims=True)) / hands.side[:, None, None]
    off = {}
    for name, pose in (("plain", hands.pose), ("turned", hands.pose @ turns.transpose(0, 2, 1))):
        flat = pose[..., :2] - pose[..., :2].mean(1, keepdims=True)
        scale = (flat * seen).sum((1, 2), keepdims=True) / (flat**2).sum((1, 2), keepdims=True)
        off[name] = np.linalg.norm(scale * flat - seen, axis=-1).mean()
    angle = np.degrees(np.arccos(np.clip(turns[:, 2, 2], -1, 1)))
    return [
        at_most("weak perspective against the 2D, without the turn", off["plain"], 1.1 * 0.0353, "crop"),
        at_most("weak perspective against the 2D, with the turn", off["turned"], 1.1 * 0.0127, "crop"),
        at_most("angle of the turn, median", np.median(angle), 1.1 * 11.7, "degrees"),
        at_most("labels, augmented, turned, lifted and back: worst point", round_trip(scratch / "turn"), 0.01),
    ]


def round_trip(folder: Path) -> float:
    """Return how far labels are off, mm, that went through augmentation, turn and 3.3 and back."""
    if not (folder / "index.json").is_file():
        hands, image = people(64, seed=5), np.zeros((480, 640, 3), np.uint8)
        hd.write_dataset(folder, (
            hd.Hand(id=f"{i:04d}", image=image, side=HAND_SIDES[i % 2], keypoints_2d=hands.uv[i],
                    keypoints_3d=hands.mm[i], K=K, crop_box=hands.crops()[i])
            for i in range(len(hands.side))
        ), name="custom", canvas=96)  # fmt: skip
    looks = AugmentConfig(rotation_deg=180, flip=0.5, scale=(-0.2, 0.2), shift=0.1)
    mixture = open_mixture([folder], "train")
    truth, worst = mixture.datasets[0], 0.0
    with Loader(mixture, 16, seed=0, device=torch.device("cpu"), threads=0) as loader:
        for batch in loader.epoch(0, batches=8):
            inputs = prepare(batch, looks, seed=0, epoch=0, train=True, size=128, turn=True)
            back = np.linalg.inv(inputs.source_to_crop_B33)
            uv = inputs.uv_BK2.double().numpy() * 128 @ back[:, :2, :2].transpose(0, 2, 1) + back[:, None, :2, 2]
            pose = inputs.xyz_BK3.double().numpy() @ inputs.rotation_B33
            scale = inputs.scale_B.double().numpy()[:, None, None]
            found = lift_pose(rays_of(uv, batch.labels["K"]), pose).xyz * scale
            worst = max(worst, float(np.abs(found - truth["keypoints_3d"][batch.sample]).max()))
    return worst


def absolute(_: Path) -> list[Aim]:
    """Section 3.5."""
    hands = people(HANDS)
    rays, z = rays_of(hands.uv, K), hands.pose[..., 2]
    palm = errors(lift_palm(rays, z, sd_ray=0.0, sd_z=0.0), hands)
    closed, pose = errors(lift_closed(rays, z), hands), errors(lift_pose(rays, hands.pose), hands)
    aims = [
        at_most("no noise: one bone, the right root, worst", closed[closed < 10].max(), 1e-6),
        Aim("no noise: one bone, right root of", float((closed < 1e-6).mean()), 0.998, unit="of hands"),
        at_most("no noise: palm, median", np.median(palm), 1.1 * 0.02),
        at_most("no noise: palm, 90 %", np.percentile(palm, 90), 1.1 * 0.2),
        at_most("no noise: pose, worst", np.nanmax(pose), 1e-6),
    ]
    asked = {
        (0.01, 0.05): {"one bone": (17.1, 74), "palm": (11.4, 32), "pose, true size": (10.0, 22),
                       "pose, size off by 6.3 %": (22.9, 61), "pose, rendered mean size": (52, 138)},
        (0.02, 0.10): {"one bone": (36, 150), "palm": (21, 60), "pose, true size": (19.6, 45),
                       "pose, size off by 6.3 %": (28.8, 72), "pose, rendered mean size": (57, 142)},
    }  # fmt: skip
    for (share, spread), wanted in asked.items():
        found = noisy_errors(hands, share, spread)
        for name, (median, high) in wanted.items():
            off = found[name][np.isfinite(found[name])]
            aims.append(at_most(f"{share:.0%}, {spread}: {name}, median", np.median(off), 1.1 * median))
            aims.append(at_most(f"{share:.0%}, {spread}: {name}, 90 %", np.percentile(off, 90), 1.1 * high))
    uv, noisy = hands.noisy(0.01, 0.05)
    for wrong, mm in ((0.05, 27), (0.10, 53), (0.20, 107)):
        off = errors(lift_pose(rays_of(uv, K), noisy), hands, hands.scale * (1 + wrong))
        aims.append(at_most(f"size wrong by {wrong:.0%}, median", np.nanmedian(off), 1.1 * mm))
    return aims + outliers(hands, uv, noisy)


def noisy_errors(hands: People, share: float, spread: float) -> dict[str, Floats]:
    """Return (B,) mm by the way that they were found."""
    uv, noisy = hands.noisy(share, spread)
    rays, z = rays_of(uv, K), noisy[..., 2].copy()
    z[:, ROOT] = 0.0
    lifted = lift_pose(rays, noisy)
    wrong = hands.scale * np.exp(np.random.default_rng(1).normal(0, 0.063, len(uv)))
    return {
        "one bone": errors(lift_closed(rays, z), hands),
        "palm": errors(lift_palm(rays, z, sd_ray=share * hands.side / K[0, 0], sd_z=spread), hands),
        "pose, true size": errors(lifted, hands),
        "pose, size off by 6.3 %": errors(lifted, hands, wrong),
        "pose, rendered mean size": errors(lifted, hands, np.full(len(uv), RENDERED)),
    }


def outliers(hands: People, uv: Floats, noisy: Floats) -> list[Aim]:
    """Return the robust solution's figures where two keypoints of each hand are off by a fifth of the crop."""
    rng, uv = np.random.default_rng(3), uv.copy()
    for hand in range(len(uv)):
        angle = rng.uniform(0, 2 * np.pi, 2)
        off = 0.2 * hands.side[hand] * np.stack([np.cos(angle), np.sin(angle)], -1)
        uv[hand, rng.choice(21, 2, replace=False)] += off
    robust = errors(lift_pose(rays_of(uv, K), noisy, robust=True), hands)
    return [
        at_most("two points far off: robust, median", np.nanmedian(robust), 1.1 * 14.9),
        at_most("two points far off: robust, 90 %", np.nanpercentile(robust, 90), 1.1 * 38),
    ]


def errors(lifted: Lifted, hands: People, scale: Floats | None = None) -> Floats:
    """Return (B,) mm, mean over the keypoints."""
    size = hands.scale if scale is None else scale
    return np.asarray(np.linalg.norm(lifted.xyz * size[:, None, None] - hands.mm, axis=-1).mean(-1))


# ----------------------------------------------------------------------------------------------------------------- fit


def fit_known(_: Path) -> list[Aim]:
    """Section 6: a person whose bones are known, as is the size."""
    hands = people(FITTED, mean_hand=True)
    found = fitted(hands, *hands.noisy(0.01, 0.05), known=True)
    absolute, relative = fit_errors(found, hands)
    excess = np.maximum(found.angles - kinematics.HIGH, 0) + np.maximum(kinematics.LOW - found.angles, 0)
    return [
        at_most("known person, 1 %, 0.05: absolute, median", np.median(absolute), 1.15 * 4.2),
        at_most("known person, 1 %, 0.05: absolute, 90 %", np.percentile(absolute, 90), 1.15 * 14),
        at_most("known person, 1 %, 0.05: root-relative, median", np.median(relative), 1.15 * 3.2),
        at_most("beyond the limits of a joint, 99 %", np.percentile(excess, 99), 10.0, "degrees"),
    ]


def fit_others(_: Path) -> list[Aim]:
    """Section 6: people whose bones are not known."""
    hands = people(FITTED)
    absolute, relative = fit_errors(fitted(hands, *hands.noisy(0.01, 0.05)), hands)
    _, flat = fit_errors(fitted(hands, hands.noisy(0.01, 0.05)[0], None), hands)
    _, exact = fit_errors(fitted(hands, hands.uv, hands.pose, known=True, sds=(0.002, 0.01)), hands)
    return [
        at_most("others, bones free, 1 %, 0.05: absolute, median", np.median(absolute), 1.15 * 14.7),
        at_most("others, bones free, 1 %, 0.05: absolute, 90 %", np.percentile(absolute, 90), 1.15 * 33),
        at_most("others, bones free, 1 %, 0.05: root-relative, median", np.median(relative), 1.15 * 3.7),
        at_most("others, the 2D alone, 1 %: root-relative, median (LS of 2D and 3D: 7.9)", np.median(flat), 7.9),
        at_most("others, mean bones, no noise: root-relative, median", np.median(exact), 1.15 * 2.1),
    ]


def fit_exact(_: Path) -> list[Aim]:
    """Section 6: without noise, a known person; what is known of joints does not pull, for it moves exact labels."""
    hands = people(EXACT, mean_hand=True, seed=12)
    exact = {"known": True, "sds": (0.002, 0.01)}
    absolute, _ = fit_errors(fitted(hands, hands.uv, hands.pose, coupled=False, **exact), hands)
    share = float((absolute < 0.01).mean())
    return [
        Aim("known person, no noise, no couplings: within 0.01 mm", share, 0.97 / 1.15, unit="of hands"),
        at_most("known person, no noise, no couplings: median", np.median(absolute), 0.01),
        at_most("known person, no noise, no couplings: worst", absolute.max(), 17.0),
    ]


def fitted(
    hands: People,
    uv: Floats,
    pose: Floats | None,
    *,
    known: bool = False,
    sds: tuple[float, float] = (0.01, 0.05),
    coupled: bool = True,
) -> Any:
    """Return `fit` of hands whose sizes are assumed to be known: nothing in a fit but its millimetres hangs on them."""
    person = np.ones(len(BONES)) if known else None
    found = fit(rays_of(uv, K), pose, hands.side / K[0, 0], ANY_SIZE, right=np.zeros(len(uv), bool), sd_2d=sds[0],
                sd_3d=sds[1], person=person, coupled=coupled)  # fmt: skip
    return replace(found, xyz_mm=found.xyz_mm * (hands.scale / ANY_SIZE.mm)[:, None, None])


def fit_errors(found: Any, hands: People) -> tuple[Floats, Floats]:
    """Return (B,) mm: absolute, with the fit's own depth; root-relative, at the true size."""
    absolute = np.linalg.norm(found.xyz_mm - hands.mm, axis=-1).mean(-1)
    relative = np.linalg.norm((found.pose - hands.pose) * hands.scale[:, None, None], axis=-1).mean(-1)
    return absolute, relative


STEPS = {"2 turn": turn, "3.5 absolute pose": absolute, "6 fit, known": fit_known, "6 fit, others": fit_others,
         "6 fit, exact": fit_exact}  # fmt: skip
