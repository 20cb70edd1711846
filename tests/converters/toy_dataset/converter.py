"""Toy hands: one sequence, one camera.

Native layout:
    toy/<i>.png, toy/<i>.txt    63 numbers, m, in our order of keypoints
"""

from dataclasses import dataclass
from pathlib import Path

from handdata.converters.options import Options, option
from handdata.converters.protocol import Item, Plan, Reader
from handdata.converters.read.layout import locate, numbered, read_numbers
from handdata.geometry import project
from handdata.manifest import Manifest
from handdata.pictures.decode import read_image
from handdata.shards.schema import Sample
from handdata.skeleton import LEFT

CANVAS_SCALE = 1.5
CROP_RULE = "a square round the keypoints"


@dataclass(frozen=True, kw_only=True)
class ToyOptions(Options):
    every: int = option(1, "Keep each n-th picture.", within=(1, 100))


OPTIONS = ToyOptions


def plan(root: Path, manifest: Manifest, options: ToyOptions) -> Plan:
    root = locate(root, manifest)
    found = numbered(root / "toy", r"(\d+)\.png")[:: options.every]
    items = tuple(Item(f"toy/{i:04d}", "test", "toy", "color", i, f"toy/{path.name}") for i, path in found)
    return Plan(root=root, items=items, labels_of=lambda item: (item.image.replace(".png", ".txt"),))


def reader(root: Path, manifest: Manifest, options: ToyOptions) -> Reader:
    K = manifest.cameras["color"].K

    def read(item: Item) -> Sample:
        xyz = read_numbers(root / item.image.replace(".png", ".txt"), 63).reshape(21, 3) * manifest.mm_per_unit
        image = read_image(root / item.image)
        return Sample(id=item.id, image=image, hand_side=LEFT, keypoints_2d=project(xyz, K), keypoints_3d=xyz, K=K)

    return read
