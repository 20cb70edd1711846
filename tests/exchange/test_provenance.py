"""Licence and origin stay with the pictures: through merge, export and import."""

import csv
import json
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from handdata import manifest
from handdata.cli import group
from handdata.conversion.recut import recut
from handdata.errors import ConfigError, DataError
from handdata.exchange.export import export
from handdata.exchange.formats import FORMATS
from handdata.paths import RENDERED_MARK
from handdata.shards.concat import concat
from handdata.shards.dataset import open_dataset
from handdata.shards.provenance import provenance_of
from tests.check.made_dataset import make_dataset, rewrite


def run(*arguments):
    return CliRunner().invoke(group, [str(argument) for argument in arguments], catch_exceptions=False)


def renamed(folder, name, origin):
    index = json.loads((folder / "index.json").read_text())
    (folder / "index.json").write_text(json.dumps(index | {"dataset": name, "origin": origin}))
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return folders of shards: of a published dataset, rendered like it, and own; their ids differ."""
    top = tmp_path_factory.mktemp("made")
    whole = make_dataset(top / "whole", count=20)
    run("subset", whole, "--split", "val", "--out", top / "published")
    run("subset", whole, "--split", "train", "--out", top / "own")
    for name in ("published", "own"):
        index = json.loads((top / name / "index.json").read_text())
        index.pop("provenance")
        (top / name / "index.json").write_text(json.dumps(index))
    renamed(top / "published", "wholebody", "published")
    renamed(top / "own", "custom", "own")
    renamed(shutil.copytree(top / "published", top / "rendered"), "wholebody", "rendered")
    return top


def test_a_merged_dataset_keeps_the_licence_and_origin_of_each_part(made, tmp_path):
    result = run("merge", made / "own", made / "published", "--name", "mine", "--out", tmp_path / "both")

    assert result.exit_code == 0
    facts = manifest.load("wholebody")
    parts = provenance_of(open_dataset(tmp_path / "both"))
    assert [(part.dataset, part.origin) for part in parts] == [("custom", "own"), ("wholebody", "published")]
    assert (parts[1].licence, parts[1].citation) == (facts.licence, facts.citation)
    card = (tmp_path / "both/README.md").read_text()
    assert f"- Licence of {facts.title}: {facts.licence}" in card
    assert "- Licence of Your own pictures and labels: that of your pictures" in card
    assert "license: other\nlicense_name: several\ntask_categories" in card  # none of them is that of all
    run("subset", made / "published", "--sample", 4, "--out", tmp_path / "one")
    assert "license_name: research-only-non-commercial\n" in (tmp_path / "one/README.md").read_text()
    assert "- Cite: " not in (made / "own/README.md").read_text()
    run("subset", tmp_path / "both", "--sample", 4, "--out", tmp_path / "some")
    with pytest.raises(ConfigError, match=rf"the licence 'Research only.*' of {facts.title}\. .*--i-may-share"):
        export(tmp_path / "some", tmp_path / "out", "coco")
    assert not (tmp_path / "out").exists()
    assert "Research only" in repr(open_dataset(tmp_path / "some"))


def test_of_joined_datasets_those_without_a_hand_that_is_left_say_nothing_of_it(made, tmp_path):
    """Own hands chosen from a list that held published ones, too, are not under that licence."""
    both = concat(open_dataset(made / "own"), open_dataset(made / "published"))
    own = both.where(dataset="custom")

    assert (both.origin, own.origin) == ("published, own", "own")
    assert "Research only" in repr(both)
    assert "Research only" not in repr(own)
    assert open_dataset(recut(own, tmp_path / "own", name="own").folder).origin == "own"
    assert export(own, tmp_path / "out", "coco") == len(own)


def test_rendered_hands_stay_rendered_beside_own_ones(made, tmp_path):
    run("merge", made / "own", made / "rendered", "--name", "mine", "--out", tmp_path / "both")

    assert open_dataset(tmp_path / "both").origin == "own, rendered"
    export(tmp_path / "both", tmp_path / "out", "csv", limit=2)
    card = (tmp_path / "out/README.md").read_text()
    assert "Rendered by handdata; nobody's hand is shown." in card
    assert "Pictures of whoever converted them." in card


@pytest.mark.parametrize("is_rendered", [False, True], ids=["published", "rendered"])
def test_files_of_published_datasets_keep_their_licence(tmp_path, is_rendered):
    """mmpose's FreiHAND says so itself; handdata's renderer may have made its pictures."""
    cv2.imwrite(str(tmp_path / "a.png"), np.full((64, 64, 3), 90, np.uint8))
    points = [number for k in range(21) for number in (10.0 + k, 20.0 + k % 5, 1)]
    rows = [{"id": 0, "image_id": 0, "category_id": 1, "keypoints": points, "bbox": [9, 19, 22, 8]}]
    images = [{"id": 0, "file_name": "a.png", "width": 64, "height": 64}]
    content = {"info": {"description": "FreiHand"}, "images": images, "annotations": rows, "categories": []}
    (tmp_path / "labels.json").write_text(json.dumps(content))
    if is_rendered:
        (tmp_path / RENDERED_MARK).write_text("{}")

    result = run("import", tmp_path / "labels.json", "--out", tmp_path / "shards")

    assert result.exit_code == 0
    data = open_dataset(tmp_path / "shards")
    if is_rendered:
        assert data.origin == "rendered"
        return
    assert [(part.dataset, part.origin) for part in provenance_of(data)] == [("freihand", "published")]
    assert "pictures of: FreiHAND (Research only" in result.stderr
    with pytest.raises(ConfigError, match="--i-may-share"):
        export(data, tmp_path / "out", "coco")


@pytest.mark.parametrize(
    ("image", "who"),
    [("val2017/000000000785.jpg", "wholebody"), ("me.jpg", ""), ("HICO_train2015_00000003.jpg", "Halpe")],
)
def test_whole_bodies_in_published_pictures_are_not_ones_own(tmp_path, image, who):
    """Their fields and lists are written by others too: the pictures tell."""
    (tmp_path / image).parent.mkdir(exist_ok=True)
    cv2.imwrite(str(tmp_path / image), np.full((64, 64, 3), 90, np.uint8))
    points = [number for k in range(21) for number in (10.0 + k, 20.0 + k % 5, 2)]
    row = {"id": 0, "image_id": 0, "category_id": 1}
    row |= {"keypoints": [0] * 94 * 3 + points + [0] * 21 * 3} if who == "Halpe" else {"lefthand_kpts": points}
    row |= {"lefthand_valid": True, "lefthand_box": [9, 19, 22, 8], "righthand_valid": False}
    content = {"images": [{"id": 0, "file_name": image, "width": 64, "height": 64}], "annotations": [row]}
    (tmp_path / "labels.json").write_text(json.dumps(content))

    result = run("import", tmp_path / "labels.json", "--out", tmp_path / "shards")

    assert result.exit_code == 0
    (part,) = provenance_of(open_dataset(tmp_path / "shards"))
    assert (part.dataset, part.origin) == ((who, "published") if who else ("custom", "own"))
    assert part.is_restricted == bool(who)


def test_a_damaged_record_is_one_line(made, tmp_path):
    folder = shutil.copytree(made / "own", tmp_path / "own")
    index = json.loads((folder / "index.json").read_text())
    (folder / "index.json").write_text(json.dumps(index | {"provenance": [{"dataset": "rhd"}]}))

    with pytest.raises(DataError, match="expected a dataset, licence and origin of each part"):
        export(folder, tmp_path / "out", "csv")


# ------------------------------------------------------------------------------------------------ export and import


@pytest.mark.parametrize(
    ("kind", "labels"),
    [
        ("coco", "."),
        pytest.param("coco", "annotations/val.json", marks=pytest.mark.thorough),
        pytest.param("parquet", "val.parquet", marks=pytest.mark.thorough),
        pytest.param("yolo", "data.yaml", marks=pytest.mark.thorough),
        pytest.param("csv", ".", marks=pytest.mark.thorough),
    ],
)
def test_an_export_that_is_imported_keeps_licence_and_origin(made, tmp_path, kind, labels):
    export(made / "published", tmp_path / "out", kind, limit=3, i_may_share=True)

    assert run("import", tmp_path / "out" / labels, "--out", tmp_path / "in", "--workers", 1).exit_code == 0

    data = open_dataset(tmp_path / "in")
    facts = manifest.load("wholebody")
    assert (data.name, data.origin) == ("custom", "published")
    assert provenance_of(data) == provenance_of(open_dataset(made / "published"))
    assert f"- Licence: {facts.licence} (" in (tmp_path / "in/README.md").read_text()
    with pytest.raises(ConfigError, match="--i-may-share"):
        export(data, tmp_path / "again", "csv")


@pytest.mark.parametrize("kind", [name for name, one in FORMATS.items() if one.write and (one.read or one.read_others)])
def test_a_file_alone_keeps_them_too(made, tmp_path, kind):
    export(made / "published", tmp_path / "out", kind, limit=3, i_may_share=True)
    (tmp_path / "out/handdata-export.json").unlink()

    run("import", tmp_path / "out", "--out", tmp_path / "in", "--workers", 1)

    assert provenance_of(open_dataset(tmp_path / "in")) == provenance_of(open_dataset(made / "published"))


def test_a_file_that_lost_its_origin_is_not_called_ones_own(made, tmp_path):
    """CVAT writes <meta> of its own, and keeps the attribute of the sample's id."""
    export(made / "published", tmp_path / "out", "cvat", limit=3, i_may_share=True)
    (tmp_path / "out/handdata-export.json").unlink()
    file = tmp_path / "out/val.xml"
    file.write_text(re.sub(r"<meta>.*</meta>", "", file.read_text(), flags=re.DOTALL))

    result = run("import", file, "--out", tmp_path / "in", "--workers", 1)

    assert "origin and licence: not known. handdata exported these hands" in result.stderr
    (part,) = provenance_of(open_dataset(tmp_path / "in"))
    assert (part.licence, part.origin) == ("not known", "")
    assert "Origin not recorded." in (tmp_path / "in/README.md").read_text()


@pytest.mark.parametrize("text", ["[{}]", "rhd", '[{"dataset": 1}]'])
def test_a_damaged_record_in_a_table_is_one_line(made, tmp_path, text):
    export(made / "own", tmp_path / "out", "csv", limit=1)
    table = tmp_path / "out/train.csv"
    with table.open(newline="") as file:
        rows = list(csv.reader(file))
    rows[1][-1] = text
    with table.open("w", newline="") as file:
        csv.writer(file).writerows(rows)

    with pytest.raises(DataError, match=r"train\.csv:2"):
        run("import", table, "--out", tmp_path / "in")


def test_an_export_overwrites_nobodys_card_and_no_other_dataset(made, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/README.md").write_text("mine")
    with pytest.raises(ConfigError, match=r"README\.md: expected no file, or that of an export, got somebody's own"):
        export(made / "own", tmp_path / "mine", "csv", limit=2)
    assert [path.name for path in (tmp_path / "mine").iterdir() if path.name[0] != "."] == ["README.md"]

    export(made / "own", tmp_path / "out", "csv", limit=2)
    with pytest.raises(ConfigError, match="got 2 samples as csv of custom"):
        export(made / "rendered", tmp_path / "out", "csv", limit=2)
    export(made / "own", tmp_path / "out", "csv", limit=1)


@pytest.mark.parametrize(
    ("kind", "name"), [("coco", "annotations/train.json"), ("yolo", "data.yaml"), ("csv", "train.csv")]
)
def test_an_export_overwrites_nobodys_labels(made, tmp_path, kind, name):
    """Labels of one's own that were imported often lie where an export would write them."""
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")

    with pytest.raises(ConfigError, match=f"{name}: expected no file, or that of an export, got somebody's own"):
        export(made / "own", tmp_path, kind, limit=2)

    assert (tmp_path / name).read_text() == "mine"
    assert [path.name for path in tmp_path.rglob("*") if path.is_file() and path.name[0] != "."] == [Path(name).name]


NO_COUNT = b'{"splits": {"val": {"files": [], "format": "csv", "hands": "x"}}}'
NO_FILES = b'{"splits": {"train": {"files": ["../a"]}}}'


@pytest.mark.parametrize("content", [b"", b"{", b'{"splits": 3}', b'{"splits": {"train": 3}}', NO_FILES, NO_COUNT])
@pytest.mark.parametrize("kind", ["csv", "coco"])
def test_an_export_whose_record_is_damaged_is_not_called_somebodys_own(made, tmp_path, kind, content):
    """Nor is another one laid over it, which would forget its files and what was corrected of them."""
    export(made / "own", tmp_path, "csv", limit=2)
    (tmp_path / "handdata-export.json").write_bytes(content)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.name[0] != "."}

    with pytest.raises(
        DataError, match=r"handdata-export\.json.*: expected .*Restore it, or move the folder away or cho"
    ):
        export(made / "own", tmp_path, kind, limit=1)

    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.name[0] != "."} == before


@pytest.mark.usefixtures("not_as_root")
def test_an_export_whose_record_may_not_be_read_is_not_called_somebodys_own(made, tmp_path):
    export(made / "own", tmp_path, "csv", limit=2)
    (tmp_path / "handdata-export.json").chmod(0)

    with pytest.raises(
        DataError, match=r"handdata-export\.json: expected the record of an export, got Permission denied"
    ):
        export(made / "own", tmp_path, "csv", limit=2)


@pytest.mark.parametrize("place", ["images/train/mine.JPG", "images/train/deeper/mine.png", "images/val/mine.png"])
def test_pictures_of_ones_own_do_not_get_into_a_data_set_of_yolo(made, tmp_path, place):
    """YOLO takes every picture of the folders that data.yaml names; one without labels is one without a hand."""
    export(made / "own", tmp_path, "yolo", limit=2)
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / Path(place.replace("images", "labels")).parent).mkdir(parents=True, exist_ok=True)
    (tmp_path / place).write_bytes(b"mine")

    with pytest.raises(ConfigError, match=rf"{place}: expected only pictures of this export.*somebody's own"):
        export(made / "own", tmp_path, "yolo", limit=1)

    assert len(list((tmp_path / "labels/train").glob("*.txt"))) == 2
    export(made / "own", tmp_path, "coco", limit=1)
    assert (tmp_path / place).read_bytes() == b"mine"


def test_two_datasets_of_ones_own_do_not_replace_each_other(made, tmp_path):
    """Both are called custom; one whose labels were mended is the same."""
    run("split", made / "own", "--by", "random:0.5/0", "--out", tmp_path / "cut")
    for split in ("train", "val"):
        run("subset", tmp_path / "cut", "--split", split, "--out", tmp_path / split)
    export(tmp_path / "train", tmp_path / "out", "csv", limit=2)
    before = (tmp_path / "out/handdata-export.json").read_bytes()

    with pytest.raises(ConfigError, match=r"this custom, got 2 samples as csv of another dataset called custom"):
        export(tmp_path / "val", tmp_path / "out", "csv", limit=2)
    assert (tmp_path / "out/handdata-export.json").read_bytes() == before

    def move(rows, split):
        for row in rows:
            row["keypoints_2d"] = row["keypoints_2d"] + 1

    rewrite(tmp_path / "train", move)
    renamed(tmp_path / "train", "custom", "own")
    export(open_dataset(tmp_path / "train"), tmp_path / "out", "csv", limit=2)


def test_a_card_names_the_files_that_are_there(made, tmp_path):
    export(made / "rendered", tmp_path / "out", "coco", limit=2)

    card = (tmp_path / "out/README.md").read_text()
    assert 'COCO("annotations/val.json")' in card
    assert "train" not in card


def test_hands_that_a_format_cannot_hold_are_counted_and_named(made, tmp_path, capsys):
    def change(rows, split):
        rows[0]["keypoints_2d"] = np.where(np.arange(21)[:, None] == 8, np.nan, rows[0]["keypoints_2d"])
        rows[0]["annotated_2d"] = np.arange(21) != 8
        rows[0]["in_frame"] = rows[0]["in_frame"] & rows[0]["annotated_2d"]

    folder = make_dataset(tmp_path / "whole", count=6)
    rewrite(folder, change)
    data = open_dataset(folder)

    written = export(data, tmp_path / "out", "mediapipe")

    lacking = [name for name, uv in zip(data["id"], data["keypoints_2d"], strict=True) if np.isnan(uv).any()]
    assert written == len(data) - len(lacking) < len(data)
    assert all(name in capsys.readouterr().err for name in lacking[:1])
    assert "which mediapipe cannot hold: 1 hands" in (tmp_path / "out/README.md").read_text()


def test_an_import_replaces_no_result_of_other_files(made, tmp_path):
    for name in ("one", "two"):
        export(made / "own", tmp_path / name, "csv", limit=2 if name == "one" else 3)
    asked = ("--root", tmp_path, "--out", tmp_path / "in", "--workers", 1)
    run("import", tmp_path / "one", *asked)

    with pytest.raises(ConfigError, match=r"got 2 samples of .*one/train\.csv"):
        run("import", tmp_path / "two", *asked)
    assert len(open_dataset(tmp_path / "in")) == 2
    assert "kept from before" in run("import", tmp_path / "one", *asked).stdout
