"""Where the 21 keypoints lie on the bones: rotation centres, and the labels each dataset would have put there."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from handdata.skeleton import NUM_KEYPOINTS, ROOT, TIPS, WRIST
from handdata.synth.frame import LabelConvention
from handdata.synth.hand import HandModel, load_hand
from handdata.synth.mesh import Floats

MCPS = (5, 9, 13, 17)  # of the four fingers
PIPS = (6, 10, 14, 18)
THUMB_CMC, THUMB_MCP = 1, 2


@dataclass(frozen=True)
class LabelOffsets:
    """How far labels lie from the rotation centres, as a share of the bone towards the fingertip (tips: backwards).

    The asset's rotation centres are anatomical: MCP inside the knuckle, CMC at the carpus. Whoever clicks on pictures
    puts wrist, CMC and MCP further out and the tip at the pad. Rendered datasets give the points of their own rigs:
    "rigged" follows the bone lengths of the two real samples of RHD at hand, whose knuckles lie further out too.
    """

    wrist: float  # towards the middle knuckle
    thumb_cmc: float
    thumb_mcp: float
    mcp: float
    pip: float
    tip: float


OFFSETS: dict[LabelConvention, LabelOffsets] = {
    "annotated": LabelOffsets(wrist=0.16, thumb_cmc=0.45, thumb_mcp=0.15, mcp=0.12, pip=0.06, tip=0.15),
    "rigged": LabelOffsets(wrist=0.0, thumb_cmc=0.3, thumb_mcp=0.1, mcp=0.15, pip=0.0, tip=0.0),
}


@cache
def keypoint_bones() -> NDArray[np.int64]:
    """Return the (21,) bones the keypoints ride on: MCP on the proximal phalanx, PIP on the middle one, DIP and tip."""
    bone = load_hand().bone
    names = ["wrist", *(f"finger{f}-{min(k, 3)}" for f in range(1, 6) for k in (1, 2, 3, 4))]
    return np.array([bone[name] for name in names])


def rotation_centres(hand: HandModel, joints: Floats) -> Floats:
    """Return the (21, 3) rest positions of the joints' centres and the finger ends."""
    names = ["wrist", *(f"f{f}{k}" for f in range(1, 6) for k in (1, 2, 3, 4))]
    return joints[[hand.joint[name] for name in names]]


def label_points(centres: Floats, convention: LabelConvention) -> Floats:
    """Return the (21, 3) rest positions of the labels, from the rotation centres."""
    offsets = OFFSETS[convention]
    share = np.zeros(NUM_KEYPOINTS)
    towards = np.minimum(np.arange(NUM_KEYPOINTS) + 1, NUM_KEYPOINTS - 1)
    share[WRIST], towards[WRIST] = offsets.wrist, ROOT
    share[THUMB_CMC], share[THUMB_MCP] = offsets.thumb_cmc, offsets.thumb_mcp
    share[list(MCPS)], share[list(PIPS)] = offsets.mcp, offsets.pip
    tips = np.array(TIPS)
    share[tips], towards[tips] = offsets.tip, tips - 1
    return centres + share[:, None] * (centres[towards] - centres)
