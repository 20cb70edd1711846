"""Steps of acceptance.py about gradient reversal: clean against gritty renderings with the labels of one alone.

Trained alike from the clean hands' labels: without any gritty picture; with gritty pictures beside and no reversal;
with reversal. What counts is the error on gritty hands, and whether a fresh head tells the two by frozen features.
"""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import fmean

import families
import torch
from accept_pose import at_most
from machine import Aim
from torch import Tensor

from handdata.cli.demo import LEARN, OTHER
from handdata.model.checkpoint import find, load_network, read
from handdata.model.families import family_of
from handdata.paths import DataRoot
from handdata.train.augment.views import make_views
from handdata.train.chain import epochs_done
from handdata.train.config import Config, load_config
from handdata.train.evaluate import evaluate_run
from handdata.train.loader.loaders import EvalLoader, open_mixture
from handdata.train.loop import Job, train
from handdata.train.reversal import DomainHead, deep_module, reverse
from handdata.train.selection import Selection

CLEAN, GRITTY = LEARN.folder, OTHER.folder  # the sets of families.py: 3,200 rendered hands and 300
STEPS_OF_RUN, OWN = 400, 12  # steps, and labelled samples in each
WAYS = ("clean alone", "beside, no reversal", "reversal")
PROBES, PROBE_STEPS, PROBE_RATE = 5, 300, 0.003
MOST_OF_PROBE = 8  # batches of 64
CPU = torch.device("cpu")


def sign(_: Path) -> list[Aim]:
    """Section 4.8: the gradient is the numerical one turned round."""
    x = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    reverse(x, 0.3).pow(3).sum().backward()
    grad = x.grad
    numerical = ((x + 1e-6).pow(3) - (x - 1e-6).pow(3)).detach() / 2e-6
    off = torch.inf if grad is None else (grad + 0.3 * numerical).abs().max().item()
    return [at_most("reversed gradient against the numerical one", off, 1e-6, "")]


def domains(scratch: Path, seed: int) -> list[Aim]:
    """Section 4.8, one seed: errors on held-out gritty hands, and how well a fresh head tells the two apart."""
    root = DataRoot(scratch / "domains")
    families.make_data(root, LEARN.frames)
    found = {way: run(root, way, seed) for way in WAYS}
    (scratch / f"domains-{seed}.json").write_text(json.dumps(found, indent=1))
    alone, beside, adapted = (found[way] for way in WAYS)
    aims = [
        at_most(f"gritty {name}: reversal over {other} ({adapted[name]:.3f} against {row[name]:.3f})",
                adapted[name] / row[name], 1.0, "")
        for name in ("2D", "3D")
        for other, row in (("clean alone", alone), ("beside, no reversal", beside))
    ]  # fmt: skip
    own = f"a fresh head tells the two: reversal over none ({adapted['probe']:.3f} against {beside['probe']:.3f})"
    kept = adapted["clean 2D"] / alone["clean 2D"]
    return [
        *aims,
        at_most(own, adapted["probe"] / beside["probe"], 1.0, ""),
        at_most("clean 2D: reversal over clean alone", kept, 1.1, ""),
    ]


def config_of(way: str, seed: int) -> Config:
    """Return the recipe `demo` with so many labelled samples in a step, and as many of the other domain beside."""
    batch = OWN if way == WAYS[0] else 2 * OWN
    settings = [f"data.batch={batch}", f"loop.batches={STEPS_OF_RUN // 4}", "loop.epochs=4", "loop.val_batches=1",
                "optim.lr=0.0018", f"loop.seed={seed}", "data.loader_threads=0"]  # fmt: skip
    if way != WAYS[0]:
        settings += [f'adapt.target=["{GRITTY}"]', f"adapt.strength={0.3 if way == WAYS[2] else 0.0}"]
    return load_config("demo", settings)


def run(root: DataRoot, way: str, seed: int) -> dict[str, float]:
    """Train, or go on with, one run, and return its figures."""
    folder = root.runs / f"{way.replace(' ', '-').replace(',', '')}-{seed}"
    figures = folder / "figures.json"
    if figures.is_file():
        return dict(json.loads(figures.read_text()))
    config, sets = config_of(way, seed), [root.shards(CLEAN), root.shards(GRITTY)]
    done = epochs_done(folder)
    if done is None or done < config.loop.epochs:
        used = sets[:1] if way == WAYS[0] else sets
        if not train(Job(config=config, folders=used, run=folder, device="cpu", resume=done is not None)):
            raise SystemExit("ended; the same command goes on")
    found = {"probe": probe(folder, config, sets)}
    for name, shards in zip(("clean ", ""), sets, strict=True):
        _, results = evaluate_run(folder, Selection(folders=[shards], split="test"), device="cpu")
        for figure, protocol in (("2D", "thesis:error_2d"), ("3D", "thesis:error_3d")):
            found[name + figure] = float(results.sets[0].protocols[protocol].value or 0.0)
    figures.write_text(json.dumps(found))
    return found


def probe(folder: Path, config: Config, sets: list[Path]) -> float:
    """Return how often heads that learnt on half of the training hands tell the domain of the other half."""
    features = [torch.cat(list(frozen(folder, config, shards))) for shards in sets]
    count = min(map(len, features))  # as many of each
    x, y = torch.cat([rows[:count] for rows in features]), torch.arange(2.0).repeat_interleave(count)
    return fmean(told_apart(x, y, seed) for seed in range(PROBES))


def told_apart(x: Tensor, y: Tensor, seed: int) -> float:
    """Return the share of one random half that a head tells which learnt on the other."""
    torch.manual_seed(seed)
    order = torch.randperm(len(x))
    learnt, held = order[: len(x) // 2], order[len(x) // 2 :]
    head = DomainHead(x.shape[1])
    optimizer = torch.optim.AdamW(head.parameters(), lr=PROBE_RATE)
    for _ in range(PROBE_STEPS):
        some = learnt[torch.randint(len(learnt), (128,))]
        loss = torch.nn.functional.binary_cross_entropy_with_logits(head(x[some]), y[some])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        return float(((head.eval()(x[held]) > 0) == (y[held] > 0.5)).float().mean())


@torch.no_grad()
def frozen(folder: Path, config: Config, shards: Path) -> Iterator[Tensor]:
    """Yield (B, C) pooled features of a training split."""
    trained = read(find(folder))
    network, heard = load_network(trained, CPU), list[Tensor]()
    deep = deep_module(network, family_of(config.model.kind).deep)
    deep.register_forward_hook(lambda _module, _inputs, output: heard.append(output.float().mean((2, 3))))
    mixture = open_mixture([shards], "train")
    views = make_views(config, mixture, CPU, train=False)
    with EvalLoader(mixture, 64, device=CPU, threads=0) as loader:
        for batch, _ in zip(loader, range(MOST_OF_PROBE), strict=False):
            network(views.inputs(batch).image_B3HW)
            yield heard.pop()


STEPS = {"4.8 adapt, sign": sign, "4.8 adapt, seed 0": partial(domains, seed=0),
         "4.8 adapt, seed 1": partial(domains, seed=1)}  # fmt: skip
