"""handdata: hand-pose datasets as one schema, and what is needed to train, score and report on them.

    import handdata as hd

    data = hd.open("data/shards/rhd", split="train")       # a Dataset: hands in an order
    left = data.where(side="left", has_object=True)        # some of them
    hand = left[0]                                         # a Hand: picture, 2D, 3D, camera
    hand.draw().save("hand.png")

Names are loaded when they are first used; importing handdata costs next to nothing. docs/python.md shows more.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from handdata.check.overview import datasets
    from handdata.check.verify import verify
    from handdata.conversion.carded import convert
    from handdata.conversion.recut import recut
    from handdata.conversion.write import write_dataset
    from handdata.errors import HanddataError
    from handdata.exchange.export import export
    from handdata.model.model import Model, load_model
    from handdata.pictures.overlay import draw_skeleton as draw
    from handdata.shards.concat import concat
    from handdata.shards.dataset import Dataset
    from handdata.shards.dataset import open_dataset as open  # noqa: A004
    from handdata.shards.hand import Hand
    from handdata.skeleton import BONES, FINGERS, INDEX, KEYPOINTS
    from handdata.train.evaluate import evaluate

# name -> module:attribute
_HOMES = {
    "open": "shards.dataset:open_dataset",
    "concat": "shards.concat:concat",
    "Dataset": "shards.dataset:Dataset",
    "Hand": "shards.hand:Hand",
    "recut": "conversion.recut:recut",
    "write_dataset": "conversion.write:write_dataset",
    "convert": "conversion.carded:convert",
    "export": "exchange.export:export",
    "load_model": "model.model:load_model",
    "Model": "model.model:Model",
    "evaluate": "train.evaluate:evaluate",
    "verify": "check.verify:verify",
    "datasets": "check.overview:datasets",
    "draw": "pictures.overlay:draw_skeleton",
    "KEYPOINTS": "skeleton:KEYPOINTS",
    "INDEX": "skeleton:INDEX",
    "BONES": "skeleton:BONES",
    "FINGERS": "skeleton:FINGERS",
    "HanddataError": "errors:HanddataError",
}
__all__ = [
    "BONES",
    "FINGERS",
    "INDEX",
    "KEYPOINTS",
    "Dataset",
    "Hand",
    "HanddataError",
    "Model",
    "__version__",
    "concat",
    "convert",
    "datasets",
    "draw",
    "evaluate",
    "export",
    "load_model",
    "open",
    "recut",
    "verify",
    "write_dataset",
]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'handdata' has no attribute {name!r}")
    module, _, attribute = _HOMES[name].partition(":")
    value = getattr(importlib.import_module(f"handdata.{module}"), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
