"""Two CPU processes under torchrun (gloo) against one process with the same global batch."""

import json
import os
import subprocess
import sys

import pytest
import torch

from handdata.model.networks import HandNet
from handdata.train.distributed import SharedBatchNorm, share_batch_norm
from handdata.train.loop import train
from tests.train.made_training import TINY, job_of, made_set, tiny

# the trained encoder brings batch norm in; tips-only labels make the shares of present keypoints differ
SETTINGS = ("augment.kind=published", "optim.ema_decay=0.9", "optim.clip_norm=1.0", "loop.epochs=3")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("shards")
    return [made_set(root / "synthhands", "synthhands"), made_set(root / "ganerated", "ganerated", with_K=False)]


def log_of(run):
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def torchrun(folders, root, *extra, processes=2):
    settings = [part for setting in (*TINY, *SETTINGS, *extra) for part in ("--set", setting)]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes),
               "-m", "handdata", "train", "--recipe", "e020", "--name", "many", "--device", "cpu",
               "--data-root", str(root), "--shards", *map(str, folders)]  # fmt: skip
    start = [] if (root / "runs/many").exists() else ["--init-from", str(root / "start")]
    resume = [] if start else ["--resume"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    run = subprocess.run(
        [*command, *settings, *start, *resume], check=False, capture_output=True, text=True, env=environment
    )
    assert run.returncode == 0, run.stderr[-3000:]


def losses(entry):
    return [entry[part][name] for part in ("train", "val") for name in ("total", "loss_2d", "loss_3d")]


@pytest.mark.slow
def test_two_processes_give_the_losses_of_one_and_another_world_size_goes_on(folders, tmp_path):
    """Start from the same weights; two processes do two epochs, one process the third."""
    first = job_of(tiny("e010", "loop.epochs=1", "loop.batches=1"), folders, tmp_path / "start")
    train(first)
    train(job_of(tiny("e020", *SETTINGS), folders, tmp_path / "alone", init_from=tmp_path / "start"))
    torchrun(folders, tmp_path, "loop.epochs=2")
    torchrun(folders, tmp_path, processes=1)

    one, many = log_of(tmp_path / "alone"), log_of(tmp_path / "runs/many")
    assert len(one) == len(many) == 3
    for expected, found in zip(one, many, strict=True):
        assert losses(found) == pytest.approx(losses(expected), abs=1e-5)
        assert found["mix"] == expected["mix"]
    assert json.loads((tmp_path / "runs/many/environment.json").read_text())["processes"] == 1


def test_shared_batch_norm_keeps_names_values_and_count():
    network = HandNet(size=32, width=0.125)
    before = network.state_dict()
    share_batch_norm(network)
    shared = [module for module in network.modules() if isinstance(module, SharedBatchNorm)]

    assert len(shared) == 36  # batch norms of a ResNet-34: the stem, 32 in blocks, 3 in shortcuts
    assert before.keys() == network.state_dict().keys()


def test_shared_batch_norm_alone_is_plain_batch_norm():
    torch.manual_seed(0)
    x = torch.randn(4, 3, 5, 5)
    plain, shared = torch.nn.BatchNorm2d(3), SharedBatchNorm(3)

    torch.testing.assert_close(plain(x), shared(x))
    torch.testing.assert_close(plain.running_var, shared.running_var)
