"""What the box annotator asks: where the weights `compact` see a hand, in a square of a picture or anywhere in it."""

from typing import Any

import numpy as np

from handdata.annotate.guided import NO_HAND, AskHand, SeenHand
from handdata.annotate.tracker import Image
from handdata.boxes import Box
from handdata.pictures.crops import meets_picture
from handdata.shards.hand import Hand


def ask_compact() -> AskHand:
    """Return what asks the weights `compact`, which are loaded when they are first asked."""
    loaded: list[Any] = []

    def ask(image: Image, square: Box | None) -> SeenHand:
        from handdata.model.detector import find_detector  # noqa: PLC0415 - torch is imported when it is first needed
        from handdata.model.model import load_model  # noqa: PLC0415
        from handdata.track.stills import hands_in  # noqa: PLC0415
        from handdata.track.tracker import PROPOSED  # noqa: PLC0415

        if not loaded:
            loaded.extend([load_model("compact", "cpu"), find_detector(least_score=PROPOSED)])
        model, detector = loaded
        rgb = np.ascontiguousarray(image[..., ::-1])
        if square is None:
            hands = hands_in(rgb, model, detector, most_hands=1)
            return _seen(hands[0]) if hands else NO_HAND
        x, y, w, h = square
        edges = np.array([x, y, x + w, y + h])
        if not meets_picture(edges, image.shape[1], image.shape[0]):
            return NO_HAND
        return _seen(model([rgb], [edges], ["auto"])[0])

    return ask


def _seen(hand: Hand) -> SeenHand:
    (left, top), (right, bottom) = hand.keypoints_2d.min(0).tolist(), hand.keypoints_2d.max(0).tolist()
    box = (left, top, max(right - left, 1.0), max(bottom - top, 1.0))
    return SeenHand(box, float(np.nan_to_num(hand.confidence)), hand.side)
