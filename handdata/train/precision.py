"""Number formats and kernels: what a recipe says about speed, put into PyTorch's switches."""

import cv2
import torch

from handdata.model.device import set_products
from handdata.train.config import LoopConfig
from handdata.workers import keep_freed_memory

KEPT_ON_CPU = 2**30  # bytes


def set_up_device(loop: LoopConfig, device: torch.device) -> None:
    """Choose TF32 or full float32 products, and let cuDNN look for its fastest kernels; on a CPU, keep memory.

    Without that, page faults for maps of a few megabytes are a fifth of a step of the recipe `demo` on two cores.
    There OpenCV works alone too: it would hand stripes of every crop (on_cpu.py) to threads that take longer to wake.
    """
    set_products(tf32=loop.tf32, device=device)
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True
    else:
        keep_freed_memory(KEPT_ON_CPU)
        cv2.setNumThreads(1)
