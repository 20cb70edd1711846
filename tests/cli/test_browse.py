"""`handdata browse`: the sheet is written, one cell a sample, and mistakes are told in one line."""

import subprocess
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from handdata.cli.browse import browse_command
from handdata.model.pixels import denormalize
from handdata.paths import DataRoot
from handdata.pictures.overlay import CAPTION_PX
from handdata.train.augment.prepare import prepare
from handdata.train.augment.settings import AugmentConfig
from handdata.train.contact_sheet import draw_inputs
from handdata.train.loader.loaders import EvalLoader, open_mixture
from tests.train.made_shards import write_dataset


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    return write_dataset(root / "data" / "shards" / "synthhands", "synthhands", (5, 4), canvas=192, foreground=True)


def run(folder, *arguments):
    root = DataRoot(folder.parents[2])
    return CliRunner().invoke(browse_command, list(arguments), obj=root, catch_exceptions=False)


@pytest.mark.parametrize(("options", "side"), [((), 192), (("--transformed",), 256), (("--recipe", "e020"), 256)])
def test_a_sheet_has_a_cell_for_every_sample(folder, tmp_path, options, side):
    out = tmp_path / "sheet.png"
    result = run(folder, "synthhands", "--count", "9", "--out", str(out), *options)

    assert result.output == f"{out}\n"
    sheet = cv2.imread(str(out))
    high, wide = side + CAPTION_PX + 4, side + 4
    assert sheet.shape == (2 * high + 4, 6 * wide + 4, 3)
    cells = [sheet[4 + r * high :, 4 + c * wide :][: side + CAPTION_PX, :side] for r, c in np.ndindex(2, 6)]
    assert [cell[:side].std() > 5 for cell in cells] == [True] * 9 + [False] * 3
    assert [cell[side:].max() > 150 for cell in cells] == [True] * 9 + [False] * 3  # captions


def test_a_sheet_is_not_written_under_the_ending_of_another_kind(folder, tmp_path):
    result = run(folder, "synthhands", "--out", str(tmp_path / "sheet.jpg"))

    assert result.exit_code == 2
    assert "the sheet is a PNG; give a name that ends in .png" in result.output
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("named", "written"), [("look", "look.html"), ("look.htm", "look.htm")])
def test_an_offline_page_has_a_name_that_browsers_open_as_a_page(folder, tmp_path, named, written):
    result = run(folder, "synthhands", "--static", str(tmp_path / named), "--count", "2")

    assert result.output.splitlines()[-1] == f"2 hands -> {tmp_path / written}"
    assert [path.name for path in tmp_path.iterdir()] == [written]


def test_augmented_views_change_with_the_seed_only(folder, tmp_path):
    pictures = []
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        run(folder, str(folder), "--transformed", "--seed", seed, "--out", str(tmp_path / f"{name}.png"))
        pictures.append((tmp_path / f"{name}.png").read_bytes())

    assert pictures[0] == pictures[1] != pictures[2]


def test_labels_that_do_not_count_are_not_drawn(folder):
    """A tip beyond the picture's rim would stand on black or on the background."""
    with EvalLoader(open_mixture([folder], None), 9, threads=0) as loader:
        batch = next(iter(loader))
    nothing = {**batch.labels, "in_frame": np.zeros_like(batch.labels["in_frame"])}
    inputs = prepare(replace(batch, labels=nothing), AugmentConfig(), seed=0, epoch=0, train=False)
    plain = (denormalize(inputs.image_B3HW) * 255).round().byte().permute(0, 2, 3, 1).numpy()

    for drawn, picture in zip(draw_inputs(inputs, batch), plain, strict=True):
        assert np.array_equal(drawn, cv2.resize(picture, (256, 256), interpolation=cv2.INTER_LINEAR))


def test_a_dataset_that_is_not_there_is_told_in_one_line(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "handdata", "--data-root", str(tmp_path), "browse", "stereo"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert done.stderr.startswith(f"handdata: {tmp_path}/data/shards/stereo/index.json: expected a converted dataset")
    assert done.stderr.count("\n") == 1
