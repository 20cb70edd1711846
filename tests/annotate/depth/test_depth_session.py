"""A recording labelled from some frames: proposals for the next, the whole at the end, kept over a restart, written."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from handdata.annotate.depth.derive import survey
from handdata.annotate.depth.output import write_derived
from handdata.annotate.depth.pictures import pictures_of, to_depth, to_shown
from handdata.annotate.depth.place import DepthPlace
from handdata.annotate.depth.recording import DepthRecording, open_recording
from handdata.annotate.depth.session import DepthSession
from handdata.annotate.keypoints.marks import frame_from_json, frame_to_json
from handdata.converters import dexter1
from handdata.errors import ConfigError
from handdata.exchange.reading import read_annotations
from handdata.exchange.settle import Asked, settle
from handdata.geometry import transform
from handdata.shards.schema import Flag
from handdata.skeleton import BONES
from tests.annotate.depth.rendered import FRAMES, click_frame, clicked, made_recording, off, rendered, work_through


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> DepthRecording:
    return made_recording(tmp_path_factory.mktemp("recording"))


def opened(recording: DepthRecording, path: Path, references: int = 3) -> DepthSession:
    found = survey(recording, references)
    return DepthSession(pictures_of(recording, found.centres), path, found)


@pytest.fixture
def session(recording: DepthRecording, tmp_path: Path) -> Iterator[DepthSession]:
    made = opened(recording, tmp_path / "made.3d.json")
    yield made
    made.close()


def test_the_references_clicked_label_all_frames_and_convert_custom_reads_them(
    session: DepthSession, recording: DepthRecording
) -> None:
    assert len(session.survey.references) == 3
    for frame in session.survey.references:
        click_frame(session, frame)
        work_through(session)

    session.save()
    rows = settle(read_annotations(session.path), Asked(side="unknown")).rows
    truth = transform(recording.cameras["color"].T_camera_label, rendered()[0])
    assert [row.image for row in rows] == list(recording.pictures["color"])
    assert off(np.stack([row.hand.xyz[:21] for row in rows]), truth) < 7.0
    assert {row.hand.flags for row in rows} == {Flag.DERIVED}
    content = json.loads(session.path.read_text())
    told = [one["derived"] for one in content["annotations"]]
    assert [i for i, one in enumerate(told) if one == "clicked"] == sorted(session.survey.references)


def test_after_the_first_frame_the_others_have_a_proposal_with_its_3d(session: DepthSession) -> None:
    first, second, _ = session.survey.references
    assert session.cell(second).hands == ()

    click_frame(session, first)
    work_through(session)

    (hand,) = session.cell(second).hands
    truth = rendered()[0][second]
    K = session.recording.K
    uv = to_shown(truth[:, :2] / truth[:, 2:] * [K[0, 0], K[1, 1]] + K[:2, 2])
    assert np.linalg.norm(hand.uv - uv, axis=1).mean() < 20
    assert set(hand.sources) == {"model"}
    assert np.shape(session.fitted(second)[0]) == (21, 3)
    assert session.left() == 0


def test_hidden_points_and_nearer_ends_are_proposed_too_and_accepting_says_so(session: DepthSession) -> None:
    first = session.survey.references[0]
    second = first + 1 if first + 1 < FRAMES else first - 1
    click_frame(session, first)
    work_through(session)

    hand = session.cell(second).hands[0]
    hidden = np.array([state == "occluded" for state in hand.states])
    assert (hidden != clicked([second]).hidden[0]).sum() < 4
    deeper = np.array([rendered()[0][second][b, 2] - rendered()[0][second][a, 2] for a, b in BONES])
    told = np.flatnonzero(hand.nearer)
    assert len(told) > 3
    assert (np.sign(deeper[told]) == np.array(hand.nearer)[told]).mean() > 0.8
    session.tell_nearer(second, 0, int(told[0]) + 1, "start" if hand.nearer[told[0]] < 0 else "end")
    said = session.cell(second).hands[0].nearer
    assert said[told[0]] == -hand.nearer[told[0]]
    session.accept(second, second)
    assert session.marks[second].hands[0].nearer == said
    work_through(session)
    assert session.cell(second).hands[0].nearer == said


def test_what_is_taken_back_counts_no_more(session: DepthSession) -> None:
    first, second, _ = session.survey.references
    click_frame(session, first)
    work_through(session)
    session.release(first, first)

    assert np.isnan(session.derivation.xyz).all()
    assert session.cell(second).hands == ()
    session.save()
    assert not session.path.exists()

    session.undo()
    work_through(session)
    assert np.isfinite(session.derivation.xyz).all()


def test_what_was_said_is_there_after_a_restart(recording: DepthRecording, tmp_path: Path) -> None:
    path = tmp_path / "again.3d.json"
    first = opened(recording, path)
    frame = first.survey.references[0]
    click_frame(first, frame)
    work_through(first)
    before = first.derivation.xyz.copy()
    first.close()
    assert path.exists()

    second = opened(recording, path)
    work_through(second)

    assert np.array_equal(second.derivation.xyz, before)
    assert any(second.marks[frame].hands[0].nearer)
    second.undo()
    assert not second.marks[frame].accepted
    second.close()


def test_frames_without_a_hand_have_no_label(session: DepthSession, recording: DepthRecording) -> None:
    click_frame(session, session.survey.references[0])
    work_through(session)
    other = session.survey.references[1]
    session.gone(other, 0)

    assert np.isnan(session.derived().xyz[other]).all()
    assert np.isfinite(session.derived().xyz).all(axis=(1, 2)).sum() == FRAMES - 1


def test_nearer_ends_stay_with_the_hand_and_are_read_back(session: DepthSession) -> None:
    frame = 2
    session.begin(frame, (100.0, 100.0, 400.0, 400.0), "left")
    session.tell_nearer(frame, 0, 8, "end")
    session.place(frame, 0, {8: (200.0, 200.0)})
    session.accept(frame, frame)
    session.release(frame, frame)

    mark = session.marks[frame]
    assert mark.hands[0].nearer[7] == -1
    assert frame_from_json(json.loads(json.dumps(frame_to_json(mark)))) == mark
    session.tell_nearer(frame, 0, 8, "unknown")
    assert session.marks[frame].hands[0].nearer == ()


@pytest.mark.parametrize(("k", "end"), [(0, "start"), (21, "end"), (3, "left")])
def test_no_such_end(session: DepthSession, k: int, end: str) -> None:
    session.begin(0, (100.0, 100.0, 400.0, 400.0), "left")
    with pytest.raises(ConfigError):
        session.tell_nearer(0, 0, k, end)


def test_the_page_is_told_which_frames_are_to_be_labelled(session: DepthSession) -> None:
    place, references = DepthPlace(session), session.survey.references
    heads = {frame: head for frame, (head, _) in place.changes(0, 0)["frames"].items()}
    assert [frame for frame, head in heads.items() if head[8] == "reference"] == sorted(references)

    click_frame(session, references[0])
    body = {"op": "nearer", "frame": references[0], "hand": 0, "point": 5, "end": "start"}
    place.edit(json.dumps(body).encode())

    head, (hand,) = place.changes(0, 0)["frames"][references[0]]
    assert head[8] != "reference"
    assert hand[-1][4] == 1
    assert place.progress().accepted == 1
    for wrong in ({"op": "nearer", "frame": 0, "hand": 0, "point": 5}, {"op": "jump"}):
        with pytest.raises(ConfigError):
            place.edit(json.dumps(wrong).encode())
    with pytest.raises(ConfigError):
        place.import_text("json", "{}")


def test_pictures_are_twice_as_large_and_shown_as_relief_or_in_colour(recording: DepthRecording) -> None:
    found = survey(recording, 2)
    relief, color = (pictures_of(recording, found.centres, look).read(0) for look in ("depth", "color"))
    hand = np.kron(rendered()[1][0] > 0, np.ones((2, 2))) > 0

    assert relief.shape == color.shape == (480, 640, 3)
    assert relief[hand].mean() > relief[~hand].mean() + 40
    assert (color[hand].max(axis=1) == 0).mean() > 0.5  # the colour picture is black; some of the hand lies beyond it
    assert np.allclose(to_shown(to_depth(np.array([[13.0, 77.0]]))), [[13, 77]])


def test_without_a_colour_camera_depth_becomes_pictures(tmp_path: Path, recording: DepthRecording) -> None:
    alone = replace(recording, cameras={}, pictures={})
    session = opened(alone, tmp_path / "alone.3d.json")
    click_frame(session, session.survey.references[0])
    work_through(session)

    write_derived(session.path, alone, session.derived())

    session.close()
    rows = settle(read_annotations(session.path), Asked(side="unknown")).rows
    picture = cv2.imread(str(tmp_path / rows[0].image))
    assert len(rows) == FRAMES
    assert picture.shape == (240, 320, 3)
    assert np.allclose(rows[0].hand.K, alone.K)
    with pytest.raises(ConfigError, match="--picture"):
        pictures_of(alone, session.survey.centres, "color")


def test_a_broken_picture_is_named_and_left_out(tmp_path: Path) -> None:
    recording = made_recording(tmp_path)
    recording.depth_paths[4].write_bytes(b"no picture")
    session = opened(recording, tmp_path / "broken.3d.json")
    click_frame(session, session.survey.references[0])
    work_through(session)

    assert list(session.broken) == [4]
    assert np.flatnonzero(np.isnan(session.derivation.xyz[:, 0, 0])).tolist() == [4]
    session.close()


@pytest.mark.parametrize(
    ("dataset", "sequence", "side"), [("dexter", "Grasp2", "left"), ("dexter1", "random", "right")]
)
def test_recordings_are_found_in_native_trees(
    native_tree: Callable[[str], Path], dataset: str, sequence: str, side: str
) -> None:
    found = open_recording(dataset, sequence, native_tree(dataset))

    assert found.side == side
    assert len(found) >= 1
    assert all(path.is_file() for path in found.depth_paths)
    depth, tips = found.depth(0), found.tips[0][np.isfinite(found.tips[0][:, 2])]
    uv = np.rint(tips[:, :2] / tips[:, 2:] * [found.K[0, 0], found.K[1, 1]] + found.K[:2, 2]).astype(int)
    assert len(tips) > 0
    assert np.abs(depth[uv[:, 1], uv[:, 0]] - tips[:, 2]).min() < 15  # one is seen
    assert np.isfinite(found.starts()).all()


def test_dexter1_with_a_calibration_labels_its_colour_cameras(
    native_tree: Callable[[str], Path], tmp_path: Path
) -> None:
    path = tmp_path / "cameras.toml"
    K, T = [[310.0, 0.0, 160.0], [0.0, 310.0, 120.0], [0.0, 0.0, 1.0]], np.eye(4)[:3].tolist()
    path.write_text(f"[cam2]\nsize = [320, 240]\nK = {K}\nT_camera_tof = {T}\n")

    found = open_recording("dexter1", "random", native_tree("dexter1"), path)

    assert set(found.cameras) == {"cam2"} <= set(dexter1.COLOR_CAMERAS)
    assert all((found.folder / name).is_file() for name in found.pictures["cam2"])


@pytest.mark.parametrize(("dataset", "sequence"), [("stereo", "B1Counting"), ("dexter", "Grasp9"), ("dexter", "")])
def test_other_sequences_are_refused(native_tree: Callable[[str], Path], dataset: str, sequence: str) -> None:
    with pytest.raises(ConfigError, match="annotate-depth: expected a sequence"):
        open_recording(dataset, sequence, native_tree("dexter"))


def test_proposals_stay_while_better_ones_are_derived_and_work_that_is_overtaken_counts_for_nothing(
    session: DepthSession,
) -> None:
    first, second, third = session.survey.references
    click_frame(session, first)
    work_through(session)
    before = session.cell(third).hands[0].uv

    click_frame(session, second)

    assert np.array_equal(session.cell(third).hands[0].uv, before)
    step = session.derivation.next_step()
    session.release(second, second)
    assert step()() == []
    work_through(session)
    assert np.allclose(session.cell(third).hands[0].uv, before)


def test_a_frame_carried_after_its_reference_was_taken_back_changes_nothing(session: DepthSession) -> None:
    first = session.survey.references[0]
    click_frame(session, first)
    session.work()  # lifts
    step = session.derivation.next_step()
    session.release(first, first)

    assert step()() == []
    assert np.isnan(session.derivation.xyz).all()
    assert session.derivation.next_step() is None
