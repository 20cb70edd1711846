"""Native layouts to samples: one module per dataset, found by its name."""

from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from handdata.converters.protocol import Converter

DATASETS = (  # published; a line per dataset
    "stereo",
    "dexter",
    "dexter1",
    "egodexter",
    "synthhands",
    "rhd",
    "ganerated",
    "freihand",
    "interhand",
    "wholebody",
    "dexycb",
    "ho3d",
)
OWN = ("custom", "backgrounds")  # pictures nobody published as a dataset of hands


class _Module:
    """The module of one converter, imported when something of it is first used: naming datasets costs nothing."""

    def __init__(self, name: str) -> None:
        self._name = f"{__name__}.{name}"

    def __getattr__(self, attribute: str) -> Any:
        return getattr(import_module(self._name), attribute)


CONVERTERS: "dict[str, Converter]" = {name: cast("Converter", _Module(name)) for name in (*DATASETS, *OWN)}
