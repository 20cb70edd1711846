"""The model families: one module each, and this one table of them. Read without torch.

A family is a network, the names of its losses, how they are summed over a batch, and how its prediction is read. All
else asks the `Family` that its module holds as FAMILY: training, the log, evaluation, `Model`, ONNX and the report.
To add one: its module, its line here, a recipe whose `model.kind` is its key.
"""

from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING

from handdata.errors import ConfigError
from handdata.model.config import ModelConfig

if TYPE_CHECKING:
    from handdata.model.families.family import Family

FAMILIES: dict[str, str] = {  # `model.kind` -> the module of its family
    "direct": "handdata.model.families.heatmaps",
    "latent": "handdata.model.families.heatmaps",
    "tree": "handdata.model.families.heatmaps",
    "two_and_half": "handdata.model.families.two_and_half",
    "lifting": "handdata.model.families.lifting",
    "projection": "handdata.model.families.projection",
    "volume": "handdata.model.families.volume",
    "feedback": "handdata.model.families.feedback",
    "bones": "handdata.model.families.bones",
    "compact": "handdata.model.families.compact",
    "simcc": "handdata.model.families.simcc",
}

SIZES = range(32, 1025, 32)  # px: the coarsest maps of every network are a 32nd of its input
LIMITS = {  # of the other settings; far beyond those of any recipe, and such a network still fits into memory
    "width": (0.01, 4.0),
    "zoom": (0.25, 4.0),
    "lift_width": (0, 4096),
    "logit_offset": (-100.0, 100.0),
}
OF_FAMILIES = {"rotation": ("lifting",), "lift_width": ("compact", "simcc")}  # settings that others do not look at


def family_of(kind: str) -> "Family":
    """Return the family of a `model.kind`; imports torch.

    Raises:
        ConfigError: there is no family of that name.
    """
    check_kind(kind, where="model.kind")
    family: Family = import_module(FAMILIES[kind]).FAMILY
    return family


def check_kind(kind: str, *, where: str) -> None:
    """Refuse a kind that no family has.

    Raises:
        ConfigError: naming the nearest.
    """
    if kind not in FAMILIES:
        near = get_close_matches(kind, FAMILIES, n=1, cutoff=0.0)[0]
        raise ConfigError(
            where,
            expected=f"one of {', '.join(map(repr, FAMILIES))}",
            got=repr(kind),
            fix=f"Did you mean {near}?",
        )


def check_model(model: ModelConfig, *, where: str) -> ModelConfig:
    """Return the settings of a network, or refuse those that none can have.

    Raises:
        ConfigError: names the setting and what it may be.
    """
    check_kind(model.kind, where=f"{where}[model.kind]")
    if model.size not in SIZES:
        expected = f"a multiple of {SIZES.step} px up to {SIZES[-1]}"
        raise ConfigError(f"{where}[model.size]", expected=expected, got=str(model.size))
    for name, (low, high) in LIMITS.items():
        value = getattr(model, name)
        if not low <= value <= high:
            raise ConfigError(f"{where}[model.{name}]", expected=f"a number within {low}..{high}", got=str(value))
    return model
