"""The weights that come with the package: one file each, which says all that applying it needs.

A file is safetensors, floats as float16, in `handdata/model/weights/`; its metadata holds the model's settings, the
recipe and what was seen. Made by tools/train_release.py from rendered hands alone.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from handdata.errors import ConfigError, DataError, MissingError
from handdata.files.tables import read_tree
from handdata.files.text import Wanted, parse_json
from handdata.files.whole import write_bytes
from handdata.model.checkpoint import Trained, read
from handdata.model.config import ModelConfig

FOLDER = resources.files("handdata.model") / "weights"
ENDING = ".safetensors"


def released_names() -> list[str]:
    """Return the names of the weights that come with the package."""
    if not FOLDER.is_dir():
        return []
    return sorted(path.name.removesuffix(ENDING) for path in FOLDER.iterdir() if path.name.endswith(ENDING))


def find_trained(name: Path | str) -> Trained:
    """Read what a path or a name means: a run, a checkpoint, a file of weights, or weights that come with the package.

    Raises:
        MissingError: there is nothing of that name.
        DataError: it is damaged.
    """
    path = Path(name)
    if path.is_dir():
        return read(path)
    if path.is_file():
        return read_file(path)
    if str(name) in released_names():
        return read_released(str(name))
    own = f" or one of {', '.join(released_names())}, which come with the package" if released_names() else ""
    raise MissingError(
        name, expected=f"a run or a checkpoint{own}", got="nothing there", fix="`handdata runs` lists the runs."
    )


def read_released(name: str) -> Trained:
    """Read weights that come with the package.

    Raises:
        ConfigError: there are none of that name.
    """
    if name not in released_names():
        known = ", ".join(released_names()) or "none"
        raise ConfigError(name, expected=f"weights that come with the package ({known})", got="no such name")
    with resources.as_file(FOLDER / f"{name}{ENDING}") as path:
        return read_file(path)


def read_file(path: Path) -> Trained:
    """Read a file of weights that says what it is.

    Raises:
        DataError: it does not, or is damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            facts = parse_json((file.metadata() or {})["handdata"], path, Wanted(what="weights with their settings"))
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  # no mapping
        return Trained(
            path=path,
            model=read_tree(ModelConfig, facts["model"], where=str(path), path="model."),
            weights={key: value.float() if value.is_floating_point() else value for key, value in tensors.items()},
            recipe=facts["recipe"],
            epoch=int(facts["epoch"]),
            turn=bool(facts["turn"]),
        )
    except (SafetensorError, KeyError, ValueError, TypeError, OSError) as error:
        raise DataError(path, expected="weights with their settings", got=str(error)) from error


def write_file(path: Path, trained: Trained, seen: Mapping[str, Any]) -> None:
    """Write a network's weights, floats as float16, with its settings and what it has seen."""
    facts = {
        "model": asdict(trained.model),
        "recipe": trained.recipe,
        "epoch": trained.epoch,
        "turn": trained.turn,
        "seen": dict(seen),
    }
    halves = {n: v.half() if v.is_floating_point() else v for n, v in trained.weights.items()}
    write_bytes(path, save({n: v.contiguous() for n, v in halves.items()}, {"handdata": json.dumps(facts)}))
