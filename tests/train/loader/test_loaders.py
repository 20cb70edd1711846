"""Loaders: the same batches whatever reads them, every sample once where that is promised, nothing overwritten."""

import gc
import os
import pickle
import resource
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch

import handdata as hd
from handdata.check.stats import collect
from handdata.errors import ConfigError, DataError, HanddataError, MissingError
from handdata.shards.dataset import open_dataset
from handdata.shards.reader import write_index
from handdata.shards.schema import VERSION
from handdata.train.loader.loaders import EvalLoader, Loader, open_mixture
from tests.train.made_shards import made_hand, write_dataset

CANVAS = 32


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("shards")
    return [
        write_dataset(root / "synthhands", "synthhands", (9, 14, 1), canvas=CANVAS, foreground=True),
        write_dataset(root / "ganerated", "ganerated", (20,), canvas=CANVAS, seed=1),
    ]


@pytest.fixture(scope="module")
def mixture(folders):
    return open_mixture(folders, "train", "B")


def snapshot(batch):
    """Everything a batch holds, in a form that compares."""
    labels = {name: array.tobytes() for name, array in batch.labels.items()}
    masked = None if batch.foreground is None else batch.foreground.cpu().numpy()[batch.has_foreground].tobytes()
    where = [array.tolist() for array in (batch.dataset, batch.sample, batch.position, batch.has_foreground)]
    return batch.canvases.cpu().numpy().tobytes(), masked, labels, where, batch.epoch


def epoch_of(mixture, epoch=0, *, start=0, batches=5, batch_size=8, **options):
    with Loader(mixture, batch_size, seed=3, **options) as loader:
        return [snapshot(batch) for batch in loader.epoch(epoch, start_batch=start, batches=batches)]


def test_a_batch_holds_what_the_shards_hold(folders, mixture):
    readers = [open_dataset(folder, "train") for folder in folders]
    with Loader(mixture, 16, threads=0) as loader:
        batch = next(loader.epoch(0))

    assert batch.canvases.shape == (16, CANVAS, CANVAS, 3)
    assert batch.has_foreground.tolist() == [d == 0 for d in batch.dataset]
    for i, (d, sample) in enumerate(zip(batch.dataset, batch.sample, strict=True)):
        (shard,), (row,) = readers[d].locate(np.array([sample]))
        reader = readers[d].shards.reader(int(shard))
        assert np.array_equal(batch.canvases[i].numpy(), reader.images[row])
        for name, array in batch.labels.items():
            assert np.array_equal(array[i], reader[name][row], equal_nan=True), name
        if reader.foreground is not None:
            assert np.array_equal(batch.foreground[i].numpy(), reader.foreground[row])


@pytest.mark.parametrize("cache", ["none", "device"])
def test_one_dataset_with_masks_in_some_shards(tmp_path, cache):
    hands = [replace(made_hand(i, foreground=i > 3), id=f"made/{i}") for i in range(8)]
    for number in range(2):
        hd.write_dataset(tmp_path / f"{number}", hands[4 * number :][:4], name=f"part{number}", canvas=CANVAS)
    data = hd.recut(hd.concat(hd.open(tmp_path / "0"), hd.open(tmp_path / "1")), tmp_path / "both", name="both")

    with Loader(open_mixture([data.folder], None), 8, cache=cache) as loader:
        batch = next(loader.epoch(0))

    assert sorted(batch.has_foreground.tolist()) == [False] * 4 + [True] * 4
    for bits, has, sample in zip(batch.foreground.numpy(), batch.has_foreground, batch.sample.tolist(), strict=True):
        hand = data[sample]
        assert has == (hand.foreground is not None)
        if has:
            assert np.array_equal(np.unpackbits(bits, axis=-1).astype(bool), hand.foreground)


@pytest.mark.parametrize("threads", [1, 4])
def test_threads_do_not_change_the_batches(mixture, threads):
    assert epoch_of(mixture, threads=threads) == epoch_of(mixture, threads=0)


def test_the_cache_does_not_change_the_batches(mixture):
    assert epoch_of(mixture, cache="device") == epoch_of(mixture, threads=0)


def test_resuming_goes_on_exactly_also_in_the_middle_of_a_chunk(mixture):
    whole = epoch_of(mixture, batches=100)

    assert epoch_of(mixture, start=3, batches=5) == whole[3:5]
    assert epoch_of(mixture, start=62, batches=66) == whole[62:66]


@pytest.mark.parametrize("world_size", [2, 4])
def test_processes_share_the_same_global_batches(mixture, world_size):
    alone = epoch_of(mixture, batches=4)
    parts = [epoch_of(mixture, batches=4, rank=rank, world_size=world_size) for rank in range(world_size)]

    for step, (pixels, _, _, where, _) in enumerate(alone):
        assert b"".join(part[step][0] for part in parts) == pixels
        shares = zip(*(part[step][3] for part in parts), strict=True)
        assert [list(chain.from_iterable(share)) for share in shares] == where


def test_epochs_and_seeds_differ(mixture):
    first = epoch_of(mixture, epoch=0)

    assert not {pixels for pixels, *_ in first} & {pixels for pixels, *_ in epoch_of(mixture, epoch=1)}
    with Loader(mixture, 8, seed=4) as loader:
        assert [snapshot(b) for b in loader.epoch(0, batches=5)] != first


def test_a_pass_over_mix_a_sees_every_sample_once(folders):
    mixture = open_mixture(folders, "train", "A")
    with Loader(mixture, 4) as loader:
        assert len(loader) == 44 // 4
        seen = [pair for b in loader.epoch(0) for pair in zip(b.dataset.tolist(), b.sample.tolist(), strict=True)]

    assert sorted(seen) == [(0, i) for i in range(24)] + [(1, i) for i in range(20)]


@pytest.mark.parametrize(("start", "world_size"), [(0, 1), (7, 2)])
def test_the_realised_mix_is_what_all_processes_together_deliver_also_when_one_goes_on(mixture, start, world_size):
    counts = np.zeros(2)
    for first, last, processes in ((0, start, 1), (start, 20, world_size)):
        for rank in range(processes):
            with Loader(mixture, 8, seed=5, rank=rank, world_size=processes, threads=0) as loader:
                for batch in loader.epoch(3, start_batch=first, batches=last):
                    counts += np.bincount(batch.dataset, minlength=2)
                mix = loader.realized_mix(3, batches=20)

    assert counts.sum() == 20 * 8
    assert mix == {"synthhands": counts[0] / 160, "ganerated": counts[1] / 160}


def test_the_realised_mix_of_a_whole_pass_is_the_wish(mixture):
    with Loader(mixture, 60) as loader:
        assert loader.realized_mix(0, batches=1) == pytest.approx({"synthhands": 2 / 3, "ganerated": 1 / 3}, abs=1e-9)


def test_a_batch_that_is_kept_is_not_written_over(mixture):
    with Loader(mixture, 8, threads=2, prefetch=1) as loader:
        kept = [batch.canvases[2:4] for batch in loader.epoch(0, batches=40)]
        gc.collect()
        again = [batch.canvases[2:4].clone() for batch in loader.epoch(0, batches=40)]

    assert all(torch.equal(a, b) for a, b in zip(kept, again, strict=True))


def test_buffers_are_used_again(mixture):
    with Loader(mixture, 8, threads=2, prefetch=2) as loader:
        for _ in loader.epoch(0, batches=60):
            pass
        assert loader._feeder._source.ring.made <= 6  # ahead, in work, in the caller's hand


def test_leaving_an_epoch_early_leaves_the_loader_usable(mixture):
    with Loader(mixture, 8, seed=3, threads=2) as loader:
        running = loader.epoch(0, batches=50)
        next(running)
        running.close()

        assert snapshot(next(loader.epoch(0))) == epoch_of(mixture, batches=1)[0]


def test_evaluation_sees_every_sample_once_in_order(mixture):
    with EvalLoader(mixture, 10) as loader:
        batches = list(loader)

    assert [len(batch) for batch in batches] == [10, 10, 10, 10, 4]
    assert np.concatenate([batch.position for batch in batches]).tolist() == list(range(44))
    assert np.concatenate([batch.dataset for batch in batches]).tolist() == [0] * 24 + [1] * 20
    assert np.concatenate([batch.sample for batch in batches]).tolist() == [*range(24), *range(20)]


def test_evaluation_is_shared_without_loss(mixture):
    seen = []
    for rank in range(3):
        with EvalLoader(mixture, 8, rank=rank, world_size=3, limit=41) as loader:
            batches = list(loader)
            assert len(batches) == len(loader)
            seen += [int(i) for batch in batches for i in batch.position]

    assert sorted(seen) == list(range(41))


def test_sample_ids_name_the_dataset(mixture):
    ids = mixture.sample_ids(np.array([0, 1]), np.array([23, 5]))

    assert ids == ["synthhands/made/00023", "ganerated/made/00005"]


IN_A_FORK = """
import os, sys, warnings
from pathlib import Path
from handdata.train.loader.loaders import Loader, open_mixture

warnings.simplefilter("ignore")  # Python 3.12 and later say that threads exist
loader = Loader(open_mixture([Path(sys.argv[1])], "train"), 4, threads=int(sys.argv[2]))
expected = next(loader.epoch(0)).sample.tolist()
child = os.fork()
try:
    same = next(loader.epoch(0)).sample.tolist() == expected
except RuntimeError as error:
    same = str(error)
if child:
    os.waitpid(child, 0)
else:
    print(same, flush=True)
os._exit(0)
"""


@pytest.mark.parametrize(
    ("threads", "said"), [(0, "True"), (2, "a loader with threads works in the process that made it, not in a fork")]
)
def test_a_loader_in_a_fork_works_without_threads_and_does_not_wait_for_ever_with_them(folders, threads, said):
    command = [sys.executable, "-c", IN_A_FORK, folders[1], str(threads)]
    run = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)

    assert run.stdout.startswith(said)


# ------------------------------------------------------------------------------------------------ files


@contextmanager
def files_left(count):
    """Let this process open no more than `count` further files."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = max(int(path.name) for path in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 1 + count, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A dataset of 300 shards of two samples: names for one file."""
    folder = write_dataset(tmp_path_factory.mktemp("many") / "rhd", "rhd", (2,), canvas=CANVAS)
    (entry,) = open_dataset(folder).index["shards"]
    entries = [entry | {"file": f"train-{n:05d}.h5"} for n in range(300)]
    for entry in entries[1:]:
        os.link(folder / "train-00000.h5", folder / entry["file"])
    write_index(folder, {"schema": VERSION, "dataset": "rhd", "shards": entries})
    return folder


@pytest.mark.parametrize("threads", [0, 4])
def test_more_shards_than_files_may_be_open_give_the_same_batches(many, threads):
    expected = epoch_of(open_mixture([many], "train"), batches=75)
    with files_left(60):
        mixture = open_mixture([many], "train")
        found = epoch_of(mixture, batches=75, threads=threads)

    assert found == expected
    assert {d for batch in found for d in batch[3][0]} == {0}


def test_more_shards_than_files_may_be_open_are_seen_by_readers_and_statistics(many):
    with files_left(60):
        dataset = open_dataset(many, "train")
        seen = [reader.images[0] for reader in dataset.shards.readers]  # all at once

        assert len({image.tobytes() for image in seen}) == 1
        assert collect(many).num_looked_at == 600


@pytest.mark.parametrize("threads", [0, 2])
@pytest.mark.parametrize("keep_open", [True, False])
def test_a_shard_cut_short_between_two_epochs_is_one_line(tmp_path, threads, keep_open, monkeypatch):
    monkeypatch.setattr("handdata.train.loader.mixture.handles_to_keep", lambda: int(keep_open))
    folder = write_dataset(tmp_path / "rhd", "rhd", (12,), canvas=CANVAS)
    with Loader(open_mixture([folder], "train"), 4, threads=threads) as loader:
        list(loader.epoch(0))  # to its end: a thread that reads mapped labels at this moment would be killed
        os.truncate(folder / "train-00000.h5", 8192)

        with pytest.raises(
            DataError, match=r"train-00000\.h5: expected \d+ bytes.*got 8192: the shard is cut short"
        ) as error:
            list(loader.epoch(1))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("cache", ["none", "device"])
@pytest.mark.parametrize("more", [1, -1])
def test_a_shard_of_another_length_than_the_index_says_is_not_read(tmp_path, more, cache):
    folder = write_dataset(tmp_path / "rhd", "rhd", (12, 12), canvas=CANVAS, foreground=True)
    index = open_dataset(folder).index
    index["shards"][1]["num_samples"] += more
    write_index(folder, index)

    line = rf"train-00001\.h5: expected {12 + more} samples, as index\.json says, got 12\."
    with pytest.raises(DataError, match=line), Loader(open_mixture([folder], None), 8, cache=cache) as loader:
        list(loader.epoch(0))


def test_shards_of_two_canvases_are_not_one_dataset(tmp_path):
    folder, other = (write_dataset(tmp_path / f"{c}", "rhd", (4, 4), canvas=c) for c in (CANVAS, 40))
    (other / "train-00001.h5").replace(folder / "train-00001.h5")
    index = open_dataset(folder).index
    index["shards"][1] = open_dataset(other).index["shards"][1]
    write_index(folder, index)

    line = r"train-00001\.h5: expected canvases of 32 px, as train-00000\.h5, got 40 px\."
    with pytest.raises(DataError, match=line), Loader(open_mixture([folder], None), 8) as loader:
        next(loader.epoch(0))


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda path: path.unlink(), "expected the shard that was opened, got no file"),
        (lambda path: path.write_bytes(path.read_bytes()), "expected the shard that was opened, got one written since"),
    ],
    ids=["deleted", "written"],
)
def test_a_shard_that_is_not_kept_open_and_goes_is_one_line(tmp_path, change, line, monkeypatch):
    monkeypatch.setattr("handdata.train.loader.mixture.handles_to_keep", lambda: 0)
    folder = write_dataset(tmp_path / "rhd", "rhd", (12,), canvas=CANVAS)
    with Loader(open_mixture([folder], "train"), 4) as loader:
        list(loader.epoch(0))
        change(folder / "train-00000.h5")

        with pytest.raises(HanddataError, match=rf"train-00000\.h5: {line}"):
            list(loader.epoch(1))


def test_a_shard_that_is_kept_open_may_be_deleted(tmp_path):
    folder = write_dataset(tmp_path / "rhd", "rhd", (12,), canvas=CANVAS)
    mixture = open_mixture([folder], "train")
    before = epoch_of(mixture)
    (folder / "train-00000.h5").unlink()

    assert epoch_of(mixture) == before


def test_a_mixture_pickles_without_its_mappings(mixture):
    mixture.shard(0, 0)
    again = pickle.loads(pickle.dumps(mixture))

    assert epoch_of(again, batches=2) == epoch_of(mixture, batches=2)


# ------------------------------------------------------------------------------------------------ the user's mistakes


def test_a_missing_split_and_an_unfinished_conversion_are_told(folders, tmp_path):
    with pytest.raises(MissingError, match="expected a split named val, got train"):
        open_mixture(folders, "val")
    with pytest.raises(MissingError, match="no such folder"):
        open_mixture([tmp_path / "nothing"], "train")


def test_an_index_without_shards_is_told(folders, tmp_path):
    folder = write_dataset(tmp_path / "rhd", "rhd", (2,), canvas=CANVAS)
    write_index(folder, {"schema": VERSION, "dataset": "rhd", "shards": []})

    with pytest.raises(MissingError, match="rhd: expected samples, got none"):
        open_mixture([folders[0], folder], None)


def test_canvases_of_two_sides_do_not_mix(folders, tmp_path):
    other = write_dataset(tmp_path / "rhd", "rhd", (2,), canvas=40)
    with pytest.raises(ConfigError, match="expected one canvas side in a mixture, got synthhands 32 px, rhd 40 px"):
        open_mixture([folders[0], other], "train")


def test_one_set_given_twice_is_refused(folders):
    with pytest.raises(ConfigError, match="expected one folder for each dataset"):
        open_mixture([folders[0], folders[0]], "train")


def test_two_renderings_of_one_dataset_mix_under_their_folders_names(tmp_path):
    clean = write_dataset(tmp_path / "rhd", "rhd", (3,))
    gritty = write_dataset(tmp_path / "rhd-gritty", "rhd", (2,), seed=7)
    mixture = open_mixture([clean, gritty], "train", {"rhd": 1.0, "rhd-gritty": 3.0})
    assert mixture.names == ["rhd", "rhd-gritty"]
    assert mixture.slots.shares.tolist() == pytest.approx([0.25, 0.75], abs=0.02)
    assert open_mixture([gritty], "train").names == ["rhd"]


def test_the_same_samples_in_two_folders_are_refused_whatever_their_split(tmp_path):
    one = write_dataset(tmp_path / "rhd", "rhd", (3,))
    again = write_dataset(tmp_path / "rhd-again", "rhd", (3,))
    write_dataset(again, "rhd", (2,), split="val", seed=9)
    with pytest.raises(ConfigError, match=r"shards: expected each sample once, got rhd/.* in .*rhd and in .*rhd-again"):
        open_mixture([one, again], "train")


def test_a_batch_that_cannot_be_shared_is_refused(mixture):
    with pytest.raises(ConfigError, match="batch_size: expected a multiple of 3 processes, got 8"):
        Loader(mixture, 8, world_size=3)


def test_a_cache_that_does_not_fit_is_refused(mixture, monkeypatch):
    monkeypatch.setattr("handdata.train.loader.prefetch.os.sysconf", lambda name: 10)
    with pytest.raises(ConfigError, match=r"cache: expected 0\.0 GiB free on cpu"):
        Loader(mixture, 8, cache="device")
