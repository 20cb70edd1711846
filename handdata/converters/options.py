"""Options of a conversion: those every converter has, and how a converter declares its own. No command line.

A converter declares its options as fields of a frozen dataclass that extends `Options`; each made with `option` carries
its help text and what it may be, from which the command line builds the flag, the help and the checks.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_type_hints

_DECLARED = "declared"


@dataclass(frozen=True, slots=True)
class Declared:
    """One option as a converter declares it.

    Attributes:
        name: of the field; the flag is `--name` with hyphens.
        kind: bool, int, str or Path.
        default: its value where nothing is asked for.
        help: begins with a verb or a noun.
        choices: what text may be; empty allows any.
        within: smallest and largest number.
        is_folder_too: whether a path may name a folder.
        is_several: whether it may be given more than once; then its value is a tuple.
    """

    name: str
    kind: type
    default: Any
    help: str
    choices: tuple[str, ...] = ()
    within: tuple[int, int] | None = None
    is_folder_too: bool = False
    is_several: bool = False

    @property
    def flag(self) -> str:
        """As typed on the command line."""
        return "--" + self.name.replace("_", "-")


def option(
    default: Any,
    text: str,
    *,
    choices: Sequence[str] = (),
    within: tuple[int, int] | None = None,
    is_folder_too: bool = False,
) -> Any:
    """Declare an option of a converter; see `Declared`.

    Returns:
        A dataclass field.
    """
    facts = {"help": text, "choices": tuple(choices), "within": within, "is_folder_too": is_folder_too}
    return field(default=default, metadata={_DECLARED: facts})


@dataclass(frozen=True, kw_only=True)
class Options:
    """What every conversion can be asked. A converter offers boxes and segmentation by declaring them again.

    Attributes:
        sequences: names to keep; empty keeps all.
        split_scheme: "default" (leak-free), or "reference" (published) where the dataset has such splits.
        boxes: file or folder of hand boxes; None looks in the default folder given by `boxes_default`.
        boxes_default: data/boxes/<dataset>, used if it exists; where it lies is not recorded.
        with_segmentation: keep the full `mask`.
        corrections: file of labels that a person mended, laid over the archive's own.
    """

    sequences: tuple[str, ...] = ()
    split_scheme: str = option("default", "Split: leak-free, or as published.", choices=("default", "reference"))
    boxes: Path | None = None
    boxes_default: Path | None = None
    with_segmentation: bool = False
    corrections: Path | None = option(None, "Labels mended by a person: a file of corrections, docs/custom.md.")


def boxes_option() -> Any:
    """Offer boxes that a person or a tracker made, which then decide the crop."""
    return option(None, "Hand boxes: a CSV or a folder of them [default: data/boxes/DATASET]", is_folder_too=True)


def with_segmentation_option() -> Any:
    """Offer to keep the segmentation."""
    return option(default=False, text="Keep the full mask: hand, object, background.")


def declared(kind: type[Options]) -> list[Declared]:
    """Return the options that a converter's class declares, its own and those of every converter."""
    hints = get_type_hints(kind)
    return [
        Declared(
            name=f.name,
            kind=_plain(hints[f.name]),
            default=f.default,
            is_several=hints[f.name] == tuple[Path, ...],
            **f.metadata[_DECLARED],
        )
        for f in fields(kind)
        if _DECLARED in f.metadata
    ]


def _plain(hint: Any) -> type:
    return Path if hint in (Path | None, tuple[Path, ...]) else hint
