"""A native tree in the making, shared by the writers: what was asked for, whole files only, faults on request.

A rendering that was stopped goes on: a frame is finished once its last file is there. The mark at the root says what
the tree is, so that nothing is mixed with another rendering or with a real archive, and that it was rendered.
"""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from handdata.errors import ConfigError, DataError
from handdata.files.locks import alone
from handdata.files.text import Wanted, read_object
from handdata.files.whole import ENDING, write_bytes, write_text
from handdata.paths import RENDERED_MARK
from handdata.synth.frame import Camera, SequenceSpec, Style
from handdata.synth.render_many import Write, render_frames

T = TypeVar("T")
AIM_PX = 32
WORK = ".partial"  # folder of labels that wait for their table
FAULTS = ("wrong-label", "missing-file", "truncated-picture", "one-level-deeper")  # of real archives, docs/method.md 13


@dataclass(frozen=True, kw_only=True)
class Request:
    """What was asked for; two equal requests give equal trees.

    Attributes:
        dataset: name of the writer.
        frames: samples in total.
        seed: of the rendering.
        style: look of light, noise, skin and backgrounds.
        small: the coarse mesh, for tests.
        faults: some of FAULTS.
        backgrounds: picture files behind the hand.
    """

    dataset: str
    frames: int
    seed: int
    style: Style = "clean"
    small: bool = False
    faults: tuple[str, ...] = ()
    backgrounds: tuple[str, ...] = ()

    def spec(self, name: str, **shown: Any) -> SequenceSpec:
        """Return a recording of this tree, in the look that was asked for.

        Args:
            name: of the recording in its dataset; it and the seed decide what is rendered.
            shown: cameras, hands and motion: the other attributes of SequenceSpec.
        """
        return SequenceSpec(
            seed=self.seed,
            name=f"{self.dataset}/{name}",
            style=self.style,
            small=self.small,
            backgrounds=self.backgrounds,
            **shown,
        )


@dataclass(frozen=True, kw_only=True)
class Victims:
    """Where the faults go, at most one each.

    Attributes:
        mislabel: gives one frame another's label.
        missing: the file to take away.
        truncated: the picture to cut short.
        deeper: the folder whose content goes one level down.
        deeper_name: the name of that level.
    """

    mislabel: Callable[[], None]
    missing: Path
    truncated: Path
    deeper: Path
    deeper_name: str


def render_tree(
    root: Path,
    request: Request,
    *,
    tasks: Sequence[T],
    is_done: Callable[[T], bool],
    write: Write | Callable[[T], None],
    finish: Callable[[], None],
    victims: Callable[[], Victims],
    workers: int,
    render: Callable[..., None] | None = None,
) -> int:
    """Render what is not there yet, complete the tables, plant the faults, mark the tree as whole.

    Args:
        root: the dataset's own folder.
        request: what was asked for.
        tasks: every frame of the tree.
        is_done: tells whether a frame's files are all there.
        write: writes one frame's files; picklable, see `render_frames`.
        finish: writes what covers many frames: label tables, read-me files.
        victims: where the faults go; called only if there are any.
        workers: processes.
        render: does the tasks; called as `render_frames` is, which None stands for.

    Returns:
        The number of samples, `request.frames`.

    Raises:
        ConfigError: an unknown fault, no frames, or `root` holds something else or cannot be made.
        BusyError: somebody else renders into `root`.
    """
    _check(request)
    with alone(root, "rendering"):
        if _is_whole(root, request):
            shutil.rmtree(root / WORK, ignore_errors=True)  # what a failing disk did not let go of the last time
            return request.frames
        left = [task for task in tasks if not is_done(task)]
        run: Callable[..., None] = render or render_frames
        run(left, write, workers=workers, title=f"synth {request.dataset}")
        finish()
        if request.faults:
            _plant(request.faults, victims())
        shutil.rmtree(root / WORK, ignore_errors=True)
        _set_mark(root, request, whole=True)
    return request.frames


def _check(request: Request) -> None:
    unknown = sorted(set(request.faults) - set(FAULTS))
    if unknown:
        raise ConfigError("--faults", expected=f"some of {', '.join(FAULTS)}", got=", ".join(unknown))
    if request.frames < 1:
        raise ConfigError("--frames", expected="at least 1", got=str(request.frames))


def _is_whole(root: Path, request: Request) -> bool:
    fix = "Choose another --out, or remove that folder first."
    if (root / RENDERED_MARK).is_file():
        mark = _read_mark(root / RENDERED_MARK, fix)
        whole = bool(mark.pop("whole"))
        if mark != _facts(request):
            differ = ", ".join(
                f"{key} {mark.get(key)}" for key, value in _facts(request).items() if mark.get(key) != value
            )
            raise ConfigError(root, expected="the same rendering or no folder", got=f"one with {differ}", fix=fix)
        return whole
    (root / f"{RENDERED_MARK}.partial").unlink(missing_ok=True)  # what an earlier version left, killed in this moment
    if root.is_dir() and any(not path.name.endswith(ENDING) for path in root.iterdir()):  # a mark cut short is ours
        raise ConfigError(root, expected="an empty folder or none", got="files not rendered by handdata", fix=fix)
    _set_mark(root, request, whole=False)
    return False


def _read_mark(path: Path, fix: str) -> dict[str, Any]:
    mark = read_object(path, Wanted(what="the mark of a rendering", fix=fix, error=ConfigError))
    if not isinstance(mark.get("whole"), bool):
        raise ConfigError(path, expected="the mark of a rendering", got="something else", fix=fix)
    return mark


def _facts(request: Request) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(json.dumps(asdict(request)))
    return {"rendered_by": "handdata synth", **facts}


def _set_mark(root: Path, request: Request, *, whole: bool) -> None:
    write_text(root / RENDERED_MARK, json.dumps({**_facts(request), "whole": whole}, indent=1) + "\n")


# ------------------------------------------------------------------------------------------------ files


def write_picture(path: Path, image: NDArray[Any]) -> None:
    """Write a picture whole or not at all; the suffix decides the encoding.

    Args:
        path: .png or .bmp.
        image: (H, W, 3) uint8 RGB, or (H, W) uint8 or uint16.
    """
    stored = image[..., ::-1] if image.ndim == 3 else image
    good, data = cv2.imencode(path.suffix, np.ascontiguousarray(stored))
    if not good:
        raise ValueError(f"{path.suffix} does not take {image.dtype} {image.shape}")
    write_bytes(path, data.tobytes())


def label_path(root: Path, sequence: str, index: int) -> Path:
    """Return where a frame's labels wait until their table is written."""
    return root / WORK / sequence / f"{index:06d}.npy"


def save_labels(root: Path, sequence: str, index: int, labels: NDArray[Any]) -> None:
    """Keep a frame's labels for its table."""
    stream = BytesIO()
    np.save(stream, labels)
    write_bytes(label_path(root, sequence, index), stream.getbuffer())


def has_labels(root: Path, sequence: str, index: int) -> bool:
    """Tell whether a frame is finished: its labels, which are written last, are there and can be read."""
    try:
        read_labels(root, sequence, index)
    except DataError:
        return False
    return True


def read_labels(root: Path, sequence: str, index: int) -> NDArray[Any]:
    """Return the labels of one frame.

    Raises:
        DataError: they are not there, or damaged.
    """
    path = label_path(root, sequence, index)
    try:
        labels: NDArray[Any] = np.load(path)
    except (OSError, ValueError, EOFError) as error:
        fix = "Run the same command again: it renders that frame anew."
        raise DataError(path, expected="the labels of a frame", got=str(error), fix=fix) from error
    return labels


def load_labels(root: Path, sequence: str, count: int) -> NDArray[Any]:
    """Return the labels of a sequence's frames 0..count-1, stacked; errors as of `read_labels`."""
    return np.stack([read_labels(root, sequence, index) for index in range(count)])


# ------------------------------------------------------------------------------------------------ frames


def aim(K: NDArray[np.float64], width: int, height: int) -> Camera:
    """Return a camera at the world's origin that the renderer frames hands by and that costs next to nothing.

    Put it first: hands stay inside what it sees. Its pictures, of AIM_PX across, are not used.

    Args:
        K: (3, 3) px, intrinsics of the view that hands are to stay in.
        width: of that view, px.
        height: of that view, px.
    """
    tall = round(height * AIM_PX / width)
    half = np.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5], [0.0, 0.0, 1.0]])  # from pixel centres to edges
    small = np.linalg.inv(half) @ np.diag([AIM_PX / width, tall / height, 1.0]) @ half @ K
    return Camera(name="aim", K=small, width=AIM_PX, height=tall, background="none")


# ------------------------------------------------------------------------------------------------ counts


def shares(total: int, weights: Sequence[float]) -> list[int]:
    """Spread `total` over parts by weight, largest remainder first.

    With fewer than one each, the first `total` parts get one; else every part gets at least one.
    """
    parts = len(weights)
    if total <= parts:
        return [1] * total + [0] * (parts - total)
    ideal = (total - parts) * np.asarray(weights, np.float64) / sum(weights)
    counts = np.floor(ideal).astype(int)
    rest = total - parts - int(counts.sum())
    counts[np.argsort(-(ideal - counts), kind="stable")[:rest]] += 1
    return [int(count) + 1 for count in counts]


# ------------------------------------------------------------------------------------------------ faults


def _plant(faults: Sequence[str], victims: Victims) -> None:
    """Damage a whole tree; in the order of FAULTS, so that paths hold until the last."""
    if "wrong-label" in faults:
        victims.mislabel()
    if "missing-file" in faults:
        victims.missing.unlink(missing_ok=True)
    if "truncated-picture" in faults and victims.truncated.is_file():
        data = victims.truncated.read_bytes()
        write_bytes(victims.truncated, data[: len(data) // 2])
    if "one-level-deeper" in faults:
        nest(victims.deeper, victims.deeper_name)


def nest(folder: Path, name: str) -> None:
    """Move a folder's content one level down, as an archive unpacked into a folder of its own name does."""
    inner = folder / name
    content = [path for path in sorted(folder.iterdir()) if path.name not in (RENDERED_MARK, WORK)]
    temporary = folder / f".{name}.partial"
    temporary.mkdir()
    for path in content:
        path.rename(temporary / path.name)
    temporary.rename(inner)
