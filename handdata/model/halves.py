"""Files of tensors as float16 with what is to be known of them, which notice each changed byte of their own.

A file is safetensors with one entry of metadata, JSON: the facts, and under "sha256" the hash of the whole file with
64 zeros in the hash's place. Files written before there was a hash keep their facts under another name and are read.
"""

import hashlib
import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from handdata.errors import DataError
from handdata.files.opening import require_readable
from handdata.files.text import LARGE, Wanted, parse_json, read_bytes
from handdata.files.whole import write_bytes

ENDING = ".safetensors"
_SEALED, _UNSEALED = "handdata/2", "handdata"
_HASH = "sha256"
_ZEROS = "0" * 64
_FACTS = Wanted(what="weights with their settings", largest=LARGE)


def write_halves(path: Path, weights: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write tensors, floats as float16, with what is to be known of them and the file's hash."""
    halves = {n: v.half() if v.is_floating_point() else v for n, v in weights.items()}
    told = {_SEALED: json.dumps({**facts, _HASH: _ZEROS})}
    data = save({n: v.contiguous() for n, v in halves.items()}, told)
    own = hashlib.sha256(data).hexdigest()
    write_bytes(path, data.replace(_ZEROS.encode(), own.encode(), 1))


def read_halves(path: Path, what: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read a file's facts and tensors, floats as float32.

    Args:
        path: of the file.
        what: the tensors are, a noun for errors.

    Raises:
        DataError: it is another file, or damaged, or a number in it is not finite.
    """
    require_readable(path, what)
    try:
        with safe_open(path, framework="pt") as file:
            facts = _facts(path, file.metadata() or {}, what)
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  # no mapping
    except (SafetensorError, OSError, ValueError) as error:
        raise DataError(path, expected=what, got=str(error)) from error
    check_finite(tensors, path, what)
    return facts, {key: value.float() if value.is_floating_point() else value for key, value in tensors.items()}


def check_finite(tensors: Mapping[str, Tensor], path: Path, what: str) -> None:
    """Refuse tensors with which a network would answer NaN.

    Raises:
        DataError: names the first.
    """
    for name, value in tensors.items():
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise DataError(path, expected=f"{what}, of finite numbers", got=f"others in {name}")


def is_sealed(path: Path) -> bool:
    """Tell whether a file that can be read has a hash."""
    with safe_open(path, framework="pt") as file:
        return _SEALED in (file.metadata() or {})


def shipped_weights() -> str:
    """Read each file of weights that comes with the package; return their names, and which have no hash.

    Raises:
        DataError: one is damaged.
    """
    told = []
    for folder in ("detector_weights", "weights"):
        with resources.as_file(resources.files("handdata.model") / folder) as there:
            for path in sorted(there.glob(f"*{ENDING}")):
                read_halves(path, "weights of the package")
                told.append(path.stem + ("" if is_sealed(path) else " (without a hash)"))
    return ", ".join(told)


def _facts(path: Path, metadata: Mapping[str, str], what: str) -> dict[str, Any]:
    """Return the facts of a file that is what was written."""
    if set(metadata) not in ({_SEALED}, {_UNSEALED}):
        raise DataError(path, expected=what, got="a file that says nothing of itself")
    facts = parse_json(next(iter(metadata.values())), path, _FACTS)
    if not isinstance(facts, dict):
        raise DataError(path, expected=what, got="other facts")
    if _SEALED not in metadata:
        return facts
    told = str(facts.pop(_HASH, ""))
    data = read_bytes(path, _FACTS)
    if len(told) != len(_ZEROS) or hashlib.sha256(data.replace(told.encode(), _ZEROS.encode(), 1)).hexdigest() != told:
        got = "other bytes than were written: the file is damaged"
        raise DataError(path, expected=what, got=got, fix="Install the package again, or fetch the file again.")
    return facts
