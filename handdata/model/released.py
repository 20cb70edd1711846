"""The weights that come with the package: one file each, which says all that applying it needs.

A file (see handdata.model.halves) lies in `handdata/model/weights/`; its facts are the model's settings, the recipe and
what was seen. Made by tools/train_release.py from rendered hands alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any

from handdata.errors import ConfigError, DataError, MissingError
from handdata.evaluation.absolute import Size
from handdata.evaluation.seen import damage_told, records_of
from handdata.files.tables import read_tree
from handdata.model.checkpoint import Trained, read, read_size, size_facts, size_noted
from handdata.model.config import ModelConfig
from handdata.model.families import check_model
from handdata.model.halves import ENDING, read_halves, write_halves

FOLDER = resources.files("handdata.model") / "weights"
WHAT = "weights with their settings"


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
        try:
            return read(path)
        except MissingError:  # what `evaluate` left of the package's weights is a folder of that name
            if is_released(path):
                return read_released(path.name)
            raise
    if path.is_file():
        if path.suffix == ".onnx":
            got = "an ONNX file, which `predict`, `label` and `annotate` alone can ask"
            raise DataError(path, expected="a run, a checkpoint or weights", got=got)
        return read_file(path)
    if str(name) in released_names():
        return read_released(str(name))
    own = f", or weights of the package ({', '.join(released_names())})" if released_names() else ""
    raise MissingError(
        name, expected=f"a run or a checkpoint{own}", got="nothing there", fix="`handdata runs` lists the runs."
    )


def is_released(run: Path) -> bool:
    """Tell whether a run of that name is not there, and weights of it come with the package."""
    return not (run / "checkpoints").is_dir() and run.name in released_names()


def hand_size_of(run: Path) -> Size | None:
    """Return the size of the hands that a run, or the weights of its name, were trained on; None where not noted.

    Raises:
        HanddataError: there is neither, or it is damaged.
    """
    return read_released(run.name).size if is_released(run) else read_size(run)


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


def records_behind(start: Path | str) -> list[dict[str, Any]]:
    """Return what the weights of a run, a checkpoint, a file or a name were trained on; see `evaluation.seen`.

    Raises:
        DataError: the record is damaged.
    """
    path = Path(start)
    if path.is_file():
        return _records(path)
    if is_released(path):
        with resources.as_file(FOLDER / f"{path.name}{ENDING}") as file:
            return _records(file)
    return records_of(path)


def _records(path: Path) -> list[dict[str, Any]]:
    with damage_told(path):
        return [dict(facts) for facts in read_halves(path, WHAT)[0].get("trained", [])]


def read_file(path: Path) -> Trained:
    """Read a file of weights that says what it is.

    Raises:
        DataError: it does not, or is damaged.
    """
    facts, weights = read_halves(path, WHAT)
    try:
        model = read_tree(ModelConfig, facts["model"], where=str(path), path="model.")
        return Trained(
            path=path,
            model=check_model(model, where=str(path)),
            weights=weights,
            recipe=facts["recipe"],
            epoch=int(facts["epoch"]),
            turn=bool(facts["turn"]),
            size=size_noted(facts),
        )
    except (KeyError, ValueError, TypeError) as error:
        raise DataError(path, expected=WHAT, got=str(error)) from error


def write_file(
    path: Path, trained: Trained, seen: Mapping[str, Any], records: Sequence[Mapping[str, Any]] = ()
) -> None:
    """Write a network's weights, floats as float16, with its settings, what it has seen, and of which sets.

    Args:
        path: of the file.
        trained: the network.
        seen: samples and so on, in numbers.
        records: of the sets, as `evaluation.seen.records_of` gives them; their folders are left out.
    """
    facts = {
        "model": asdict(trained.model),
        "recipe": trained.recipe,
        "epoch": trained.epoch,
        "turn": trained.turn,
        **size_facts(trained.size),
        "seen": dict(seen),
        "trained": [{**record, "folder": ""} for record in records],
    }
    write_halves(path, trained.weights, facts)
