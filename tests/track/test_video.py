"""Videos in and out, and a whole run over one: every picture a line, every hand a row, and nothing half-written."""

import json
import struct

import cv2
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from handdata.errors import DataError, MissingError, WriteError
from handdata.progress import Meter
from handdata.shards.hand import Hand
from handdata.track import tables
from handdata.track.run import track_video
from handdata.track.smooth import Smoothed
from handdata.track.stills import find_hands
from handdata.track.tracker import TrackedHand, Tracker
from handdata.track.video import Video, is_live, is_video, video_writer
from tests.track.made_world import World


@pytest.fixture
def film(tmp_path):
    """Twelve pictures of a hand that moves to the right, as an MP4."""
    world = World({"left": np.array([60.0, 120.0])})
    with video_writer(tmp_path / "film.mp4", 25.0) as add:
        for i in range(12):
            world.middles["left"] = np.array([60.0 + 5 * i, 120.0])
            add(world.picture())
    return tmp_path / "film.mp4"


def boxes(data, edit):
    """Return the boxes of an MP4 (ISO/IEC 14496-12, 4.2), the contents of those at the ends of the tree edited."""
    done, at = b"", 0
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        inside = data[at + 8 : at + size]
        is_branch = kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl")
        inside = boxes(inside, edit) if is_branch else edit(kind, inside)
        done += struct.pack(">I4s", len(inside) + 8, b"free" if kind == b"edts" else kind) + inside
        at += size
    return done


def test_a_phones_film_is_timed_as_its_pictures_were_taken(film):
    """Phones take fewer pictures in the dark. By the mean rate the times were up to 0.12 s off here."""
    lasting = [1] * 6 + [2] * 3 + [1] * 3

    def edit(kind, inside):
        if kind != b"stts":  # how long each picture is shown: 8.6.1.2
            return inside
        _, _, step = struct.unpack_from(">3I", inside, 4)
        return struct.pack(">2I", 0, 12) + b"".join(struct.pack(">2I", 1, step * times) for times in lasting)

    film.write_bytes(
        boxes(film.read_bytes(), edit)
    )  # what the box of the pictures says of places stays true: it is first

    pictures = list(Video(str(film)))
    assert [picture.number for picture in pictures] == list(range(12))
    assert [round(picture.seconds * 25, 6) for picture in pictures] == [0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 13, 14]


@pytest.mark.parametrize("name", ["none.jpg", "text.jpg"])
def test_what_the_caller_of_the_library_names_is_no_part_of_an_archive(tmp_path, name):
    (tmp_path / "text.jpg").write_text("no picture")
    for look in (lambda: list(Video([tmp_path / name])), lambda: list(find_hands(tmp_path / name, None, lambda _: []))):
        with pytest.raises((MissingError, DataError)) as caught:
            look()
        assert str(caught.value).endswith(("Check the path.", "Save it again as PNG, JPEG or BMP, or leave it out."))


def test_a_video_is_read_as_it_was_written(film):
    video = Video(str(film))
    pictures = list(video)
    assert (video.fps, video.total, len(pictures)) == (25.0, 12, 12)
    assert [picture.number for picture in pictures] == list(range(12))
    assert pictures[5].seconds == pytest.approx(0.2)
    world = World({"left": np.array([60.0 + 25, 120.0])})
    assert np.abs(pictures[5].image.astype(float) - world.picture()).mean() < 12  # RGB, not BGR; coded with loss
    assert list(film.parent.iterdir()) == [film]


def test_pictures_of_a_folder_are_a_video_too(tmp_path):
    for i in range(3):
        cv2.imwrite(str(tmp_path / f"{i}.png"), np.full((8, 8, 3), 10 * i, np.uint8))
    video = Video(sorted(tmp_path.glob("*.png")), fps=10)
    assert [(p.name, p.seconds, int(p.image[0, 0, 0])) for p in video] == [
        ("0.png", 0.0, 0), ("1.png", 0.1, 10), ("2.png", 0.2, 20),
    ]  # fmt: skip


def test_pictures_of_several_sizes_are_no_video(tmp_path):
    for i, side in enumerate((8, 8, 16)):
        cv2.imwrite(str(tmp_path / f"{i}.png"), np.zeros((8, side, 3), np.uint8))
    video = Video(sorted(tmp_path.glob("*.png")), fps=10)

    with pytest.raises(
        DataError, match=r"2\.png: expected 8 x 8 px as the first, got 16 x 8 px\. Hands are followed in"
    ):
        track_video(video, lambda *_: [], tmp_path / "out", Meter("x", 3, None))

    assert list((tmp_path / "out").iterdir()) == []


def test_what_is_no_video_is_told(tmp_path):
    (tmp_path / "x.mp4").write_bytes(b"no video")
    with pytest.raises(DataError, match="expected a video that OpenCV can read"):
        Video(str(tmp_path / "x.mp4"))
    with pytest.raises(MissingError, match="no such file"):
        Video(str(tmp_path / "y.mp4"))


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("camera:99", "expected a camera or a stream that answers"),
        ("camera:front", "expected camera: and its number, such as camera:0, got 'front'"),
        ("http://127.0.0.1:9/none.mjpg", "expected a camera or a stream that answers"),
    ],
)
def test_a_camera_that_is_not_there_is_told_in_one_line(source, said, capfd):
    with pytest.raises(DataError, match=said):
        Video(source)
    assert capfd.readouterr().err == ""


def test_codecs_that_are_not_there_are_tried_in_silence(tmp_path, capfd):
    with video_writer(tmp_path / "film.mp4", 25.0) as add:
        add(np.zeros((48, 64, 3), np.uint8))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("source", "video", "live"),
    [("a.MP4", True, False), ("camera:0", True, True), ("rtsp://x/y", True, True), ("a.jpg", False, False)],
)
def test_sources_are_told_apart_by_their_names(source, video, live):
    assert (is_video(source), is_live(source)) == (video, live)


def followed(film, out, pose=None, **options):
    world = World({"left": np.array([60.0, 120.0])})

    class Moving(Tracker):
        def __call__(self, image, seconds):
            world.middles["left"] = np.array([60.0 + 5 * round(25 * seconds), 120.0])
            return super().__call__(image, seconds)

    tracker = Moving(world.detect, pose or world.pose)
    return track_video(Video(str(film)), tracker, out, Meter("x", 12, None), **options)


def test_a_run_writes_a_line_per_picture_a_row_per_hand_and_a_video(film, tmp_path):
    counts = followed(film, tmp_path / "out")
    lines = [json.loads(line) for line in (tmp_path / "out/hands.jsonl").read_text().splitlines()]
    table = pd.read_csv(tmp_path / "out/hands.csv")

    assert (counts.pictures, counts.with_hands, counts.tracks) == (12, 12, {0})
    assert [line["frame"] for line in lines] == list(range(12))
    assert table.frame.tolist() == list(range(12))
    np.testing.assert_allclose(
        table[["wrist_u", "wrist_v"]].to_numpy()[4], lines[4]["hands"][0]["keypoints_2d_smoothed"][0], atol=0.01
    )
    assert Video(str(tmp_path / "out/overlay.mp4")).total == 12
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["hands.csv", "hands.jsonl", "overlay.mp4"]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_table_is_the_same_in_pieces(kind, film, tmp_path, monkeypatch):
    """It is written while the video is read: an hour's rows once took 400 MB."""
    followed(film, tmp_path / "whole", table=kind, overlay=False)
    monkeypatch.setattr(tables, "PIECE", 5)
    followed(film, tmp_path / "pieces", table=kind, overlay=False)

    whole, pieces = ((tmp_path / name / f"hands.{kind}").read_bytes() for name in ("whole", "pieces"))
    assert whole == pieces
    assert len(whole) > 1000


def test_a_table_of_the_other_kind_is_not_left_beside_the_new_one(film, tmp_path):
    for kind in ("csv", "parquet", "csv"):
        followed(film, tmp_path / "out", table=kind, overlay=False)
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted([f"hands.{kind}", "hands.jsonl"])


def gray_film(path, codec, shades):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 25, (64, 48))
    for shade in shades:
        writer.write(np.full((48, 64, 3), shade, np.uint8))
    writer.release()
    return path


def test_a_film_that_cannot_be_decoded_is_told_in_one_line_with_a_way_out(tmp_path, capfd):
    """As of AV1 where OpenCV has no decoder: it says so three times on standard error itself."""
    path = gray_film(tmp_path / "film.mp4", "mp4v", range(0, 200, 50))
    path.write_bytes(
        boxes(path.read_bytes(), lambda kind, inside: b"\xff" * len(inside) if kind == b"mdat" else inside)
    )

    with pytest.raises(DataError, match=r"got not one that OpenCV can decode\. Write it as H\.264, as with ffmpeg"):
        list(Video(str(path)))
    assert capfd.readouterr().err == ""


def test_a_film_that_was_cut_short_is_said(tmp_path, capsys):
    path = gray_film(tmp_path / "film.avi", "MJPG", range(0, 200, 5))
    assert len(list(Video(str(path)))) == 40
    assert capsys.readouterr().err == ""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    seen = len(list(Video(str(path))))
    assert 0 < seen < 30
    said = f"{path}: {seen} of 40 pictures can be read: the file is damaged or cut short\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("hands", ["none", "some"])
def test_a_frame_without_a_hand_has_a_row_of_its_own(kind, hands, film, tmp_path):
    def tracker(image, seconds):
        if hands == "none" or seconds > 0.02:
            return []
        hand = Hand(
            image=image,
            side="left",
            keypoints_2d=np.ones((21, 2)),
            crop_box=np.array([0.0, 0, 9, 9]),
            peaks=np.full(21, 0.5),
        )
        smoothed = Smoothed(hand.keypoints_2d, hand.keypoints_3d_normalized)
        return [TrackedHand(track=4, state="seen", confidence=0.5, hand=hand, smoothed=smoothed)]

    track_video(Video(str(film)), tracker, tmp_path, Meter("x", 12, None), table=kind, overlay=False)
    path = tmp_path / f"hands.{kind}"
    table = pd.read_csv(path, dtype={"track": "Int64"}) if kind == "csv" else pd.read_parquet(path)

    assert table.frame.tolist() == list(range(12))
    assert table.side.notna().sum() == table.wrist_u.notna().sum() == (hands == "some")
    assert table.track.dropna().tolist() == ([4] if hands == "some" else [])
    assert table.wrist_confidence.dropna().tolist() == ([0.5] if hands == "some" else [])
    if kind == "csv":
        last = path.read_text().splitlines()[-1]
        assert last == "11,,0.440" + "," * (len(table.columns) - 3)
    else:  # the same types in every file, so that files of several videos can be read together
        kinds = {field.name: str(field.type) for field in pq.read_schema(path)}
        assert kinds["side"] in ("large_string", "string")  # the latter of pandas 2
        assert (kinds["track"], kinds["wrist_u"]) == ("int64", "double")


def test_every_second_picture_and_no_overlay(film, tmp_path):
    counts = followed(film, tmp_path / "out", every=2, overlay=False)
    assert counts.pictures == 6
    assert not (tmp_path / "out/overlay.mp4").exists()


def test_an_interruption_keeps_what_was_found_and_an_error_leaves_nothing(film, tmp_path):
    world, calls = World({"left": np.array([60.0, 120.0])}), []

    def failing(error):
        def pose(image, boxes, sides):
            calls.append(1)
            if len(calls) == 6:  # a new hand is looked at twice
                raise error
            return world.pose(image, boxes, sides)

        return pose

    counts = followed(film, tmp_path / "one", failing(KeyboardInterrupt()))
    assert (counts.pictures, counts.interrupted) == (4, True)
    assert len((tmp_path / "one/hands.jsonl").read_text().splitlines()) == 4
    assert Video(str(tmp_path / "one/overlay.mp4")).total == 4

    calls.clear()
    with pytest.raises(RuntimeError):
        followed(film, tmp_path / "two", failing(RuntimeError()))
    assert list((tmp_path / "two").iterdir()) == []


def write_film(path, count):
    rng = np.random.default_rng(0)
    with video_writer(path, 25.0) as add:
        for _ in range(count):
            add(rng.integers(0, 256, (96, 128, 3)).astype(np.uint8))


def test_a_film_whose_writes_fail_is_refused_and_leaves_nothing(tmp_path, file_limit):
    """OpenCV goes on as if nothing had happened."""
    file_limit(20_000)
    with pytest.raises(WriteError, match=r"film\.mp4: expected a film written whole, got one with parts missing"):
        write_film(tmp_path / "film.mp4", 10)

    assert list(tmp_path.iterdir()) == []
