"""Fixtures every part of the tests may use."""

import ctypes
import fcntl
import os
import resource
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

SHARED = Path(__file__).resolve().parents[2] / "shared"
NATIVE_FRAMES = 14  # of each rendered tree: both splits of Stereo, all three of the others, two gaps

# a job in the background of a script ignores Ctrl-C, and so would every command that a test interrupts
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

os.environ.pop("HANDDATA_ROOT", None)  # the developer's own data are none of the tests'

# a busy machine takes 200 ms for one example now and then, which says nothing of the code
settings.register_profile("busy", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The specification's folder of golden vectors and real samples; it exists only where handdata is built."""
    if not (SHARED / "golden").is_dir():
        pytest.skip("../shared is not here: golden vectors and real samples cannot be read")
    return SHARED


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Callable[[str, Callable[[Path], object]], Path]:
    """Makes a folder of a name once a session, however many workers ask for it. Copy it before you change it."""
    base = tmp_path_factory.getbasetemp()
    root = base if worker_id == "master" else base.parent

    def find(name: str, make: Callable[[Path], object]) -> Path:
        folder, mark = root / "once" / name, root / "made" / f"{name}.made"
        for path in (folder, mark):
            path.parent.mkdir(parents=True, exist_ok=True)
        with mark.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not mark.exists():
                make(folder)
                mark.touch()
        return folder

    return find


@pytest.fixture(scope="session")
def native_tree(once: Callable[[str, Callable[[Path], object]], Path]) -> Callable[[str], Path]:
    """The native tree of a dataset, rendered small, once a session. Copy it before you damage it: `native_copy`."""
    from handdata.synth.native import write_native

    def render(name: str) -> Path:
        return once(f"native/{name}", lambda folder: write_native(name, folder, NATIVE_FRAMES, seed=0, small=True))

    return render


@pytest.fixture
def native_copy(native_tree: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    """A native tree of the test's own."""

    def copy(name: str) -> Path:
        return Path(shutil.copytree(native_tree(name), tmp_path / "native" / name))

    return copy


@pytest.fixture(scope="session")
def converted(
    native_tree: Callable[[str], Path], once: Callable[[str, Callable[[Path], object]], Path]
) -> Callable[[str], Path]:
    """The shards of a rendered tree, converted once a session with the defaults."""
    from handdata.conversion.run import convert

    def shards(name: str) -> Path:
        tree = native_tree(name)
        return once(f"shards/{name}", lambda folder: convert(name, tree, folder))

    return shards


@pytest.fixture
def file_limit() -> Iterator[Callable[[int], None]]:
    """As on a full disk: from the call on, files of this process take so many bytes each, EFBIG beyond."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def not_as_root() -> Iterator[None]:
    """Root may read everything: for a test it is denied what other users are (Linux, capabilities(7))."""
    if os.geteuid():
        yield
        return
    libc, header = (
        ctypes.CDLL(None, use_errno=True),
        (ctypes.c_uint32 * 2)(0x20080522, 0),
    )  # _LINUX_CAPABILITY_VERSION_3
    before = (ctypes.c_uint32 * 6)()  # effective, permitted and inheritable, of capabilities 0 to 31, then of 32 to 63
    assert libc.capget(header, before) == 0
    after = (ctypes.c_uint32 * 6)(before[0] & ~0b110, *before[1:])  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH
    assert libc.capset(header, after) == 0
    yield
    assert libc.capset(header, before) == 0
