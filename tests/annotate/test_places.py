"""Where pictures and labelled fingertips are found."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from handdata.annotate.fingertips import dexter_tips
from handdata.annotate.pictures import DECODED_KEPT, Pictures, list_pictures
from handdata.annotate.sequences import Progress, dataset_folder, open_sequence, progress
from handdata.boxes import BoxRow, write_boxes
from handdata.errors import ConfigError, DataError, HanddataError, MissingError

PICTURE = np.full((6, 8, 3), 90, np.uint8)


def write(path: Path, image: np.ndarray = PICTURE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image)


@pytest.mark.parametrize(
    ("dataset", "sequence", "files", "names"),
    [
        ("dexter", "Grasp2", ["data/Grasp2/color/Color_0001.bmp"], ["Grasp2/color/Color_0001.bmp"]),
        ("egodexter", "Desk", ["data/Desk/color/image_00000_color.png"], ["Desk/color/image_00000_color.png"]),
        ("dexter1", "pinch", ["data/pinch/tof/depth/525438341940.png"], ["pinch/tof/depth/525438341940.png"]),
        (
            "dexycb",
            "20200709-subject-01/20200709_141754/836212060125",
            [
                "20200709-subject-01/20200709_141754/836212060125/color_000000.jpg",
                "20200709-subject-01/20200709_141754/836212060125/aligned_depth_to_color_000000.png",
            ],
            ["20200709-subject-01/20200709_141754/836212060125/color_000000.jpg"],
        ),
        ("ho3d", "train/MC1", ["train/MC1/rgb/0000.jpg", "train/MC1/depth/0000.png"], ["train/MC1/rgb/0000.jpg"]),
        (
            "interhand",
            "train/Capture0/0266_dh_pray/cam400026",
            ["images/train/Capture0/0266_dh_pray/cam400026/image2000.jpg"],
            ["train/Capture0/0266_dh_pray/cam400026/image2000.jpg"],
        ),
        (
            "synthhands",
            "male_object/seq01/cam02/01",
            ["male_object/seq01/cam02/01/00000000_color.png", "male_object/seq01/cam02/01/00000000_color_on_depth.png"],
            ["male_object/seq01/cam02/01/00000000_color.png"],
        ),
        (
            "stereo",
            "B1Random",
            ["images/B1Random/SK_color_10.png", "images/B1Random/SK_color_2.png", "images/B1Random/BB_left_0.png"],
            ["B1Random/SK_color_2.png", "B1Random/SK_color_10.png"],
        ),
    ],
)
@pytest.mark.parametrize("above", ["", "unpacked"])
def test_each_datasets_pictures_are_found_from_its_folder_or_one_above(
    tmp_path: Path, dataset: str, sequence: str, files: list[str], names: list[str], above: str
) -> None:
    for file in files:
        write(tmp_path / above / file)

    root = dataset_folder(dataset, tmp_path)
    assert root == tmp_path / above
    assert list(open_sequence(dataset, sequence, root).img_names) == names
    assert [row.name for row in progress(dataset, root, sequence, tmp_path)] == [sequence.rpartition("/")[2]]


def test_unknown_sequences_and_datasets_are_named(tmp_path: Path) -> None:
    write(tmp_path / "data" / "Grasp2" / "color" / "Color_0001.bmp")

    with pytest.raises(MissingError, match="expected one of Grasp2, got Grasp9"):
        open_sequence("dexter", "Grasp9", tmp_path)
    with pytest.raises(MissingError, match="got no sequence"):
        open_sequence("dexter", "", tmp_path)
    with pytest.raises(MissingError, match=r"expected one of Grasp2, got \.\."):
        open_sequence("dexter", "../data/Grasp2", tmp_path)
    with pytest.raises(MissingError, match="expected Grasp2, got Grasp2/color"):
        open_sequence("dexter", "Grasp2/color", tmp_path)
    with pytest.raises(ConfigError, match="expected a dataset with sequences"):
        dataset_folder("rhd", tmp_path)
    with pytest.raises(MissingError, match="handdata synth stereo"):
        dataset_folder("stereo", tmp_path)


def test_what_leads_to_a_sequence_is_named_folder_by_folder(tmp_path: Path) -> None:
    for i in range(22):
        write(tmp_path / "train" / f"MC{i:02}" / "rgb" / "0000.jpg")
    (tmp_path / "train" / "notes").mkdir()

    with pytest.raises(MissingError, match="expected one of train, got no sequence"):
        open_sequence("ho3d", "", tmp_path)
    with pytest.raises(MissingError, match=r"train: expected one of MC00, .*, MC19, \.\.\., got train alone"):
        open_sequence("ho3d", "train", tmp_path)
    with pytest.raises(MissingError, match="got train/notes"):
        open_sequence("ho3d", "train/notes", tmp_path)
    with pytest.raises(ConfigError, match=r"\(stereo, dexter, dexter1, egodexter\), got ho3d"):
        dataset_folder("ho3d", tmp_path, most_levels=1)


def test_the_progress_of_each_sequence_is_read_off_its_table(tmp_path: Path) -> None:
    for name in ("Grasp1", "Rigid"):
        for i in (1, 2, 3):
            write(tmp_path / "data" / name / "color" / f"Color_{i:04}.bmp")
    rows = [BoxRow(f"Grasp1/color/Color_{i:04}.bmp", None, "absent", reviewed=i < 3) for i in (1, 2, 3)]
    write_boxes(tmp_path / "Grasp1.csv", rows)
    (tmp_path / "Rigid.csv").write_text("no table")

    assert progress("dexter", tmp_path, "Rigid", tmp_path) == [Progress("Grasp1", 3, 2), Progress("Rigid", 3, 0)]


def test_folders_without_pictures_are_named(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="no such folder"):
        list_pictures(tmp_path / "none")
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(MissingError, match="expected pictures"):
        list_pictures(tmp_path)


def test_links_in_a_circle_and_pipes_are_broken_pictures_as_others_are(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "b.png").symlink_to("b.png")
    os.mkfifo(tmp_path / "c.png")

    for any_size in (False, True):
        pictures = list_pictures(tmp_path, any_size=any_size)
        assert pictures.read(0).shape == (8, 8, 3)
        for index in (1, 2):
            with pytest.raises(HanddataError, match=rf"{pictures.names[index]}: "):
                pictures.read(index)


def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"bad\xff.png")).write_bytes(b"")

    with pytest.raises(DataError, match=r"expected a picture with a name in UTF-8, got one of other bytes"):
        list_pictures(tmp_path)


def test_a_picture_in_place_of_a_folder_is_named_as_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(MissingError, match=r"expected a folder of pictures, got a file\. Name its folder\."):
        list_pictures(tmp_path / "a.png")


def test_pictures_of_another_size_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.png")
    write(tmp_path / "b.png", np.zeros((6, 9, 3), np.uint8))

    with pytest.raises(DataError, match=r"b\.png: expected 8 x 6 px as a\.png, got 9 x 6"):
        list_pictures(tmp_path).read(1)


@pytest.mark.parametrize("shape", [(6, 8), (6, 8, 3), (6, 8, 4)])
def test_grey_and_transparent_pictures_become_three_channels(tmp_path: Path, shape: tuple[int, ...]) -> None:
    write(tmp_path / "a.png", np.full(shape, 90, np.uint8))

    assert list_pictures(tmp_path).read(0).tolist() == PICTURE.tolist()


def test_depth_pictures_show_near_bright_and_nothing_black(tmp_path: Path) -> None:
    """0 and 32001 mean no depth; 500 mm lies halfway to the 1000 mm that are black."""
    write(tmp_path / "a.png", np.array([[0, 500, 1000, 32001]], np.uint16))

    assert list_pictures(tmp_path).read(0)[0, :, 0].tolist() == [0, 127, 0, 0]


def test_decoded_pictures_do_not_pile_up(tmp_path: Path) -> None:
    for i in range(DECODED_KEPT + 5):
        write(tmp_path / f"{i}.png")
    pictures = list_pictures(tmp_path)
    for i in range(len(pictures)):
        pictures.read(i)

    assert len(pictures._recent.images) == DECODED_KEPT


# ---- fingertips


MISSING = "32001, 32001, 32001; "


def dexter(root: Path, text: str | None, num_pictures: int) -> Pictures:
    for i in range(num_pictures):
        write(root / "data" / "Grasp1" / "color" / f"Color_{i + 1:04}.bmp")
    if text is not None:
        label = root / "data" / "Grasp1" / "annotations" / "Grasp13D.txt"
        label.parent.mkdir(parents=True)
        label.write_text(text)
    return open_sequence("dexter", "Grasp1", root)


def test_fingertips_land_where_the_dataset_was_measured_to_put_them(tmp_path: Path) -> None:
    """Worked by hand from the calibration: (37, -99, 440) mm and (37, -99, 600) mm in the colour picture."""
    line = f"37, -99, 440; {MISSING}37, -99, 600; {MISSING * 2}1, 2, 3; 4, 5, 6; 7, 8, 9;"
    pictures = dexter(tmp_path, f"{line}\n{MISSING * 8}\n", 3)

    assert dexter_tips(tmp_path, "Grasp1", pictures) == [[(310.83, 378.06), (317.17, 342.18)], [], []]


def test_a_sequence_without_labels_has_no_fingertips(tmp_path: Path) -> None:
    assert dexter_tips(tmp_path, "Grasp1", dexter(tmp_path, None, 2)) == [[], []]


def test_a_damaged_label_line_is_named_and_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures = dexter(tmp_path, f"a, b, c;\n37, -99, 440; {MISSING * 7}\n", 2)

    assert dexter_tips(tmp_path, "Grasp1", pictures) == [[], [(310.83, 378.06)]]
    assert "1 label lines cannot be read" in capsys.readouterr().err
