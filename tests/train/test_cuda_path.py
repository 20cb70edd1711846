"""The path a GPU takes, checked where there is none: fake_cuda.py follows it on tensors with a device and no values."""

import json
import math
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from handdata.errors import ConfigError
from handdata.model.device import choose_device, set_products
from handdata.train import loop
from handdata.train.epoch_losses import Ledger
from tests.train.fake_cuda import RECIPES
from tests.train.made_training import job_of, made_set, tiny

ROOT = Path(__file__).resolve().parents[2]
GUARD = """
#include <c10/core/impl/DeviceGuardImplInterface.h>
static c10::impl::DeviceGuardImplRegistrar here(
    c10::DeviceType::CUDA, new c10::impl::NoOpDeviceGuardImpl<c10::DeviceType::CUDA>());
"""


@pytest.fixture
def guard(tmp_path_factory):
    """A library that lets a torch built without CUDA name a CUDA device; none where it can."""
    if torch.backends.cuda.is_built():
        return ""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("no g++: a torch without CUDA cannot be taught to name the device")
    folder = tmp_path_factory.mktemp("guard")
    (folder / "guard.cpp").write_text(GUARD)
    home = Path(torch.__file__).parent
    command = [compiler, "-std=c++20", "-shared", "-fPIC", f"-I{home}/include", "guard.cpp", "-o", "guard.so"]
    subprocess.run([*command, f"-L{home}/lib", "-lc10"], cwd=folder, check=True, capture_output=True)
    return str(folder / "guard.so")


@pytest.mark.slow
def test_the_gpus_path_stays_there_and_waits_for_nothing(guard, tmp_path):
    """Augment, network, losses, clipping, optimiser, average (backward is a stand-in); validate; predict."""
    folder = made_set(tmp_path / "synthhands", "synthhands", foreground=True)
    command = [sys.executable, "-W", "ignore", "-m", "tests.train.fake_cuda", guard, str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    run = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, env=environment)
    if "NYI: aten._pin_memory" in run.stderr:
        pytest.skip(f"the fake tensors of PyTorch {torch.__version__} cannot be pinned")
    assert run.returncode == 0, run.stderr[-3000:]
    found = json.loads(run.stdout)

    steps = [*(f"step {recipe}" for recipe in RECIPES), "step split", "step fp32", "step over all"]
    assert {name: (found[name]["devices"], found[name]["waits"]) for name in steps} == {
        name: (["cuda:0"], []) for name in steps
    }
    assert min(found[name]["gradients"] for name in steps) > 0
    scores = {name: found[name] for name in (f"score {recipe}" for recipe in RECIPES)}
    assert scores == {name: {"devices": ["cuda:0"], "waits": [], "types": ["torch.float32"]} for name in scores}
    assert found["controls"] == {name: [name] for name in found["controls"]}  # what would wait is noticed


def test_losses_are_read_late_in_order_and_wholly():
    """A GPU's losses are read two steps later; a stop is heard then, and nothing is left over."""
    names = SimpleNamespace(sample_ids=lambda dataset, sample: [])
    sums = {}
    ledger, seen = Ledger(("loss_2d", "loss_3d"), sums, names, Path(), lag=2), []
    for number in range(4):
        assert not ledger.add(torch.tensor([1.0, 1.0, number, 1.0, 1.0, 0.0]), None)
        seen.append(sums.get("total", math.nan))
    np.testing.assert_equal(seen, [math.nan, math.nan, 0.0, 1.0])
    assert not ledger.settle()
    assert sums["total"] == 6.0

    sums = {}
    told = Ledger(("loss_2d", "loss_3d"), sums, names, Path(), lag=2)
    assert [told.add(torch.tensor([1.0, 1.0, 1.0, 1.0, 1.0, float(n == 1)]), None) for n in range(4)] == [0, 0, 0, 1]
    assert sums["total"] == 4.0


def test_a_gpu_that_is_not_there_is_refused_in_one_line(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)

    assert choose_device("cuda", local_rank=1) == torch.device("cuda", 1)
    for name, local_rank in (("cuda:2", None), ("auto", 2)):
        with pytest.raises(ConfigError, match="cuda:0 to cuda:1"):
            choose_device(name, local_rank)


def test_switches_that_pytorch_means_to_replace_are_set_without_a_warning(monkeypatch):
    """2.9 warns at the first use; with warnings as errors, as here, nothing would train."""

    def warn(_precision):
        warnings.warn("use the new settings", UserWarning, stacklevel=2)

    monkeypatch.setattr(torch, "set_float32_matmul_precision", warn)
    set_products(tf32=False, device=torch.device("cpu"))


def test_memory_that_does_not_suffice_is_one_line(tmp_path, monkeypatch):
    def too_much(*_arguments, **_named):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nA long report")

    monkeypatch.setattr(loop, "build", too_much)
    folder = made_set(tmp_path / "synthhands", "synthhands", foreground=True)
    with pytest.raises(ConfigError, match="4 samples that fits cpu") as caught:
        loop.train(job_of(tiny("best"), [folder], tmp_path / "run"))
    assert "Tried to allocate" in str(caught.value)
    assert "long report" not in str(caught.value)


@pytest.mark.parametrize("name", ["mps", "xpu", "meta", "hpu"])
def test_a_device_of_another_maker_that_does_not_answer_is_one_line(name):
    if name == "mps" and torch.backends.mps.is_available():
        pytest.skip("there is one")
    with pytest.raises(
        ConfigError, match=f"expected cpu, cuda or cuda:N, got {name}. This machine, or this torch, has no"
    ):
        choose_device(name)
