"""`handdata predict` as typed: hands found by the detector, several in a picture, none, and a video."""

import json
import os
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import cv2
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from handdata.cli import group
from handdata.errors import ConfigError, DataError
from handdata.model import detector
from handdata.model.model import Model, load_model
from handdata.model.spots import Spot
from handdata.shards.hand import Hand
from handdata.skeleton import KEYPOINTS, LEFT
from handdata.synth.frame import project_world
from handdata.synth.picture import render_hand
from handdata.track.stills import ROUND_POINTS, Question, find_hands, hands_in, one_of_each
from handdata.track.video import Video, video_writer

BOXES = {"two": [(10, 10, 60, 60), (80, 20, 150, 90)], "one": [(20, 20, 90, 90)], "bare": []}


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    """Three pictures, told apart by their brightness, and a detector that knows what is in them."""
    levels = {"two": 200, "one": 120, "bare": 40}
    for name, level in levels.items():
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.full((120, 160, 3), level, np.uint8))

    def find(image):
        if image.shape[0] == 192:
            return []
        name = min(levels, key=lambda one: abs(levels[one] - float(image.mean())))
        return [Spot(np.array(box, float), 0.9 - 0.1 * i, "left") for i, box in enumerate(BOXES[name])]

    monkeypatch.setattr(detector, "Spotter", lambda **_: find)
    return tmp_path


def _certain(whole):
    """Answer with a hand that fills the box that was asked about as hands do; the whole picture is none."""

    def find(self, *arguments):
        hands = whole(self, *arguments)
        for hand in hands:
            left, top, right, bottom = hand.crop_box
            inner = (right - left) * (1 - 1 / ROUND_POINTS) / 2
            corners = [(left + inner, top + inner), (right - inner, bottom - inner)]
            object.__setattr__(hand, "keypoints_2d", np.array([corners[i % 2] for i in range(21)]) - 0.5)
            object.__setattr__(hand, "presence", 0.9 if right - left < 119 else 0.1)  # the pictures are 120 px high
            object.__setattr__(hand, "peaks", np.full(21, 0.9))
        return hands

    return find


@pytest.fixture
def _sure(monkeypatch):
    """A model that sees a hand in every box, flat as the pictures are."""
    monkeypatch.setattr(Model, "_find", _certain(Model._find))


def run(root, *words):
    return CliRunner().invoke(group, ["--data-root", str(root), "predict", *map(str, words), "--device", "cpu"])


@pytest.mark.usefixtures("_sure")
def test_every_hand_that_is_found_is_answered_and_pictures_without_are_named(pictures):
    result = run(pictures, pictures, "--out", pictures / "drawn")

    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    samples = content["samples"]
    assert [one["sample_id"] for one in samples] == ["one.png", "two.png#1", "two.png#2"]
    assert [one["image"] for one in samples] == ["one.png", "two.png", "two.png"]
    assert content["pictures"] == [
        {"image": f"{name}.png", "width": 160, "height": 120, "hands": len(BOXES[name])}
        for name in ("bare", "one", "two")
    ]
    for one in samples:
        assert (one["presence"], one["peaks"]) == (0.9, [0.9] * 21)
        assert one["confidence"] == one["score"] == 0.81  # presence times the median peak
    for one, box in zip(samples, [*BOXES["one"], *BOXES["two"]], strict=True):
        left, top, right, bottom = one["crop_xyxy"]
        assert (left + right, top + bottom) == pytest.approx((box[0] + box[2], box[1] + box[3]), abs=0.01)
        assert (right - left) / (box[2] - box[0]) == pytest.approx(1.2, abs=0.2)  # as wide as the points ask for
    assert "3 hands in 3 pictures" in result.stderr
    assert "no hand found in 1 picture: bare.png" in result.stderr
    assert sorted(path.name for path in (pictures / "drawn").iterdir()) == ["bare.png", "one.png", "two.png"]


@pytest.mark.usefixtures("_sure")
def test_a_person_at_a_terminal_gets_a_line_per_hand(pictures, monkeypatch):
    monkeypatch.setattr("handdata.cli.predict.sys", SimpleNamespace(stdout=SimpleNamespace(isatty=lambda: True)))
    shots = [str(pictures / name) for name in ("two.png", "bare.png")]
    words = ["predict", *shots, "--hand", "left", "--out", str(pictures / "out")]

    shown = CliRunner().invoke(group, words)
    assert [re.sub(r"-?\d+ to -?\d+", "A to B", line) for line in shown.stdout.splitlines()] == [
        *(f"two.png#{number}: left hand, confidence 0.81, x A to B, y A to B px" for number in (1, 2)),
        "bare.png: no hand",
    ]
    assert "with --json, or with > FILE" in shown.stderr

    assert len(json.loads(CliRunner().invoke(group, [*words, "--json"]).stdout)["samples"]) == 2


def test_a_picture_of_one_hand_alone_is_answered_where_the_model_sees_it(pictures):
    """The detector knows hands that are a part of a picture; the model is asked about the whole of it too."""
    frame = render_hand(4711, 3, "clean", 192, side=LEFT, fill=(0.6, 0.65))
    cv2.imwrite(str(pictures / "crop.png"), frame.views[0].image[..., ::-1])
    result = run(pictures, pictures / "crop.png", "--no-overlay")

    (found,) = json.loads(result.stdout)["samples"]
    assert found["sample_id"] == "crop.png"
    truth = project_world(frame.hands[0].keypoints_3d, frame.views[0].camera)
    assert np.linalg.norm(np.array(found["keypoints_2d"]) - truth, axis=1).mean() < 0.06 * 192


def test_one_picture_may_be_named_without_a_list(pictures):
    model = load_model("compact", "cpu")
    for named in (pictures / "one.png", str(pictures / "one.png")):
        assert [path for path, *_ in find_hands(named, model)] == [pictures / "one.png"]


@pytest.mark.usefixtures("_sure")
def test_one_picture_in_memory_has_the_hands_of_its_file(pictures):
    model = load_model("compact", "cpu")
    for path, image, hands in find_hands([pictures / f"{name}.png" for name in BOXES], model, most_hands=2):
        found = hands_in(image, model, detector.Spotter(), Question(), most_hands=2)

        assert len(found) == len(hands) == len(BOXES[path.stem])
        for one, other in zip(found, hands, strict=True):
            np.testing.assert_array_equal(one.keypoints_2d, other.keypoints_2d)


@pytest.mark.usefixtures("_sure")
def test_a_damaged_picture_costs_no_others_if_it_is_to_be_left_out(pictures):
    (pictures / "bad.jpg").write_bytes(b"no picture")
    refused = run(pictures, pictures, "--no-overlay")
    result = run(pictures, pictures, "--no-overlay", "--skip-bad")
    labelled = CliRunner().invoke(group, ["label", str(pictures), "--skip-bad", "--device", "cpu"])

    assert "bad.jpg" in str(refused.exception)
    assert "pass --skip-bad to leave it out" in str(refused.exception)
    assert [one["sample_id"] for one in json.loads(result.stdout)["samples"]] == ["one.png", "two.png#1", "two.png#2"]
    for said in (result.stderr, labelled.stderr):
        assert "left out 1 of 4 pictures, which cannot be read: bad.jpg" in said
    assert "goes with pictures" in run(pictures, pictures, "--fps", 25, "--skip-bad").output
    alone = str(run(pictures, pictures / "bad.jpg", "--skip-bad").exception)
    assert alone.endswith("got a file that begins with b'no p'. Save it again.")  # it was left out already


@pytest.mark.usefixtures("_sure")
def test_pictures_of_a_kind_that_is_not_read_are_refused_by_name_and_told_of_a_folder(pictures):
    (pictures / "scan.TIF").write_bytes(b"II*")
    (pictures / "notes.txt").write_text("none")
    named = run(pictures, pictures / "one.png", pictures / "scan.TIF", "--no-overlay")
    result = run(pictures, pictures, "--no-overlay")

    assert str(named.exception).startswith(
        f"{pictures / 'scan.TIF'}: expected a picture, got a file that ends in .TIF. Known"
    )
    assert len(json.loads(result.stdout)["pictures"]) == 3
    assert "left out pictures of kinds that are not read: 1 .tif. Known are .bmp" in result.stderr


@pytest.mark.usefixtures("_sure")
def test_a_camera_that_cannot_be_is_refused_and_one_that_gives_no_millimetres_told(pictures):
    (pictures / "K.json").write_text("[[500, 0, 0], [0, 500, 0], [80, 60, 1]]")
    turned = run(pictures, pictures / "one.png", "--camera", pictures / "K.json", "--no-overlay")
    (pictures / "K.json").write_text("[[0.8, 0, 0.5], [0, 0.8, 0.5], [0, 0, 1]]")  # in widths of the picture, not px
    result = run(pictures, pictures / "one.png", "--camera", pictures / "K.json", "--no-overlay")

    assert "focal lengths above 0 and below 1e9, last row 0 0 1, got [[500.0, 0.0, 0.0], " in str(turned.exception)
    assert json.loads(result.stdout)["samples"][0]["depth_sd_mm"] is None
    assert "no millimetres for 1 of the hands, whose points do not determine them: one.png" in result.stderr


@pytest.mark.usefixtures("_sure")
def test_a_camera_of_pictures_of_another_size_is_told(pictures):
    """The pictures are 160 x 120; the millimetres are given all the same."""
    (pictures / "K.json").write_text("[[500, 0, 319.5], [0, 500, 239.5], [0, 0, 1]]")
    with video_writer(pictures / "film.mp4", 30.0) as add:
        for _ in range(2):
            add(np.full((120, 160, 3), 120, np.uint8))
    told = "cx, cy = 319.5, 239.5 px lie far from the middle of {}. Is K of pictures of another size? Then scale it"
    still = run(pictures, pictures / "one.png", pictures / "two.png", "--camera", pictures / "K.json", "--no-overlay")
    film = run(pictures, pictures / "film.mp4", "--camera", pictures / "K.json", "--out", pictures / "out")
    (pictures / "K.json").write_text("[[125, 0, 90], [0, 125, 50], [0, 0, 1]]")  # a middle that is a little off
    own = run(pictures, pictures / "one.png", "--camera", pictures / "K.json", "--no-overlay")

    assert told.format("one.png, 160 x 120 and 1 more") in still.stderr
    assert told.format("the video, 160 x 120") in film.stderr
    assert json.loads(still.stdout)["samples"][0]["keypoints_3d"] is not None
    assert "cx, cy" not in own.stderr


def test_a_folder_is_no_picture_and_no_hands_are_nothing_to_ask_for(tmp_path):
    model = load_model("compact", "cpu")
    with pytest.raises(DataError, match="expected a picture, got a folder"):
        list(find_hands(tmp_path, model))
    with pytest.raises(ConfigError, match="most_hands: expected 1 or more, got -1"):
        list(find_hands("photo.jpg", model, most_hands=-1))


def test_of_two_answers_about_one_hand_the_surer_stays():
    """A second look at one hand, one at a part of it, and another hand that touches it."""

    def hand(left, top, side, confidence):
        box = np.array([left, top, left + side, top + side], float)
        points = np.array([box[:2], box[2:]])[np.arange(21) % 2]
        return Hand(
            id=str(confidence), image=None, side="left", keypoints_2d=points, presence=confidence, peaks=np.ones(21)
        )

    found = [hand(10, 10, 60, 0.7), hand(14, 12, 58, 0.8), hand(30, 40, 20, 0.6), hand(60, 10, 60, 0.5)]
    assert [one.presence for one in one_of_each(found)] == [0.8, 0.5]


@pytest.mark.usefixtures("_sure")
def test_fewer_hands_and_a_box_of_ones_own(pictures):
    one = json.loads(run(pictures, pictures / "two.png", "--max-hands", 1, "--no-overlay").stdout)["samples"]
    given = json.loads(run(pictures, pictures / "bare.png", "--box", 10, 10, 50, 50, "--no-overlay").stdout)["samples"]

    assert [sample["sample_id"] for sample in one] == ["two.png"]
    assert given[0]["crop_xyxy"] == [10, 10, 60, 60]


def test_a_video_goes_to_a_table_lines_and_overlays(pictures):
    with video_writer(pictures / "film.mp4", 30.0) as add:
        for _ in range(4):
            add(np.full((120, 160, 3), 120, np.uint8))
    result = run(pictures, pictures / "film.mp4", "--out", pictures / "out")

    assert result.exit_code == 0, result.output
    assert len((pictures / "out/hands.jsonl").read_text().splitlines()) == 4
    assert Video(str(pictures / "out/overlay.mp4")).total == 4
    assert "of 4 frames show hands" in result.stderr


BOX_TABLE = "img_name,x,y,w,h\nfilm/0,10,10,60,50\nfilm/1,,,,\nfilm/2,20,10,60,50\n"


def test_a_video_with_boxes_and_a_camera_goes_to_millimetres_per_frame(pictures):
    """Without a detector: the boxes say where, the camera and the size of the hand how far."""
    with video_writer(pictures / "film.mp4", 30.0) as add:
        for _ in range(4):
            add(np.full((120, 160, 3), 120, np.uint8))
    (pictures / "boxes.csv").write_text(BOX_TABLE)
    words = (pictures / "film.mp4", "--boxes", pictures / "boxes.csv", "--detector", "none", "--out", pictures / "out")
    result = run(pictures, *words, "--fov", 60, "--hand-size", 80, "--table", "parquet", "--no-overlay")

    assert result.exit_code == 0, result.output
    lines = [json.loads(line) for line in (pictures / "out/hands.jsonl").read_text().splitlines()]
    assert [len(line["hands"]) for line in lines] == [1, 0, 1, 0]
    (hand,) = lines[2]["hands"]
    assert hand["crop_xyxy"] == [20, 5, 80, 65]
    table = pd.read_parquet(pictures / "out/hands.parquet")
    assert table.frame.tolist() == [0, 1, 2, 3]
    assert table.track.isna().tolist() == [False, True, False, True]  # frames without a hand have a row that says so
    assert table[["wrist_u", "wrist_confidence", "depth_sd_mm"]].isna().to_numpy()[[1, 3]].all()
    np.testing.assert_allclose(
        table[[f"{name}_confidence" for name in KEYPOINTS]].to_numpy()[2], hand["peaks"], atol=1e-4
    )
    assert hand["confidence"] == pytest.approx(hand["presence"] * np.median(hand["peaks"]), abs=1e-4)
    table = table[table.track.notna()]
    assert sorted(path.name for path in (pictures / "out").iterdir()) == ["hands.jsonl", "hands.parquet"]
    xyz = table[[f"{name}_{axis}" for name in KEYPOINTS for axis in "xyz"]].to_numpy()[1].reshape(21, 3)
    np.testing.assert_allclose(xyz, hand["keypoints_3d"], atol=0.006)
    pose = np.array(hand["keypoints_3d_normalized_smoothed"])
    np.testing.assert_allclose(xyz - xyz[9], 80 * (pose - pose[9]), atol=0.02)  # in units of the size that was given
    assert (xyz[:, 2] > 0).all()
    assert "80 +- 0 mm from wrist to middle knuckle" in result.stderr
    assert "frames/s" in result.stderr


def test_boxes_of_pictures_are_found_by_their_names(pictures):
    (pictures / "boxes.csv").write_text("img_name,x,y,w,h\nshots/two.png,10,10,60,60\nshots/bare.png,,,,\n")
    result = run(pictures, pictures, "--boxes", pictures / "boxes.csv", "--no-overlay")

    assert [one["sample_id"] for one in json.loads(result.stdout)["samples"]] == ["two.png"]
    assert json.loads(result.stdout)["samples"][0]["crop_xyxy"] == [10, 10, 70, 70]
    assert f"no box in {pictures / 'boxes.csv'} for 2 pictures: bare.png, one.png\n" in result.stderr
    (pictures / "boxes.csv").write_text("img_name,x,y,w,h\ntwo.png,nan,10,60,60\n")
    said = str(run(pictures, pictures, "--boxes", pictures / "boxes.csv", "--no-overlay").exception)
    assert "boxes.csv:2[x]: expected a finite number, got nan" in said
    assert "--skip-bad" not in said  # that is for pictures


@pytest.mark.parametrize("name", ["empty", "film.gif"])
def test_a_folder_or_file_without_pictures_is_named(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"GIF89a") if path.suffix else path.mkdir()
    said = str(run(tmp_path, path).exception)
    assert said.startswith(
        f"{path}: expected pictures or a video, got none. Pictures are .bmp, .jpeg, .jpg, .png, .webp, "
    )
    assert ", videos .mp4, .mov, " in said


OTHERS_DETECTOR = """
import numpy as np
from handdata.model.spots import Spot
from handdata.shards.hand import Hand

def make():
    return lambda image: [Spot(np.array([30.0, 20.0, 90.0, 80.0]), 0.9, "left")]
"""


def test_a_detector_of_another_package_is_found_by_its_entry_point(pictures, tmp_path, monkeypatch):
    """As an installed distribution says it: a module and an entry_points.txt beside it."""
    site = tmp_path / "site"
    (site / "others-1.dist-info").mkdir(parents=True)
    (site / "others_detector.py").write_text(OTHERS_DETECTOR)
    (site / "others-1.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: others\nVersion: 1\n")
    (site / "others-1.dist-info/entry_points.txt").write_text("[handdata.detectors]\nothers = others_detector:make\n")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setattr(Model, "_find", _certain(Model._find))
    result = run(pictures, pictures / "bare.png", "--detector", "others", "--no-overlay")

    left, top, right, bottom = json.loads(result.stdout)["samples"][0]["crop_xyxy"]
    assert (left + right, top + bottom) == pytest.approx((120, 100), abs=0.01)
    unknown = run(pictures, pictures / "bare.png", "--detector", "theirs")
    assert "--detector: expected one of spotter, others, none, got 'theirs'" in str(unknown.exception)


def test_a_local_stream_is_read_until_it_ends(pictures):
    """Pictures one after the other over HTTP, as network cameras send them (multipart/x-mixed-replace)."""
    shot = cv2.imencode(".jpg", np.full((120, 160, 3), 120, np.uint8))[1].tobytes()

    class Camera(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=next")
            self.end_headers()
            for _ in range(5):
                head = f"--next\r\nContent-Type: image/jpeg\r\nContent-Length: {len(shot)}\r\n\r\n"
                self.wfile.write(head.encode() + shot + b"\r\n")
            self.wfile.write(b"--next--\r\n")

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Camera) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}/camera.mjpg"
        result = run(pictures, address, "--out", pictures / "out", "--no-overlay")
        server.shutdown()

    assert result.exit_code == 0, result.output
    assert len((pictures / "out/hands.jsonl").read_text().splitlines()) == 5


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("film.mp4", "--box", 1, 1, 5, 5), "--box goes with pictures"),
        (("film.mp4", "--detector", "none"), "a video needs a detector"),
        (("film.mp4", "one.png"), "one video at a time"),
        (("film.mp4", "--hand-size", 80), "--hand-size goes with"),
        (("film.mp4", "--box", 1, 1, 5, 5, "--boxes", "b.csv"), "one of --box and --boxes"),
        (("film.mp4", "--read-out", "maximum"), "--read-out: goes with pictures only"),
        (("film.mp4", "--json"), "--json: goes with pictures only"),
        (("film.mp4", "--boxes", "b.csv", "--image-tracker", "kcf"), "--image-tracker: goes without --box and --boxes"),
        (("one.png", "--every", 2), "--every: goes with a video, or --fps, only"),
        (("one.png", "--table", "parquet"), "--table: goes with a video, or --fps, only"),
        (("one.png", "--image-tracker", "kcf"), "--image-tracker: goes with a video, or --fps, only"),
        (("one.png", "--box", 1, 1, 50, 50, "--detector", "spotter"), "--detector: goes without --box and --boxes"),
        (("one.png", "--box", 1, 1, 50, 50, "--max-hands", 1), "--max-hands: goes without --box and --boxes"),
        (("one.png", "--boxes", "b.csv", "--max-hands", 1), "--max-hands: goes without --box and --boxes"),
        (("one.png", "--detector", "none", "--max-hands", 1), "--max-hands: goes without --detector none"),
        (("one.png", "--no-overlay", "--out", "drawn"), "--out: goes without --no-overlay"),
        (("compact", "--onnx", "c.onnx", "--fov", 60), "--fov: goes with pictures or a video only"),
        (("--onnx", "one.png"), "--onnx: the model goes to a file that ends in .onnx, not to one.png"),
        (("one.png", "--fov", "nan"), "'--fov': nan is not a finite number"),
        (("one.png", "--focal", "inf"), "'--focal': inf is not in the range"),
        (("film.mp4", "--fps", "nan"), "'--fps': nan is not a finite number"),
    ],
)
def test_what_means_nothing_is_refused(pictures, words, said, monkeypatch):
    monkeypatch.chdir(pictures)
    with video_writer(pictures / "film.mp4", 30.0) as add:
        add(np.zeros((120, 160, 3), np.uint8))
    (pictures / "b.csv").write_text("img_name,x,y,w,h\none.png,10,10,60,50\n")
    result = CliRunner().invoke(group, ["predict", *map(str, words)])
    assert result.exit_code == 2
    assert said in result.output
    assert not {"predicted", "drawn", "c.onnx"} & {path.name for path in pictures.iterdir()}
    assert (pictures / "one.png").read_bytes().startswith(b"\x89PNG")


def test_what_is_not_there_and_an_unknown_detector_are_told_in_one_line(pictures, monkeypatch):
    gone = run(pictures, "compact", pictures / "none.png")
    unknown = run(pictures, pictures / "one.png", "--detector", "other")
    monkeypatch.chdir(pictures)
    alone = [run(pictures, word) for word in ("nofile.jpg", "film.MP4", "photos/monday")]

    assert "none.png: expected a picture, a folder of pictures or a video, got nothing there" in str(gone.exception)
    assert "--detector: expected one of spotter, none, got 'other'" in str(unknown.exception)
    turned_round = run(pictures, "one.png", "compact")
    assert str(turned_round.exception).endswith(
        "video, got a run. Name the run first: handdata predict compact one.png."
    )
    for word, result in zip(("nofile.jpg", "film.MP4", "photos/monday"), alone, strict=True):
        assert (
            str(result.exception) == f"{word}: expected a picture, a folder of pictures or a video, got nothing there."
        )


@pytest.mark.usefixtures("_sure")
def test_no_overlay_goes_over_a_picture_that_is_none(pictures, tmp_path):
    before = (pictures / "one.png").read_bytes()
    refused = run(pictures, pictures / "one.png", "--out", pictures)

    assert str(refused.exception) == (
        f"{pictures / 'one.png'}: expected no file, or an overlay, got another picture. Give another --out."
    )
    assert (pictures / "one.png").read_bytes() == before
    for _ in range(2):  # over its own overlay it goes
        assert run(pictures, pictures / "one.png", "--out", tmp_path / "drawn").exit_code == 0
    assert cv2.imread(str(tmp_path / "drawn/one.png")).shape == (360, 480, 3)


@pytest.mark.usefixtures("_sure")
@pytest.mark.parametrize("left", [lambda data: b"", lambda data: bytes(len(data)), lambda data: data[:20],
                                  lambda data: data[:50]])  # fmt: skip
def test_what_a_power_cut_left_of_an_overlay_is_drawn_anew(pictures, tmp_path, left):
    """Overlays are not synced: the last ones may be there without their bytes."""
    asked = (pictures / "one.png", "--out", tmp_path / "drawn")
    run(pictures, *asked)
    path = tmp_path / "drawn/one.png"
    whole = path.read_bytes()
    path.write_bytes(left(whole))

    assert run(pictures, *asked).exit_code == 0
    assert path.read_bytes() == whole


@pytest.mark.usefixtures("_sure")
def test_a_name_that_is_no_text_is_refused_or_left_out(pictures):
    bad = pictures / os.fsdecode(b"bad\xff.png")
    bad.write_bytes((pictures / "one.png").read_bytes())

    refused = run(pictures, pictures, "--out", pictures / "drawn")
    left_out = run(pictures, pictures, "--out", pictures / "drawn", "--skip-bad")

    assert "bad\\udcff.png: expected a picture with a name in UTF-8, got one of other bytes" in str(refused.exception)
    assert left_out.exit_code == 0
    assert len(json.loads(left_out.stdout)["pictures"]) == 3


@pytest.mark.usefixtures("_sure")
def test_overlays_do_not_go_among_the_pictures_of_a_folder(pictures):
    for path in sorted(pictures.iterdir()):
        cv2.imwrite(str(path.with_suffix(".jpg")), cv2.imread(str(path)))
        path.unlink()
    before = sorted(pictures.iterdir())

    refused = run(pictures, pictures, "--out", pictures)

    assert "expected another folder than that of the pictures, got that one. Give another" in str(refused.exception)
    assert sorted(pictures.iterdir()) == before


@pytest.mark.usefixtures("_sure")
def test_the_film_of_overlays_is_not_written_over_the_film(pictures):
    film = pictures / "overlay.mp4"
    with video_writer(film, 25) as add:
        for _ in range(3):
            add(np.full((120, 160, 3), 120, np.uint8))
    before = film.read_bytes()
    refused = run(pictures, film, "--out", pictures)

    assert (
        str(refused.exception) == f"{film}: expected another film than is looked at, got that one. Give another --out."
    )
    assert film.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--box", -1e9, -1e9, 2e9, 2e9), "expected a box in the picture of 160 x 120 px, got --box -1e+09"),
        (("--focal", "1e-300"), "'--focal': 1e-300 is not in the range 1"),
        (("--focal", "1e300"), "'--focal': 1e+300 is not in the range 1"),
        (("--fov", "179.99999999999"), "'--fov': 179.99999999999 is not in the range 0.01"),
    ],
)
def test_a_box_or_a_camera_of_no_picture_is_told(pictures, words, said):
    refused = run(pictures, pictures / "one.png", *words)

    assert said in refused.output + str(refused.exception)
