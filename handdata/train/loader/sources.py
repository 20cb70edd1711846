"""Which samples a training fits and which it validates on: shard folders and a recipe -> two mixtures.

Everything a validation sees lies in another split, or in other sequences, than what is trained on.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from handdata import manifest
from handdata.errors import ConfigError, MissingError
from handdata.files.opening import matching
from handdata.paths import BACKGROUNDS, DataRoot
from handdata.progress import say
from handdata.shards.dataset import Dataset, open_dataset
from handdata.shards.index import has_index, nearest
from handdata.shards.reader import INDEX
from handdata.train.config import Config, DataConfig
from handdata.train.loader.loaders import Mixture, open_mixture
from handdata.train.loader.mixture import check_apart, names_of
from handdata.train.loader.proportions import absent_members, half_for, mix_weights, slot_map

Rows = NDArray[np.int64]


def shard_folders(given: Sequence[Path], data_root: DataRoot) -> list[Path]:
    """Return the shard folders of a training: those given, else every complete one under the data root.

    A folder of shard folders stands for what is in it, pools of backgrounds left out.

    Raises:
        MissingError: no converted dataset is there.
        DataError: one of them may not be looked into.
        ConfigError: one that was given is a pool of backgrounds.
    """
    if not given:
        complete = [path for path in data_root.all_shards() if has_index(path)]
        found = [path for path in complete if not _is_pool(path)]
        if not found:
            raise MissingError(
                data_root.root / "data" / "shards",
                expected="converted datasets",
                got="none",
                fix="Run `handdata convert NAME`, or `handdata synth NAME` first where there is no archive.",
            )
        return found
    folders: list[Path] = []
    for path in given:
        if has_index(path):
            if _is_pool(path):
                fix = f"Name it as --set data.backgrounds={path} to put it behind hands."
                raise ConfigError("--shards", expected="shards of hands", got=f"backgrounds in {path}", fix=fix)
            folders.append(path)
            continue
        inside = sorted(child.parent for child in matching(path, f"*/{INDEX}"))
        hands = [folder for folder in inside if not _is_pool(folder)]
        if not hands:
            got = "none" if not inside else "backgrounds alone"
            fix = ("" if path.is_dir() else nearest(path)) + "Run `handdata convert` first."
            raise MissingError(path, expected="a folder of shards with its index.json", got=got, fix=fix)
        folders += hands
    return folders


def _is_pool(folder: Path) -> bool:
    return open_dataset(folder).name == BACKGROUNDS


def open_sources(folders: Sequence[Path], config: Config) -> tuple[Mixture, Mixture | None]:
    """Open what is trained on and what is validated on; the second is None where there is nothing.

    Raises:
        MissingError: a dataset of the recipe is not among the folders, or nothing has a training split.
        ConfigError: the mix does not fit the datasets, or a validation sequence is unknown, or they all validate.
    """
    chosen = choose(folders, config)
    data = config.data
    if data.val_sequences:
        wholes = [open_dataset(folder) for folder in chosen]
        check_apart(wholes)
        held = [np.isin(whole["sequence"], data.val_sequences) for whole in wholes]
        _check_sequences(wholes, data.val_sequences)
        train = [whole[~out] for whole, out in zip(wholes, held, strict=True) if not out.all()]
        named = zip(wholes, held, names_of(wholes), strict=True)
        val = [whole[out] for whole, out, name in named if name not in config.adapt.target]
        if not train:
            raise ConfigError("data.val_sequences", expected="sequences left to train on", got="all of them")
        mix = _adapted(_mix(data, train), train, config.adapt.target)
        weights = mix_weights(mix, names_of(train))
        slots = slot_map([len(part) for part in train], weights)
        return Mixture(train, slots), _spread(val, config)
    with_train = [folder for folder in chosen if _has(folder, "train")]
    left_out = [folder.name for folder in chosen if folder not in with_train]
    if left_out:
        say(f"left out, no training split: {', '.join(left_out)}")
    if not with_train:
        raise MissingError(
            "shards", expected="a training split", got="none", fix="Convert another dataset, or name val_sequences."
        )
    learnt = [open_dataset(folder) for folder in with_train]
    names, mix = names_of(learnt), _mix(data, learnt)
    absent = absent_members(mix, names)
    if absent:
        say(f"mix {data.mix}: without {', '.join(absent)}, of which there are no shards; the others keep their weights")
    kept = [folder for folder, name in zip(with_train, names, strict=True) if name not in config.adapt.target]
    val = [open_dataset(folder, "val") for folder in kept if _has(folder, "val")]  # a target has no labels
    if config.adapt.target:
        mix = _adapted(mix, [open_dataset(folder, "train") for folder in with_train], config.adapt.target)
    return open_mixture(with_train, "train", mix), _spread(val, config)


def choose(folders: Sequence[Path], config: Config) -> list[Path]:
    """Return the folders of the recipe's datasets, in its order; all of them where it names none.

    Raises:
        MissingError: one is not there.
    """
    if not config.data.datasets:
        return list(folders)
    opened = [open_dataset(folder) for folder in folders]
    names = names_of(opened)
    by_name = {folder.name: folder for folder in folders} | dict(zip(names, folders, strict=True))
    missing = [name for name in config.data.datasets if name not in by_name]
    if missing:
        several = [name for name, data in zip(names, opened, strict=True) if data.name == missing[0]]
        fix = "Name others: --shards, --mix."
        if several:
            fix = f"Several hold {missing[0]}; they go by their folders: {', '.join(several)}."
        elif missing[0] in manifest.names():
            fix = f"Run `handdata convert {missing[0]}`, or choose another --recipe."
        raise MissingError(
            f"recipe {config.name}",
            expected=f"shards of {', '.join(config.data.datasets)}",
            got=f"no {', '.join(missing)} among {', '.join(sorted(names))}",
            fix=fix,
        )
    return [by_name[name] for name in config.data.datasets]


def spread_rows(counts: Sequence[int], limit: int) -> list[Rows]:
    """Choose `limit` rows in all, evenly spaced through every dataset; all where there are no more."""
    total = sum(counts)
    if not limit or limit >= total:
        return [np.arange(count) for count in counts]
    shares = [max(1, count * limit // total) for count in counts]
    return [np.arange(share) * count // share for share, count in zip(shares, counts, strict=True)]


def _spread(parts: Sequence[Dataset], config: Config) -> Mixture | None:
    used = [part for part in parts if len(part)]
    if not used:
        return None
    rows = spread_rows([len(part) for part in used], config.loop.val_batches * config.data.batch)
    thinned = [part.take(chosen) for part, chosen in zip(used, rows, strict=True)]
    return Mixture(thinned, slot_map([len(part) for part in thinned]))


def _mix(data: DataConfig, parts: Sequence[Dataset]) -> str | dict[str, float] | None:
    """Return the mix; its weights by `names_of`, also those that were given by the names of folders."""
    called = {part.folder.name: name for part, name in zip(parts, names_of(parts), strict=True)}
    names = set(called.values())
    weights = {name if name in names else called.get(name, name): weight for name, weight in data.weights.items()}
    return weights or data.mix or None


def _adapted(
    mix: str | Mapping[str, float] | None, parts: Sequence[Dataset], target: Sequence[str]
) -> str | Mapping[str, float] | None:
    """Return a mix of which half is the target domain; the mix itself where there is none."""
    if not target:
        return mix
    names = names_of(parts)
    weights = mix_weights(mix, names) or [float(len(part)) for part in parts]
    return half_for(target, dict(zip(names, weights, strict=True)))


def _has(folder: Path, split: str) -> bool:
    return any(entry["split"] == split for entry in open_dataset(folder).index["shards"])


def _check_sequences(wholes: Sequence[Dataset], wanted: Sequence[str]) -> None:
    known = sorted({name for whole in wholes for name in whole.codes("sequence")[1]})
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise ConfigError("data.val_sequences", expected=f"some of {', '.join(known)}", got=", ".join(unknown))
