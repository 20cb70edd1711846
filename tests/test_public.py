"""The library's door: what it names, and what importing it costs."""

import subprocess
import sys

import pytest

import handdata as hd
from tests.test_python_page import made_hands

HEAVY = ("torch", "cv2", "pandas", "h5py", "numpy", "matplotlib", "scipy")


def modules_after(code, folder):
    """Names of the modules that are loaded after some code, in a fresh interpreter."""
    script = f"{code}\nimport sys; print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=folder)
    return set(done.stdout.split())


def test_importing_loads_nothing_heavy(tmp_path):
    assert not modules_after("import handdata", tmp_path) & set(HEAVY)


def test_opening_and_reading_loads_no_other_heavy_package(tmp_path):
    hd.write_dataset(tmp_path / "mine", made_hands(("left",), count=3), name="mine", canvas=32)
    code = "import handdata as hd; data = hd.open('mine'); len(data), data['keypoints_3d'], data.where(side='left')"

    assert not modules_after(code, tmp_path) & ({*HEAVY, "PIL"} - {"numpy"})


def test_verifying_loads_no_torch(tmp_path):
    hd.write_dataset(tmp_path / "mine", made_hands(("left",), count=3), name="mine", canvas=32)
    code = "import handdata as hd; hd.verify('mine'), hd.verify(hd.open('mine')[:2])"

    assert not modules_after(code, tmp_path) & {"torch", "pandas", "matplotlib"}


def test_every_name_is_there_and_listed():
    expected = {
        "open", "Dataset", "Hand", "write_dataset", "load_model", "Model", "convert", "export", "evaluate", "datasets",
        "draw", "concat", "recut", "verify", "KEYPOINTS", "INDEX", "BONES", "FINGERS", "HanddataError", "__version__",
    }  # fmt: skip

    assert set(hd.__all__) == expected
    assert set(dir(hd)) >= expected
    for name in expected:
        assert getattr(hd, name) is not None


def test_another_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'handdata' has no attribute 'opne'"):
        hd.opne  # noqa: B018
