"""The demo is one command: whatever ended it, the same command goes on."""

import os
import signal

import pytest

from handdata.cli import demo
from handdata.paths import DataRoot
from handdata.train import loop
from handdata.train.chain import epochs_done
from tests.train.made_training import made_set, tiny


@pytest.mark.parametrize("end", ["asked", "killed"])
def test_a_training_that_ended_in_its_first_epoch_goes_on(end, tmp_path, monkeypatch):
    own = DataRoot(tmp_path / "demo")
    made_set(own.shards(demo.LEARN.folder), "ganerated")
    config = tiny("best-smoke")
    real, steps = loop.step, []

    def ending_step(*args, **kwargs):
        steps.append(1)
        if end == "killed":
            raise SystemError
        if len(steps) == 1:  # a second signal would end the tests
            os.kill(os.getpid(), signal.SIGTERM)
        return real(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "step", ending_step)
        with pytest.raises(KeyboardInterrupt if end == "asked" else SystemError):
            demo.train_small(own.root, own, config, "cpu")
    assert epochs_done(own.root) == (0 if end == "asked" else None)

    demo.train_small(own.root, own, config, "cpu")
    assert epochs_done(own.root) == config.loop.epochs
