"""One small batch is learnt by heart: targets, losses, read-outs and both heads fit each other."""

import pytest
import torch

from handdata.model.read_out import READ_OUT_OF, read_out
from handdata.train.augment.views import make_views
from handdata.train.loader.loaders import EvalLoader, open_mixture
from handdata.train.loop import step
from handdata.train.precision import set_up_device
from handdata.train.state import build
from tests.train.made_training import made_set, tiny

CPU = torch.device("cpu")
BATCH = 2
SMALL = ("model.size=64", "model.width=0.25", f"data.batch={BATCH}", "loop.epochs=1",
         "augment.kind=none", "optim.warmup_steps=10", "optim.final_lr=0.0", "optim.ema_decay=0.0",
         "optim.weight_decay=0.0")  # fmt: skip
# steps and settings; the tree's 3D error adds up along the fingers and takes longer
KINDS = {
    "direct": (400, ("optim.lr=0.003", "loss.weight_3d=10.0")),
    "latent": (400, ("optim.lr=0.003", "loss.weight_3d=10.0", "model.kind=latent", "loss.loss_2d=coordinates",
                     "loss.weight_2d=10.0")),
    "tree": (600, ("optim.lr=0.004", "loss.weight_3d=3.0", "model.kind=tree")),
}  # fmt: skip


def errors_after(steps, config, folder, device):
    """Train on one batch; return the mean 2D error by the model's own read-out, and the mean 3D error."""
    set_up_device(config.loop, device)
    mixture = open_mixture([folder], "train")
    with EvalLoader(mixture, BATCH, device=device, threads=0) as loader:
        inputs = make_views(config, mixture, device, train=False).inputs(next(iter(loader)))
    state = build(config, device)
    state.train_mode()
    for number in range(steps):
        state.position.step = number
        step(state, inputs, config)
    with torch.no_grad():
        maps, xyz = state.network.eval()(inputs.image_B3HW)

    off_2d = torch.linalg.vector_norm(read_out(maps, READ_OUT_OF[config.model.kind]) - inputs.uv_BK2, dim=-1)
    off_3d = torch.linalg.vector_norm(xyz - inputs.xyz_BK3, dim=-1)
    return off_2d[inputs.present_2d_BK].mean(), off_3d[inputs.present_3d_BK].mean()


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.slow if kind == "direct" else pytest.mark.thorough) for kind in KINDS]
)
@pytest.mark.usefixtures("one_thread")
def test_one_batch_is_overfitted(kind, tmp_path):
    steps, settings = KINDS[kind]
    config = tiny("best-smoke", *SMALL, *settings, f"loop.batches={steps}")
    off_2d, off_3d = errors_after(steps, config, made_set(tmp_path / "rhd", "rhd", train=BATCH, val=1), CPU)

    assert off_2d < 0.01
    assert off_3d < 0.02


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.filterwarnings("default")  # what PyTorch says of speed on that machine
@pytest.mark.parametrize("kind", KINDS)
def test_one_batch_is_overfitted_by_the_published_sizes(kind, tmp_path):
    steps, settings = 2 * KINDS[kind][0], KINDS[kind][1]
    full = ("model.size=128", "model.width=1.0", "optim.lr=0.001", "optim.warmup_steps=50", f"loop.batches={steps}")
    config = tiny("best-smoke", *SMALL, *settings, *full)
    folder = made_set(tmp_path / "rhd", "rhd", train=BATCH, val=1)
    off_2d, off_3d = errors_after(steps, config, folder, torch.device("cuda", 0))

    assert off_2d < 0.01
    assert off_3d < 0.02
