"""`handdata annotate-depth` without its page: what it derives from a journal, and what it refuses."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from handdata.annotate.depth.derive import survey
from handdata.annotate.depth.pictures import pictures_of, to_shown
from handdata.annotate.depth.recording import open_recording
from handdata.annotate.depth.session import DepthSession
from handdata.cli.annotate_depth import annotate_depth_command
from handdata.errors import ConfigError, MissingError
from handdata.geometry import project
from handdata.paths import DataRoot
from handdata.shards.schema import Flag
from handdata.skeleton import TIPS


def run(*arguments: object) -> str:
    words = list(map(str, arguments))
    done = CliRunner().invoke(annotate_depth_command, words, obj=DataRoot(Path()), catch_exceptions=False)
    return done.stderr


def test_what_was_clicked_is_derived_and_written_without_a_page(
    native_tree: Callable[[str], Path], tmp_path: Path
) -> None:
    root, out = native_tree("dexter"), tmp_path / "made.3d.json"
    recording = open_recording("dexter", "Rotate", root)
    found = survey(recording, 1)
    (frame,) = found.references
    session = DepthSession(pictures_of(recording, found.centres), out, found)
    session.begin(frame, (200.0, 100.0, 400.0, 300.0))
    tips = recording.tips[frame]
    uv = {k: tuple(place) for k, place in zip(TIPS, to_shown(project(tips, recording.K)), strict=True)}
    session.place(frame, 0, {k: place for k, place in uv.items() if np.isfinite(place[0])})
    session.accept(frame, frame)
    session.close()
    assert not out.exists()

    said = run("dexter/Rotate", "--root", root, "--out", out, "--references", 1, "--headless")

    assert f"{out}: saved. Convert it: handdata convert custom --root {recording.folder} --annotations {out}" in said
    content = json.loads(out.read_text())
    assert len(content["images"]) == len(recording)
    assert (recording.folder / content["images"][0]["file_name"]).is_file()
    assert {one["flags"] for one in content["annotations"]} == {int(Flag.DERIVED)}
    assert content["info"]["provenance"][0]["origin"] == "rendered"


def clicked_once(root: Path, out: Path) -> Path:
    """Click the tips of the frame that tells most, end the session, and return its depth picture."""
    recording = open_recording("dexter", "Rotate", root)
    found = survey(recording, 1)
    (frame,) = found.references
    session = DepthSession(pictures_of(recording, found.centres), out, found)
    session.begin(frame, (200.0, 100.0, 400.0, 300.0))
    session.accept(frame, frame)
    session.close()
    return recording.depth_paths[frame]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda depth: np.dstack([depth] * 3), "320 x 240 px, mm, got uint16 of 320 x 240 x 3. Unpack the depth"),
        (lambda depth: (depth // 256).astype(np.uint8), "320 x 240 px, mm, got uint8 of 320 x 240. Unpack"),
        (lambda depth: depth[::2, ::2], "320 x 240 px, mm, got uint16 of 160 x 120. Unpack"),
        (lambda depth: depth * 0, "clicked, but no surface lies near its fingertips: not used"),
        (None, "got a PNG cut short at 2000 bytes. Unpack that file from the archive again."),
    ],
    ids=["colours", "8 bit", "half", "without depth", "cut short"],
)
def test_a_clicked_frame_that_tells_nothing_is_named_and_the_command_fails(
    native_copy: Callable[[str], Path], tmp_path: Path, change: Callable[[Any], Any] | None, says: str
) -> None:
    root, out = native_copy("dexter"), tmp_path / "made.3d.json"
    picture = clicked_once(root, out)
    if change is None:
        picture.write_bytes(picture.read_bytes()[:2000])
    else:
        cv2.imwrite(str(picture), change(cv2.imread(str(picture), cv2.IMREAD_UNCHANGED)))

    words = ["dexter/Rotate", "--root", str(root), "--out", str(out), "--references", "1", "--headless"]
    done = CliRunner().invoke(annotate_depth_command, words, obj=DataRoot(Path()))

    assert isinstance(done.exception, MissingError)
    assert done.exception.got == "none of 1 accepted"
    assert picture.name in done.stderr
    assert says in done.stderr
    assert not out.exists()


@pytest.mark.filterwarnings("error")
def test_a_depth_picture_without_any_surface_is_shown(native_copy: Callable[[str], Path]) -> None:
    recording = open_recording("dexter", "Rotate", native_copy("dexter"))
    cv2.imwrite(str(recording.depth_paths[0]), np.zeros((240, 320), np.uint16))

    shown = pictures_of(recording, np.full((len(recording), 3), np.nan)).read(0)

    assert shown.shape == (480, 640, 3)
    assert (shown == shown[0, 0]).all()


def test_nothing_clicked_nothing_derived(native_tree: Callable[[str], Path], tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="expected what was clicked, got no such file"):
        run("dexter/Grasp2", "--root", native_tree("dexter"), "--out", tmp_path / "none.json", "--headless")

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("dexter/Grasp9",), "expected a sequence of dexter: Grasp1"),
        (("stereo/B1Counting",), "expected a sequence with depth, of dexter or dexter1"),
        (("dexter/Grasp2", "--calibration", "cameras.toml"), "expected it with dexter1"),
    ],
)
def test_what_cannot_be_labelled_is_refused(words: tuple[str, ...], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        run(*words)


def test_depth_that_was_not_unpacked_is_told(native_copy: Callable[[str], Path], tmp_path: Path) -> None:
    root = native_copy("dexter")
    for path in (root / "data/Grasp2/depth").iterdir():
        path.unlink()

    with pytest.raises(MissingError, match="of the colour pictures, got none"):
        run("dexter/Grasp2", "--root", root, "--out", tmp_path / "none.json")
