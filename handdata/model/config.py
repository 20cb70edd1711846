"""What makes a network and its losses: settings that a checkpoint carries. Read without torch."""

from dataclasses import dataclass, field
from typing import Literal

from handdata.model.kinds import Init

Loss2D = Literal["iou", "iou_and_expectation", "l2", "coordinates"]
Loss3D = Literal["mse", "bone_pairs", "none"]
Over = Literal["present", "all"]
Rotation = Literal["svd", "6d"]
Precision = Literal["fp32", "bf16", "fp16"]
LAST, BEST = "last", "best"  # checkpoints of a run


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The network; see the module of its family in families/."""

    kind: str = "direct"  # a key of families.FAMILIES
    size: int = 128  # px, side of the input
    width: float = 1.0  # channels relative to the published network
    decoder_init: Init = "default"
    logit_offset: float = 0.0
    zoom: float = 1.0  # how much closer than the crop the network looks, about its middle
    rotation: Rotation = "svd"  # lifting: from nine numbers the nearest one, or from two vectors
    lift_width: int = 0  # compact: of the layers that make the 3D from the 2D too; 0 leaves them out


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """The losses and their weights; the first six are those of Models 1 to 3, see losses.py."""

    loss_2d: Loss2D = "iou"
    loss_3d: Loss3D = "mse"
    weight_2d: float = 1.0
    weight_3d: float = 1.0
    over: Over = "present"  # "all" divides heatmap losses by 21 whatever is present, L4
    warm_epochs: int = 0  # epochs that use `l2` heatmaps before `iou`: past the plateau of L18
    weights: dict[str, float] = field(default_factory=dict)  # by term of the family, instead of its own
