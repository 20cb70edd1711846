"""A made world for the tracker: hands whose places are known, a detector that finds them, a model that sees them."""

from dataclasses import dataclass, field

import numpy as np

from handdata.model.spots import Spot
from handdata.shards.hand import Hand

WIDTH, HEIGHT = 320, 240
SHAPE = np.random.default_rng(3).uniform(-20, 20, (21, 2))
TEXTURE = np.random.default_rng(4).integers(0, 256, (48, 48, 3), np.uint8)


@dataclass
class World:
    """Hands that move, a detector that finds all of them, a model that sees what is well inside its box."""

    middles: dict[str, np.ndarray] = field(default_factory=dict)
    blind: bool = False
    asked: int = 0

    def picture(self):
        image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
        for x, y in self.middles.values():
            left, top = round(x) - 24, round(y) - 24
            x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + 48, WIDTH), min(top + 48, HEIGHT)
            if x1 > x0 and y1 > y0:
                image[y0:y1, x0:x1] = TEXTURE[y0 - top : y1 - top, x0 - left : x1 - left]
        return image

    def box(self, side):
        uv = self.middles[side] + SHAPE
        low, high = uv.min(0), uv.max(0)
        half = 1.25 * (high - low).max() / 2
        return np.concatenate([(low + high) / 2 - half, (low + high) / 2 + half])

    def detect(self, _):
        self.asked += 1
        return [Spot(self.box(side), 0.9, side) for side in self.middles]

    def pose(self, image, boxes, sides):
        return [self._answer(image, box, side) for box, side in zip(boxes, sides, strict=True)]

    def _answer(self, image, box, side):
        inside = {
            own: ((middle + SHAPE > box[:2]) & (middle + SHAPE < box[2:])).all(-1).mean()
            for own, middle in self.middles.items()
        }
        best = max(inside, key=inside.get, default="left")
        sees = bool(inside) and inside[best] >= 0.95 and not self.blind
        uv = self.middles[best] + SHAPE if sees else box[:2] + (box[2:] - box[:2]) * np.full((21, 2), 0.5)
        return Hand(
            image=image,
            side=best if side == "auto" else side,
            keypoints_2d=uv,
            keypoints_3d_normalized=np.zeros((21, 3)),
            crop_box=box,
            peaks=np.full(21, 0.8 if sees else 0.05),
            presence=1.0,
        )
