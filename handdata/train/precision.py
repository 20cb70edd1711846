"""Number formats and kernels: what a recipe says about speed, put into PyTorch's switches."""

import warnings
from contextlib import AbstractContextManager, nullcontext

import cv2
import torch

from handdata.train.config import LoopConfig, Precision
from handdata.workers import keep_freed_memory

KEPT_ON_CPU = 2**30  # bytes
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """Return the context in which the network runs; losses stay outside it, in float32."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, dtype=DTYPES[precision])


def set_up_device(loop: LoopConfig, device: torch.device) -> None:
    """Choose TF32 or full float32 products, and let cuDNN look for its fastest kernels; on a CPU, keep memory.

    Without that, page faults for maps of a few megabytes are a fifth of a step of the recipe `demo` on two cores.
    There OpenCV works alone too: it would hand stripes of every crop (on_cpu.py) to threads that take longer to wake.
    """
    set_products(loop, device)
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True
    else:
        keep_freed_memory(KEPT_ON_CPU)
        cv2.setNumThreads(1)


def set_products(loop: LoopConfig, device: torch.device) -> None:
    """Choose TF32 or full float32 for products and convolutions.

    PyTorch 2.9 warns that these switches will go, and its compiler refuses to work beside the new ones.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.set_float32_matmul_precision("high" if loop.tf32 else "highest")
        if device.type == "cuda":
            torch.backends.cudnn.allow_tf32 = loop.tf32
