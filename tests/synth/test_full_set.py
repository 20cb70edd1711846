"""`handdata synth frames`: the same bytes whatever the workers and stops, and labels that `import` reads."""

import json

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from handdata.cli import group
from handdata.paths import RENDERED_MARK
from handdata.shards.dataset import open_dataset
from handdata.skeleton import HAND_SIDES
from handdata.synth.full_frame import render_full_frame

COUNT = 6


def synth(out, *words, workers=1):
    arguments = ["synth", "frames", "--frames", COUNT, "--size", "small", "--seed", 9, "--out", out, *words]
    result = CliRunner().invoke(group, [*map(str, arguments), "--workers", str(workers)])
    assert result.exit_code == 0, result.output
    return result


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("made")
    result = synth(out)
    assert result.stdout == f"frames: {COUNT} pictures -> {out}/frames\n"
    return out / "frames"


def test_pictures_masks_boxes_and_sides_are_those_that_were_rendered(made):
    coco = json.loads((made / "annotations.json").read_text())
    assert [image["file_name"] for image in coco["images"]] == [f"pictures/{i:06d}.png" for i in range(COUNT)]
    for index in range(COUNT):
        frame = render_full_frame(9, index)
        hands = [one for one in coco["annotations"] if one["image_id"] == index + 1]
        np.testing.assert_array_equal(cv2.imread(str(made / f"pictures/{index:06d}.png"))[..., ::-1], frame.image)
        np.testing.assert_array_equal(cv2.imread(str(made / f"masks/{index:06d}.png"), 0) > 0, frame.hand)
        assert [one["side"] for one in hands] == [HAND_SIDES[side] for side in frame.sides]
        for one, box, uv in zip(hands, frame.boxes_xyxy, frame.keypoints_2d, strict=True):
            x, y, w, h = one["bbox"]
            np.testing.assert_allclose([x, y, x + w, y + h], box, atol=0.011)
            np.testing.assert_allclose(np.reshape(one["keypoints"], (21, 3))[:, :2], uv, atol=0.006)
    assert coco["annotations"]


def test_two_workers_and_a_stop_between_change_no_byte(made, tmp_path):
    synth(tmp_path, workers=2)
    assert contents(tmp_path / "frames") == contents(made)

    # as a rendering leaves it that was stopped: not whole, some pictures missing, labels waiting
    folder = tmp_path / "stopped"
    synth(folder)
    mark = json.loads((folder / "frames" / RENDERED_MARK).read_text())
    (folder / "frames" / RENDERED_MARK).write_text(json.dumps(mark | {"whole": False}))
    (folder / "frames/pictures/000003.png").unlink()
    (folder / "frames/annotations.json").unlink()
    synth(folder)
    assert contents(folder / "frames") == contents(made)


def test_the_annotations_are_read_by_import(made, tmp_path):
    words = ["import", str(made / "annotations.json"), "--root", str(made), "--out", str(tmp_path / "shards")]
    result = CliRunner().invoke(group, words)
    assert result.exit_code == 0, result.output
    coco = json.loads((made / "annotations.json").read_text())
    assert len(open_dataset(tmp_path / "shards")) == len(coco["annotations"])


def test_faults_are_for_datasets(tmp_path):
    result = CliRunner().invoke(group, ["synth", "frames", "--faults", "all", "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert "--faults goes with datasets" in result.output
