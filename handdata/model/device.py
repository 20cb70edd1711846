"""Where and how precisely a network runs: the device, autocast, TF32."""

import warnings
from contextlib import AbstractContextManager, nullcontext

import torch

from handdata.errors import ConfigError
from handdata.model.config import Precision

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def choose_device(name: str, local_rank: int | None = None) -> torch.device:
    """Return a device by name: "auto" takes a GPU where there is one.

    Raises:
        ConfigError: it is not here.
    """
    here = torch.cuda.is_available()
    if name == "auto":
        name = "cuda" if here else "cpu"
    if str(name).startswith("cuda") and not here:
        raise ConfigError("--device", expected="cpu", got=name, fix="This machine, or this torch, has no CUDA device.")
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError) as error:
        raise ConfigError("--device", expected="cpu, cuda or cuda:N", got=repr(name)) from error
    if device.type not in ("cpu", "cuda") and not _answers(device):
        fix = "This machine, or this torch, has no such device."
        raise ConfigError("--device", expected="cpu, cuda or cuda:N", got=name, fix=fix)
    if name == "cuda":
        device = torch.device("cuda", local_rank or 0)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(
            "--device",
            expected=f"cuda:0 to cuda:{torch.cuda.device_count() - 1}",
            got=str(device),
            fix="One process takes one GPU: start as many as there are, or name one that is here.",
        )
    return device


def _answers(device: torch.device) -> bool:
    """Tell whether numbers can be put on a device of another maker and come back."""
    try:
        torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError, ImportError):  # each maker has its own
        return False
    return True


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """Return the context in which the network runs; losses stay outside it, in float32."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, dtype=DTYPES[precision])


def set_products(*, tf32: bool, device: torch.device) -> None:
    """Choose TF32 or full float32 for products and convolutions.

    PyTorch 2.9 warns that these switches will go, and its compiler refuses to work beside the new ones.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.set_float32_matmul_precision("high" if tf32 else "highest")
        if device.type == "cuda":
            torch.backends.cudnn.allow_tf32 = tf32
