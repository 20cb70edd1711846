"""Faults planted in every rendered tree: they are there, one of each, and who reads the tree is told of them."""

import hashlib
import shutil
from pathlib import Path

import pytest

from handdata.check.verify import verify
from handdata.conversion.run import convert
from handdata.errors import HanddataError
from handdata.paths import RENDERED_MARK
from handdata.synth.native import NATIVE_WRITERS, write_native
from handdata.synth.native.tree import FAULTS
from tests.conftest import NATIVE_FRAMES
from tests.converters.conftest import plan_of

NAMES = sorted(NATIVE_WRITERS)
PICTURES = {".png", ".jpg", ".bmp"}
UNCONTRADICTED = {
    "dexter1",
    "stereo",
    "synthhands",
}  # nothing in these archives says where else a single hand should be
TOLD_BY = {  # who tells of the wrong label, and what it says
    "dexter": ("plan", "2D against 3D labels"),
    "dexycb": ("verify", "reprojection"),
    "egodexter": ("plan", "2D against 3D labels"),
    "freihand": ("convert", "training_scale.json[0]: expected"),
    "ganerated": ("convert", "projection of joint_pos_global"),
    "ho3d": ("verify", "segmentation"),
    "interhand": ("convert", "expected a hand within 16 sides of its picture"),
    "rhd": ("verify", "reprojection"),
    "wholebody": ("verify", "boxes 2D"),
}


def contents(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name != RENDERED_MARK
    }


@pytest.fixture(scope="module")
def faulty(tmp_path_factory):
    """Every dataset's tree with every fault, else as `native_tree` makes it; rendered when first asked for."""
    folder = tmp_path_factory.mktemp("faulty")

    def render(name: str) -> Path:
        write_native(name, folder / name, NATIVE_FRAMES, seed=0, small=True, faults=FAULTS)
        return folder / name

    return render


def _moved(name: str, example: tuple[str, str]) -> str:
    """Return where a file would lie, as another one does: its name in the sound tree, and its place."""
    was, now = (path.split("/") for path in example)
    at = next(k for k, part in enumerate(now) if k >= len(was) or part != was[k])
    parts = name.split("/")
    return "/".join([*parts[:at], now[at], *parts[at:]] if parts[:at] == now[:at] else parts)


def put_back(root: Path, sound: Path) -> tuple[int, set[str], set[str]]:
    """Return how many files lie one level deeper, which others are lost, and which differ from the sound tree's.

    Files are named as in the sound tree; lost ones and damaged pictures are put right.
    """
    before, places = contents(sound), {}
    for path, digest in contents(root).items():
        parts = path.split("/")
        shorter = ["/".join(parts[:k] + parts[k + 1 :]) for k in range(len(parts) - 1)]
        places[next(name for name in (path, *shorter) if name in before)] = path, digest
    lost = before.keys() - places.keys()
    changed = {name for name, (_, digest) in places.items() if digest != before[name]}
    for name in changed:
        if Path(name).suffix in PICTURES:
            shutil.copy(sound / name, root / places[name][0])
    for name in lost:
        target = root / _moved(name, next((n, path) for n, (path, _) in places.items() if n != path))
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(sound / name, target)
    return sum(name != path for name, (path, _) in places.items()), lost, changed


@pytest.mark.parametrize("name", NAMES)
def test_every_fault_is_there_once_and_told(name, faulty, native_tree, tmp_path):
    plan, sound = plan_of(name, faulty(name)), plan_of(name, native_tree(name))
    assert set(plan.warnings) - set(sound.warnings)  # the missing file is said

    root = Path(shutil.copytree(faulty(name), tmp_path / name))
    deeper, lost, changed = put_back(root, native_tree(name))

    assert deeper > 0
    assert len(lost) == 1
    damaged = {path for path in changed if Path(path).suffix in PICTURES}
    assert (len(damaged), len(changed - damaged)) == (1, 1)  # and a wrong label
    found = convert(name, faulty(name), tmp_path / "out", skip_bad=True)
    assert any("cut short" in why and Path(*damaged).name in why for why in found.skipped.values())


@pytest.mark.parametrize("name", sorted(set(NAMES) - UNCONTRADICTED))
def test_a_wrong_label_is_told(name, faulty, native_tree, tmp_path):
    """The pictures are put right, so that nothing else is told of."""
    by, says = TOLD_BY[name]
    root, sound = Path(shutil.copytree(faulty(name), tmp_path / name)), native_tree(name)
    put_back(root, sound)

    if by == "plan":
        readings = set(plan_of(name, root).readings) - set(plan_of(name, sound).readings)
        assert [what for what, _ in readings] == [says]
    elif by == "convert":
        with pytest.raises(HanddataError) as caught:
            convert(name, root, tmp_path / "out")
        assert says in str(caught.value)
    else:
        convert(name, root, tmp_path / "out")
        assert {finding.check for finding in verify(tmp_path / "out").findings} == {says}
