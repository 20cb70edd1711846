"""One small batch is learnt by heart: targets, losses, read-outs and both heads fit each other."""

import pytest
import torch

from handdata.train.data import EvalLoader, open_mixture
from handdata.train.loop import step
from handdata.train.readout import READ_OUT_OF, read_out
from handdata.train.state import build
from handdata.train.views import make_views
from tests.train.made_training import made_set, tiny

CPU = torch.device("cpu")
STEPS = 500
BATCH = 2
SMALL = ("model.size=64", "model.width=0.25", f"data.batch={BATCH}", f"loop.batches={STEPS}", "loop.epochs=1",
         "augment.kind=none", "optim.warmup_steps=10", "optim.lr=0.002", "optim.final_lr=0.0", "optim.ema_decay=0.0",
         "optim.weight_decay=0.0", "loss.weight_3d=10.0")  # fmt: skip
KINDS = {
    "direct": (),
    "latent": ("model.kind=latent", "loss.loss_2d=coordinates", "loss.weight_2d=10.0"),
    "tree": ("model.kind=tree",),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_one_batch_is_overfitted(kind, tmp_path):
    config = tiny("best-smoke", *SMALL, *KINDS[kind])
    mixture = open_mixture([made_set(tmp_path / "rhd", "rhd", train=BATCH, val=1)], "train")
    with EvalLoader(mixture, BATCH, threads=0) as loader:
        inputs = make_views(config, mixture, CPU, train=False).inputs(next(iter(loader)))
    state = build(config, CPU)
    state.train_mode()
    for number in range(STEPS):
        state.position.step = number
        step(state, inputs, config)
    with torch.no_grad():
        maps, xyz = state.network.eval()(inputs.image_B3HW)

    off_2d = torch.linalg.vector_norm(read_out(maps, READ_OUT_OF[kind]) - inputs.uv_BK2, dim=-1)
    off_3d = torch.linalg.vector_norm(xyz - inputs.xyz_BK3, dim=-1)
    assert off_2d[inputs.present_2d_BK].mean() < 0.01
    assert off_3d[inputs.present_3d_BK].mean() < 0.02
