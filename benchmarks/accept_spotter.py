"""Steps of acceptance.py about finding hands: the detector's network, its read-out, and what it reaches once trained.

Pictures are those of `handdata synth frames`, a quarter without a hand. What ships was made for pictures with people,
sleeves and hands up to 1,700 mm away. The required figures were measured on hands before backgrounds and things:
`trained` is asked for them on such (`plain`), trained and tried. It learns from clean pictures alone; half of them are
shown as another camera would have taken them, since the cameras are what parts the two styles for it.
"""

import sys
import time
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accept_networks import macs
from accept_pose import at_most
from machine import Aim

from handdata.geometry import iou
from handdata.model.detector import Spotter
from handdata.model.spots import Spot
from handdata.model.spotter import LEAST_SCORE, MOST_OVERLAP, SIZE, SpotterNet, SpotterPrediction, read_spots
from handdata.skeleton import HAND_SIDES, LEFT, RIGHT
from handdata.synth.color import to_linear
from handdata.synth.frame import Style
from handdata.synth.full_frame import render_full_frame
from handdata.synth.sensor import Film, develop
from handdata.train.spotting import SeenPicture, SpotTargets, as_seen, spotting_losses

sys.path.append(str(Path(__file__).parents[1] / "tools"))
from train_spotter import average_precision, images_of, match, rate  # the tool that made the weights

TRAIN_SEED, HELD_SEED = 15, 14
FRAMES, STEPS_TAKEN, BATCH, LR = 8000, 2707, 32, 0.002
HELD = 300  # pictures of each style
SEEDS = (0, 1)  # of trainings: what the network begins with and which pictures a step draws
SIZE_WEIGHT = 3.0  # of the loss of a box' size, which the overlap of hits hangs on; the others have 1
KEEP_EVERY = 200  # steps, after which the training is kept
RETAKEN = 0.5  # share of pictures that another camera takes
ROWS = slice(4, 124)  # of what the network sees, that are picture: 160 x 120 in 160 x 128
LIGHT = to_linear(np.arange(256) / 255).astype(np.float32)  # of sRGB levels
REQUIRED = {  # of the held-out pictures: AP at 0.5, at 0.7, IoU of hits, side of hits, IoU of masks
    "clean": (0.829, 0.385, 0.745, 0.787, 0.734),
    "gritty": (0.614, 0.289, 0.729, 0.762, 0.522),
}
FIGURES = ("AP at IoU 0.5", "AP at IoU 0.7", "IoU of hits", "side of hits", "IoU of the mask")


def network(_: Path) -> list[Aim]:
    """Section 5: size, work and read-out."""
    net = SpotterNet().eval()
    seen = [as_seen(f.image, f.boxes_xyxy, f.sides, f.hand) for f in (render_full_frame(5, i) for i in range(64))]
    apart = [one for one in seen if len(one.sides) < 2 or iou(*one.boxes_xyxy) <= MOST_OVERLAP]  # else one stays
    wanted, plain, swapped = (
        read_spots(right_about(pictures)) for pictures in (seen, apart, [mirrored(one) for one in apart])
    )
    pairs = [(spots, one) for spots, one in zip(wanted, seen, strict=True) if len(one.sides)]
    overlaps = [iou(spot.box_xyxy, one.boxes_xyxy) for spots, one in pairs for spot in spots]
    sides = [HAND_SIDES[one.sides[int(iou(spot.box_xyxy, one.boxes_xyxy).argmax())]] == spot.side
             for spots, one in pairs for spot in spots]  # fmt: skip
    counts = [[sum(spot.side == side for spot in spots) for side in HAND_SIDES] for spots in plain]
    others = [[sum(spot.side == side for spot in spots) for side in HAND_SIDES[::-1]] for spots in swapped]
    return [
        at_most("parameters", sum(p.numel() for p in net.parameters()) / 1e6, 1.05 * 0.257, "M"),
        at_most("multiplications", macs(net, SIZE) / 1e9, 1.05 * 0.037, "G"),
        at_most("one picture", picture_ms(net), 1.1 * 2.4, "CPU ms"),
        Aim("right maps give back the boxes, least IoU", float(min(map(np.max, overlaps))), 0.999, unit=""),
        Aim("right maps give back the sides", float(np.mean(sides)), 1.0, unit="of hands"),
        Aim("a mirrored picture swaps the sides", float(np.mean(np.array(counts) == np.array(others))), 1.0, unit=""),
    ]


def shipped(_: Path) -> list[Aim]:
    """Section 5: the weights that come with the package, on pictures that they were not trained on."""
    return figures(Spotter()._net, "shipped")


def trained(home: Path) -> list[Aim]:
    """Section 5: trained afresh on plain, clean pictures, with the samples and steps of the required figures.

    It is kept every KEEP_EVERY steps, so that the same command goes on where it was ended.
    """
    pictures = home / "spotter_plain.npz"
    return [
        aim for seed in SEEDS
        for aim in figures(train(home / f"spotter_plain_{seed}.pt", pictures, seed), f"seed {seed}", plain=True)
    ]  # fmt: skip


STEPS = {"5 spotter, network": network, "5 spotter, shipped": shipped, "5 spotter, trained": trained}


def figures(net: torch.nn.Module, who: str, *, plain: bool = False) -> list[Aim]:
    """Return what a network reaches on held-out pictures of both styles."""
    aims = []
    for style, required in REQUIRED.items():
        found, false = held_out(net.eval(), style, plain=plain)
        aims += [
            Aim(f"{who}, {style}: {name}", figure, 0.9 * least, unit="")
            for name, figure, least in zip(FIGURES, found, required, strict=True)
        ]
        aims.append(at_most(f"{who}, {style}: pictures without a hand where one is found", false, 0.05, "of pictures"))
    return aims


@torch.no_grad()
def held_out(net: torch.nn.Module, style: Style, *, plain: bool) -> tuple[list[float], float]:
    """Return the FIGURES of one style, and the share of empty pictures where a hand is found."""
    frames = [render_full_frame(HELD_SEED, index, style, plain=plain) for index in range(HELD)]
    seen = [as_seen(f.image, f.boxes_xyxy, f.sides, f.hand) for f in frames]
    spots: list[list[Spot]] = []
    same, either = 0.0, 0.0
    for first in range(0, HELD, 50):
        part = seen[first : first + 50]
        said = net(images_of(part))
        spots += read_spots(said, least_score=0.05)
        there = np.stack([one.mask for one in part]) > 0.5
        claimed = said.mask_B1HW[:, 0].numpy() > 0
        same, either = same + float((there & claimed).sum()), either + float((there | claimed).sum())
    hits = match(spots, seen, 0.5)
    sure = [
        max(iou(spot.box_xyxy, one.boxes_xyxy))
        for found, one in zip(spots, seen, strict=True) if len(one.sides)
        for spot in found if spot.score >= LEAST_SCORE
    ]  # fmt: skip
    overlap = float(np.mean([value for value in sure if value >= 0.5] or [0.0]))
    side = float(np.mean(hits[2])) if hits[2] else 0.0
    precisions = [average_precision(*match(spots, seen, at)[:2]) for at in (0.5, 0.7)]
    bare = [found for found, one in zip(spots, seen, strict=True) if not len(one.sides)]
    false = np.mean([any(spot.score >= LEAST_SCORE for spot in found) for found in bare])
    return [*precisions, overlap, side, same / max(either, 1.0)], float(false)


def train(file: Path, pictures_file: Path, seed: int) -> torch.nn.Module:
    """Return a network after STEPS_TAKEN steps."""
    torch.manual_seed(seed)
    net = SpotterNet().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer, begin = torch.optim.AdamW(net.parameters(), LR, weight_decay=0.01), 0
    if file.is_file():
        kept = torch.load(file, weights_only=True)
        begin = kept["step"]
        net.load_state_dict(kept["net"])
        optimizer.load_state_dict(kept["optimizer"])
    pictures = rendered(pictures_file) if begin < STEPS_TAKEN else []
    others = [retaken(one, np.random.default_rng((TRAIN_SEED, seed, i))) for i, one in enumerate(pictures)]
    net.train()
    for step in range(begin, STEPS_TAKEN):
        rng = np.random.default_rng((TRAIN_SEED, seed, step))
        batch = [(others if rng.random() < RETAKEN else pictures)[place] for place in rng.integers(0, FRAMES, BATCH)]
        batch = [mirrored(one) if rng.random() < 0.5 else one for one in batch]
        for group in optimizer.param_groups:
            group["lr"] = rate(step, step / STEPS_TAKEN, LR)
        with torch.autocast("cpu", torch.bfloat16):
            said = net(images_of(batch))
        losses = spotting_losses(said, SpotTargets.of(batch))
        losses["size"] = SIZE_WEIGHT * losses["size"]
        optimizer.zero_grad(set_to_none=True)
        torch.stack(list(losses.values())).sum().backward()
        optimizer.step()
        if (step + 1) % KEEP_EVERY == 0 or step + 1 == STEPS_TAKEN:
            state = {"step": step + 1, "net": net.state_dict(), "optimizer": optimizer.state_dict()}
            torch.save(state, file.with_suffix(".partial"))
            file.with_suffix(".partial").rename(file)
    return net


def retaken(seen: SeenPicture, rng: np.random.Generator) -> SeenPicture:
    """Return a picture as another camera shows it: its colours, contrast, blur, smear, corners, noise and JPEG."""
    gain = (1 + rng.normal(0, 0.12, 3)) * np.exp(rng.normal(0, 0.2))
    film = Film(
        gain=(float(gain[0]), float(gain[1]), float(gain[2])), contrast=rng.uniform(0.9, 1.35),
        blur=rng.uniform(0, 1.2), smear=(max(0.0, rng.uniform(-4, 4)), rng.uniform(0, np.pi)),
        vignette=rng.uniform(0, 0.4), noise=rng.uniform(0, 9),
        jpeg=int(rng.integers(25, 90)) if rng.random() < 0.75 else None,
    )  # fmt: skip
    image = seen.image.copy()
    image[ROWS] = develop(film, LIGHT[seen.image[ROWS]], rng)
    return replace(seen, image=image)


def rendered(file: Path) -> list[SeenPicture]:
    """Return the clean pictures to train on; rendered once."""
    if not file.is_file():
        frames = (render_full_frame(TRAIN_SEED, index, plain=True) for index in range(FRAMES))
        seen = [as_seen(f.image, f.boxes_xyxy, f.sides, f.hand) for f in frames]
        arrays = {
            "image": np.stack([one.image for one in seen]), "mask": np.stack([one.mask for one in seen]),
            "boxes": np.concatenate([one.boxes_xyxy for one in seen]),
            "sides": np.concatenate([one.sides for one in seen]),
            "counts": np.array([len(one.sides) for one in seen]),
        }  # fmt: skip
        partial = file.with_suffix(".partial.npz")
        np.savez(partial, **arrays)
        partial.rename(file)
    with np.load(file) as kept:
        boxes, sides, image, mask = iter(kept["boxes"]), iter(kept["sides"]), kept["image"], kept["mask"]
        return [
            SeenPicture(
                image=image[number], mask=mask[number],
                boxes_xyxy=np.array(list(islice(boxes, int(count)))).reshape(-1, 4),
                sides=np.array(list(islice(sides, int(count))), np.int64),
            )
            for number, count in enumerate(kept["counts"])
        ]  # fmt: skip


def mirrored(seen: SeenPicture) -> SeenPicture:
    """Return a picture the other way round: left hands become right ones."""
    boxes = seen.boxes_xyxy.copy()
    boxes[:, [0, 2]] = SIZE[0] - seen.boxes_xyxy[:, [2, 0]]
    image, mask = (np.ascontiguousarray(array[:, ::-1]) for array in (seen.image, seen.mask))
    return SeenPicture(image=image, boxes_xyxy=boxes, sides=LEFT + RIGHT - seen.sides, mask=mask)


def right_about(seen: list[SeenPicture]) -> SpotterPrediction:
    """Return what a network says that is right about everything."""
    wanted = SpotTargets.of(seen)
    logits = torch.logit(wanted.centres_B2HW.clamp(1e-4, 1 - 1e-4))
    return SpotterPrediction(logits, wanted.sizes_BHW[:, None], wanted.offsets_B2HW, wanted.mask_BHW[:, None])


@torch.no_grad()
def picture_ms(net: torch.nn.Module, times: int = 30) -> float:
    """CPU ms of one picture, the median."""
    picture: Any = torch.randn(1, 3, SIZE[1], SIZE[0]).contiguous(memory_format=torch.channels_last)
    net, spent = net.to(memory_format=torch.channels_last), []  # type: ignore[call-overload]
    for _ in range(times):
        begin = time.process_time()
        net(picture)
        spent.append(1000 * (time.process_time() - begin))
    return float(np.median(spent))
