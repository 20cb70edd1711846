"""Applying a model needs nothing of training."""

import subprocess
import sys

APPLY = """
import importlib, pkgutil, sys
import handdata.model
for module in pkgutil.walk_packages(handdata.model.__path__, "handdata.model."):
    importlib.import_module(module.name)
print(*sorted(name for name in sys.modules if name.startswith("handdata.train")))
"""


def test_no_module_of_models_brings_training_along():
    done = subprocess.run([sys.executable, "-c", APPLY], capture_output=True, text=True, check=True)

    assert done.stdout.split() == []
