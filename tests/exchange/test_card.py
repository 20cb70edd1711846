"""The card beside shards and exports says what is known of the archive they come from."""

import json

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

import handdata as hd
from handdata import manifest
from handdata.cli import group
from handdata.converters.custom import CustomOptions
from handdata.exchange.card import terms_of
from handdata.shards.dataset import open_dataset
from handdata.shards.provenance import KEY, as_json, known
from tests.train.made_training import made_set


@pytest.mark.parametrize("name", ["ho3d", "rhd"])
def test_the_terms_carry_what_is_wrong_or_missing_in_the_archive(name, tmp_path):
    terms = terms_of(open_dataset(made_set(tmp_path / name, name)))

    assert terms.errata == manifest.load(name).errata
    assert terms.errata


def test_rendered_hands_have_no_pitfalls_of_the_archive_whose_layout_they_have(tmp_path):
    folder = made_set(tmp_path / "rhd", "rhd")
    index = json.loads((folder / "index.json").read_text())
    part = as_json([known("rhd", "rendered")])
    (folder / "index.json").write_text(json.dumps(index | {"origin": "rendered", KEY: part}))

    terms = terms_of(open_dataset(folder))

    assert terms.licence == "CC0 1.0"
    assert terms.errata == ()


def test_the_terms_of_several_datasets_say_which_archive_a_pitfall_is_of(tmp_path):
    both = [open_dataset(made_set(tmp_path / name, name)) for name in ("ho3d", "rhd")]

    terms = terms_of(both[0] + both[1])

    facts = [manifest.load(name) for name in ("ho3d", "rhd")]
    assert terms.errata == tuple(f"{one.title}: {line}" for one in facts for line in one.errata)


def test_a_folder_with_splits_in_two_formats_says_which_is_which(tmp_path):
    data = open_dataset(made_set(tmp_path / "made", "rhd"))
    hd.export(data, tmp_path / "out", "coco", limit=2)
    hd.export(data.split("train"), tmp_path / "out", "yolo", limit=2)

    card = (tmp_path / "out/README.md").read_text()

    assert "- val is there as coco, from an earlier export\n" in card
    assert "train is there as" not in card


def test_it_is_said_where_hands_models_parameters_are_left_out():
    for name in ("freihand", "interhand", "ho3d", "dexycb"):
        assert any("MANO parameters" in line for line in manifest.load(name).errata)


def test_the_door_of_python_lays_a_card_beside_the_shards(tmp_path):
    """As the command does; without one that somebody else wrote being touched."""
    cv2.imwrite(str(tmp_path / "a.png"), np.full((60, 80, 3), 90, np.uint8))
    columns = [f"{name}_{axis}" for name in hd.KEYPOINTS for axis in "uv"]
    cells = [str(20 + number) for number in range(42)]
    (tmp_path / "labels.csv").write_text(f"image,side,{','.join(columns)}\na.png,left,{','.join(cells)}\n")
    options = CustomOptions(annotations=(tmp_path / "labels.csv",), split_by="train")

    done = hd.convert("custom", tmp_path, tmp_path / "out", options=options, canvas=32)

    assert "Written by handdata" in (done.out / "README.md").read_text()
    assert (done.out / "contact_sheet.jpg").is_file()
    (done.out / "README.md").write_text("mine")
    hd.convert("custom", tmp_path, tmp_path / "out", options=options, canvas=32)
    assert (done.out / "README.md").read_text() == "mine"


@pytest.mark.parametrize(
    ("licences", "name", "line"),
    [
        ([{"name": "CC BY 4.0"}], "cc-by-4-0", "CC BY 4.0"),
        ([{"name": "Ask me:\n nobody else"}], "ask-me", "Ask me: nobody else"),
        ([{"name": "CC BY 4.0"}, {"name": "MIT"}, {}], "several", "several: CC BY 4.0; MIT"),
        ([{"url": "https://example.org/by/4.0/"}], "example-org-by-4-0", "https://example.org/by/4.0/"),
        ([{"name": "仅供研究使用"}], "in-words", "仅供研究使用"),
        ([{"name": "(c) 2020"}], "in-words", "(c) 2020"),
        ([{"name": "a" * 100}], "a" * 60, "a" * 100),
        ([{"name": "all words " * 10}], "-".join(["all-words"] * 6), " ".join(["all words"] * 10)),
    ],
)
def test_the_licence_of_a_coco_file_gives_a_name_that_the_hub_takes(tmp_path, licences, name, line):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((120, 160, 3), 90, np.uint8))
    content = {
        "licenses": licences,
        "images": [{"id": 1, "file_name": "a.png", "split": "train"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "keypoints": [40, 50, 2, 80, 90, 2]}],
        "categories": [{"id": 1, "name": "hand", "keypoints": ["wrist", "index_tip"]}],
    }
    (tmp_path / "a.json").write_text(json.dumps(content), encoding="utf-8")

    words = ["import", tmp_path / "a.json", "--out", tmp_path / "out", "--workers", 1]
    run = CliRunner().invoke(group, [str(word) for word in words])

    assert run.exit_code == 0, run.output
    card = (tmp_path / "out/README.md").read_text(encoding="utf-8").splitlines()
    assert f"license_name: {name}" in card
    assert f"- Licence: {line}" in card
    link = [f'license_link: "{line}"'] if "url" in licences[0] else []
    assert [row for row in card if row.startswith("license_link")] == link
