"""Background pictures: any folder of photographs, with its subfolders, becomes tiles to put behind a hand.

Native layout:
    <anything>/<any name>.jpg | .jpeg | .png | .bmp

A tile is the centred square of a picture, at most 720 px wide, so that a 128 px window of a 192 px tile shows 480 px
of a large picture, as in the thesis (docs/method.md 3.1). A tile is stored as a sample without a single keypoint.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from handdata.converters.options import Options
from handdata.converters.protocol import Item, Plan, Reader
from handdata.converters.read.naming import ascii_id
from handdata.converters.read.packaging import is_litter
from handdata.errors import MissingError
from handdata.files.opening import matching
from handdata.manifest import Manifest
from handdata.pictures.crops import centered_square
from handdata.pictures.decode import read_image
from handdata.pictures.kinds import SUFFIXES
from handdata.shards.schema import Sample
from handdata.skeleton import LEFT, NUM_KEYPOINTS

CANVAS_SCALE = 1.0
CROP_RULE = "the centred largest square, at most 720 px"
OTHER_SUFFIXES = (".tif", ".tiff", ".gif", ".avif", ".heic", ".jp2")  # pictures too, which are not read
MAX_SQUARE_PX = 720  # 480 px of the thesis' crop on 128 of 192 canvas pixels
OPTIONS = Options


def plan(root: Path, manifest: Manifest, options: Options) -> Plan:  # noqa: ARG001 - nothing to choose
    """List the pictures by the published split: sorted, shuffled with seed 42, then 2000, 2000 and the rest."""
    files = (p.relative_to(root) for p in matching(root, "**/*") if p.suffix.lower() in (*SUFFIXES, *OTHER_SUFFIXES))
    found = sorted(p.as_posix() for p in files if not any(map(is_litter, p.parts)) and (root / p).is_file())
    names = [name for name in found if name.lower().endswith(SUFFIXES)]
    if not names:
        got = "none" if root.is_dir() else "no such folder"
        raise MissingError(root, expected="background pictures", got=got, fix="Unpack ADE20K, or any photos, there.")
    split_of = split_pictures(len(names), **manifest.extra["split"])
    items = tuple(
        Item(id=ascii_id(name), split=str(split), sequence="", camera="", frame=number, image=name)
        for number, (name, split) in enumerate(zip(names, split_of, strict=True))
    )
    other = len(found) - len(names)
    warnings = (f"left out: {other} pictures of kinds that are not read ({', '.join(OTHER_SUFFIXES)})",)
    return Plan(root=root, items=items, warnings=warnings if other else ())


def split_pictures(count: int, *, seed: int, held: int, share: int) -> NDArray[np.str_]:
    """Give each of `count` sorted pictures its split, (count,) "train", "val" or "test" (docs/method.md 2.1).

    Args:
        count: pictures.
        seed: of the published, legacy shuffle.
        held: pictures of validation and as many of testing.
        share: with fewer than three times `held`, each gets one in `share` (at least one of three pictures).
    """
    order = np.random.RandomState(seed).permutation(count)
    if count < 3 * held:
        held = max(count // share, int(count >= 3))
    split = np.full(count, "train", "U5")
    split[order[:held]] = "val"
    split[order[held : 2 * held]] = "test"
    return split


def reader(root: Path, manifest: Manifest, options: Options) -> Reader:  # noqa: ARG001
    """Return a reader of tiles."""

    def read(item: Item) -> Sample:
        image = read_image(root / item.image)
        height, width = image.shape[:2]
        square = centered_square(width, height)
        excess = max(0.0, square[2] - square[0] - MAX_SQUARE_PX) / 2
        return Sample(
            id=item.id,
            image=image,
            hand_side=LEFT,
            keypoints_2d=np.full((NUM_KEYPOINTS, 2), np.nan),
            keypoints_3d=np.full((NUM_KEYPOINTS, 3), np.nan),
            crop_xyxy=square + np.array([excess, excess, -excess, -excess]),
        )

    return read
