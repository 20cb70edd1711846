"""What a step differentiates: the network and its losses as one function of a batch, compiled where that pays.

Compiling network and losses together is what makes it pay (docs/decisions.md: the network alone is slower compiled than
eager): the heatmaps are never written in float32, their sums are taken where the sigmoid is.

Shape letters: B batch, K keypoints, H, W rows and columns.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from handdata.model.config import Loss2D, LossConfig, Precision
from handdata.model.device import autocast
from handdata.model.families import family_of
from handdata.model.families.family import Labels
from handdata.model.losses import Ratio
from handdata.progress import say
from handdata.train.augment.prepare import Inputs
from handdata.train.config import Compile, Config

# Compiling costs about 45 s and saves 11 ms per step at batch 256 (5,730 against 7,710 samples/s on an H100):
# even after 3,900 steps. "auto" compiles trainings more than twice as long.
AUTO_STEPS = 10_000
# At batch 64 "auto" replays CUDA graphs: 6,100 samples/s, 3,410 compiled without, 3,650 eager (the same).
GRAPHS_BELOW = 256  # samples per step; between 64 and 256 nothing was measured
REPLAYING: tuple[Compile, ...] = ("reduce-overhead", "max-autotune")
TRIALS = 3  # steps before the first one counts: compile, record graphs, replay them
# How far compiled sums may be from eager ones, relative and absolute: only a wrong program is further.
NEAR: Mapping[Precision, float] = {"fp32": 0.01, "bf16": 0.1, "fp16": 0.1}
MODES: Mapping[Compile, str] = {
    "default": "default",
    "reduce-overhead": "reduce-overhead",
    "max-autotune": "max-autotune",
}


def choose_mode(config: Config, device: torch.device, processes: int) -> Compile:
    """Return how to compile: what the recipe says, `auto` resolved; `off` for several processes and for `adapt`.

    `auto` compiles on a GPU where the training is long enough to pay for it.
    """
    wanted = config.loop.compile
    if wanted == "auto":
        long = config.loop.epochs * config.loop.batches >= AUTO_STEPS
        kind: Compile = "reduce-overhead" if config.data.batch < GRAPHS_BELOW else "default"
        wanted = kind if long and device.type == "cuda" else "off"
    return "off" if processes > 1 or config.adapt.target else wanted  # the ear at the features is no part of a graph


def loss_sums(
    network: nn.Module,
    image_B3HW: Tensor,
    *labels: Tensor,
    sums: Callable[..., tuple[Ratio, ...]],
    loss: LossConfig,
    precision: Precision,
) -> Tensor:
    """Return (2 T,) float32: the sum of each of the family's T terms, with gradient, then how many each runs over."""
    with autocast(precision, image_B3HW.device):
        prediction = network(image_B3HW)
    ratios = sums(prediction, Labels(*labels), loss)
    return torch.stack([*(ratio.total for ratio in ratios), *(ratio.number for ratio in ratios)])


def loss_at(loss: LossConfig, epoch: int) -> LossConfig:
    """Return the losses of an epoch: the first ones may have another 2D loss (`loss.warm_epochs`)."""
    return replace(loss, loss_2d="l2") if epoch < loss.warm_epochs else loss


class Objective:
    """`loss_sums` of one network and recipe.

    Args:
        network: as it is called; spread over processes, if so.
        config: the recipe's.
        mode: of torch.compile, or `off`.
        backend: of torch.compile; only its own knows modes.
    """

    def __init__(
        self,
        network: nn.Module,
        config: Config,
        mode: Compile = "off",
        backend: str | Callable[..., Any] = "inductor",
    ) -> None:
        self._network, self._config, self._mode = network, config, mode
        self._sums = family_of(config.model.kind).sums
        self._eager: Callable[..., Tensor] = partial(loss_sums, network)
        self._compiled: Callable[..., Tensor] | None = None
        self._proven: set[Loss2D] = set()  # each is a program of its own
        self._replays = mode in REPLAYING and backend == "inductor"
        if mode != "off":
            torch.compiler.reset()  # what was compiled for a training before this one holds its memory
            options: dict[str, Any] = {"mode": MODES[mode]} if backend == "inductor" else {}
            compiled = torch.compile(loss_sums, fullgraph=True, dynamic=False, backend=backend, **options)
            self._compiled = partial(compiled, network)

    @property
    def is_compiled(self) -> bool:
        """Whether compiled steps are taken."""
        return self._compiled is not None and bool(self._proven)

    def __call__(self, inputs: Inputs, epoch: int) -> Tensor:
        """Return the (2 T,) sums of a batch of that epoch."""
        loss, loop = loss_at(self._config.loss, epoch), self._config.loop
        kind = loss.loss_2d
        image = inputs.image_B3HW
        if loop.channels_last:
            image = image.contiguous(memory_format=torch.channels_last)
        labels = inputs.labels
        settings = {"sums": self._sums, "loss": loss, "precision": loop.precision}
        if self._compiled is None:
            return self._eager(image, *labels, **settings)
        # labels are columns of one table whose width is not that of every batch: other strides would compile anew
        tensors = (image, *(label.contiguous() for label in labels))
        if kind not in self._proven:
            if not self._prove(self._compiled, tensors, settings):
                self._compiled = None
                return self._eager(*tensors, **settings)
            self._proven.add(kind)
        self._begin()
        return self._compiled(*tensors, **settings)

    def _begin(self) -> None:
        """Say that what the step before returned is used up: a replayed graph writes over it."""
        if self._replays:
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]

    def _prove(self, compiled: Callable[..., Tensor], tensors: tuple[Tensor, ...], settings: Mapping[str, Any]) -> bool:
        """Compile and compare with the eager loss, or say why the training goes on without.

        Weights, gradients and statistics are after it what they were before.
        """
        say(f"compiling the step ({self._mode}); about a minute, the next run finds most of it done")
        kept = [(buffer, buffer.clone()) for buffer in self._network.buffers()]
        try:
            with torch.no_grad():
                expected = self._eager(*tensors, **settings)
            for _ in range(TRIALS):
                self._begin()
                sums = compiled(*tensors, **settings)
                sums[: len(sums) // 2].sum().backward()  # type: ignore[no-untyped-call]  # compiled when it is first needed
                self._network.zero_grad(set_to_none=True)
            near = NEAR[self._config.loop.precision]
            if not torch.allclose(sums, expected, rtol=near, atol=near):
                raise RuntimeError(f"its losses are {sums.tolist()}, the eager ones {expected.tolist()}")
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # a compiler of another project, in whatever words
            inner = getattr(error, "inner_exception", error)  # of the backend, where dynamo wrapped it
            reason = next((line for line in str(inner).splitlines() if line.strip()), type(inner).__name__)
            say(f"torch.compile does not work here, training goes on without it: {reason.strip()[:200]}")
            return False
        else:
            return True
        finally:
            self._network.zero_grad(set_to_none=True)
            with torch.no_grad():
                for buffer, value in kept:
                    buffer.copy_(value)
