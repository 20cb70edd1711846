"""Fixtures every part of the tests may use."""

import resource
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"
NATIVE_FRAMES = 14  # of each rendered tree: both splits of Stereo, all three of the others, two gaps


@pytest.fixture(scope="session")
def shared() -> Path:
    """The specification's folder of golden vectors and real samples; it exists only where handdata is built."""
    if not (SHARED / "golden").is_dir():
        pytest.skip("../shared is not here: golden vectors and real samples cannot be read")
    return SHARED


@pytest.fixture(scope="session")
def native_tree(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The native tree of a dataset, rendered small, once a session. Copy it before you damage it: `native_copy`."""
    from handdata.synth.native import write_native

    folder = tmp_path_factory.getbasetemp() / "native"

    def render(name: str) -> Path:
        write_native(name, folder / name, NATIVE_FRAMES, seed=0, small=True)  # what is there is kept
        return folder / name

    return render


@pytest.fixture
def native_copy(native_tree: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    """A native tree of the test's own."""

    def copy(name: str) -> Path:
        return Path(shutil.copytree(native_tree(name), tmp_path / "native" / name))

    return copy


@pytest.fixture(scope="session")
def converted(native_tree: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The shards of a rendered tree, converted once a session with the defaults."""
    from handdata.conversion.run import convert

    folder = tmp_path_factory.getbasetemp() / "shards"

    def shards(name: str) -> Path:
        if not (folder / name / "index.json").is_file():
            convert(name, native_tree(name), folder / name)
        return folder / name

    return shards


@pytest.fixture
def file_limit() -> Iterator[Callable[[int], None]]:
    """As on a full disk: from the call on, files of this process take so many bytes each, EFBIG beyond."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
