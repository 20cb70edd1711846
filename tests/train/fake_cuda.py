"""Follow the GPU's path on fake CUDA tensors and print, as JSON, what each case did. Run by test_cuda_path.py.

    python -m tests.train.fake_cuda GUARD FOLDER

Fake tensors have a device but no values: an operation between two devices fails, and so does every reading of a value.
All of a step is real code but the backward pass, which autograd gives to threads of a device: it only leaves gradients.
GUARD is a library that lets a torch without CUDA name the device (autograd asks for it); "" where torch has CUDA. It
needs a process of its own. FOLDER holds shards with masks.
"""

import ctypes
import json
import sys
from pathlib import Path

import torch
from torch._subclasses import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from handdata.model.read_out import READ_OUTS, read_out
from handdata.train import loop
from handdata.train.augment.views import make_views
from handdata.train.forward import forward
from handdata.train.loader.loaders import EvalLoader, open_mixture
from handdata.train.loader.mixture import Batch, Mixture
from handdata.train.state import build
from tests.train.made_training import tiny

CUDA = torch.device("cuda", 0)
READS = {"aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::equal", "aten::is_nonzero"}
COPIES = {"aten::_to_copy", "aten::copy_"}
RECIPES = ("best", "e012", "e013")


class Waits(TorchDispatchMode):
    """Records what would make the host wait for the device."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = function._schema.name
        tensors = [value for value in args if isinstance(value, torch.Tensor)]
        masks = args[1] if name == "aten::index" else ()
        if any(mask is not None and mask.dtype == torch.bool for mask in masks):
            self.found.append("indexing by a mask")
        if name in READS and any(tensor.device.type == "cuda" for tensor in tensors):
            self.found.append(name)
        result = function(*args, **kwargs)
        if name in COPIES and isinstance(result, torch.Tensor):
            devices = {tensor.device.type for tensor in tensors} | {result.device.type}
            non_blocking = kwargs.get("non_blocking") or (name == "aten::copy_" and args[2:3] == (True,))
            if len(devices) > 1 and not non_blocking:
                self.found.append(f"a blocking {name}")
        return result


def module_to(module, device=None, memory_format=None):
    """Do what Module.to does; the real one cannot swap fake parameters."""

    def moved(tensor):
        options = {"memory_format": memory_format} if memory_format is not None and tensor.ndim == 4 else {}
        return tensor.to(device or tensor.device, **options)

    for part in module.modules():
        for name, value in part._parameters.items():
            if value is not None:
                part._parameters[name] = torch.nn.Parameter(moved(value.detach()), requires_grad=value.requires_grad)
        part._buffers.update({name: moved(value) for name, value in part._buffers.items()})
    return module


def on_cuda(batch: Batch) -> Batch:
    def fake(tensor):
        return torch.empty(tensor.shape, dtype=tensor.dtype, device=CUDA)

    parts = {name: getattr(batch, name) for name in Batch.__dataclass_fields__}
    return Batch(**{**parts, "canvases": fake(batch.canvases), "foreground": fake(batch.foreground)})


def made(recipe: str, mixture: Mixture, *settings: str):
    config = tiny(recipe, "loop.channels_last=true", "optim.ema_decay=0.9", "augment.kind=published", *settings)
    return config, build(config, CUDA), make_views(config, mixture, CUDA, train=True)


def leave_gradients(network):
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter) if parameter.requires_grad else None


def step(recipe: str, mixture: Mixture, batch: Batch, *settings: str):
    """Two steps; the first one's waits do not count: constants go up once, optimisers make their state."""
    config, state, views = made(recipe, mixture, "optim.clip_norm=1.0", *settings)
    torch.Tensor.backward = lambda _total: leave_gradients(state.network)
    state.train_mode()
    loop.step(state, views.inputs(batch), config)
    with Waits() as waits:
        inputs = views.inputs(batch)
        losses = loop.step(state, inputs, config)
    gradients = [p.grad for p in state.network.parameters() if p.grad is not None]
    moments = [t for held in state.optimizer.state.values() for t in held.values() if isinstance(t, torch.Tensor)]
    tensors = [inputs.image_B3HW, losses, *gradients, *moments, *state.average.values.values()]
    return {"waits": waits.found, "devices": sorted({str(t.device) for t in tensors}), "gradients": len(gradients)}


def score(recipe: str, mixture: Mixture, batch: Batch, *settings: str):
    """Validate and predict one batch."""
    config, state, views = made(recipe, mixture, *settings)
    state.network.eval()
    with torch.no_grad():
        loop.measure(state, views.inputs(batch), config)
        with Waits() as waits:
            inputs = views.inputs(batch)
            sums = loop.measure(state, inputs, config)
            maps, xyz = forward(state.network, inputs.image_B3HW, config)
            found = [read_out(maps, rule) for rule in READ_OUTS]
    types = sorted({str(tensor.dtype) for tensor in (maps, xyz, *found)})
    return {"waits": waits.found, "devices": sorted({str(t.device) for t in (sums, maps, xyz, *found)}), "types": types}


def controls():
    """What the check must notice, and does."""
    x, noticed = torch.zeros(3, device=CUDA), {}
    cases = {
        "a blocking aten::_to_copy": lambda: torch.tensor(1.0, device=CUDA),
        "indexing by a mask": lambda: x[x > 0],
        "aten::_local_scalar_dense": lambda: x.sum().item(),
        "two devices": lambda: x + torch.zeros(3),
    }
    for name, case in cases.items():
        with Waits() as waits:
            try:
                case()
            except Exception as error:  # a fake tensor has no value to give
                waits.found += ["two devices"] if "two devices" in str(error) else []
        noticed[name] = waits.found
    return noticed


def main() -> None:
    guard, folder = sys.argv[1:]
    if guard:
        ctypes.CDLL(guard)
        torch.Tensor.pin_memory = lambda tensor: tensor
    torch.nn.Module.to = module_to
    sgd = torch.library.Library("aten", "IMPL", "Meta")
    sgd.impl("_fused_sgd_", lambda *_args, **_kwargs: None)  # PyTorch has no shapes-only form of it; it changes none
    mixture = open_mixture([Path(folder)], "train")
    with EvalLoader(mixture, 4, threads=0) as loader:
        real = next(iter(loader))
    with FakeTensorMode(allow_non_fake_inputs=True):
        batch, found = on_cuda(real), {"controls": controls()}
        for recipe in RECIPES:
            found[f"step {recipe}"] = step(recipe, mixture, batch, "loop.precision=bf16")
            found[f"score {recipe}"] = score(recipe, mixture, batch, "loop.precision=bf16")
        found["step split"] = step("best", mixture, batch, "loop.split=true", "loop.pad=true", "loss.warm_epochs=1")
        found["step fp32"] = step("best", mixture, batch, "loop.precision=fp32", "loss.loss_2d=iou_and_expectation")
        found["step over all"] = step("e020", mixture, batch, "loss.over=all", "loss.loss_3d=bone_pairs")
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
