"""Defects of the published work (docs/method.md 12): two of them here, and that each has a test named after it."""

import re
from pathlib import Path

import numpy as np
import pytest

from handdata.evaluation.score import score_predictions
from handdata.report.published import CAVEATS, TABLE_CAVEATS
from handdata.shards.dataset import open_dataset
from tests.made_runs import made_predictions, made_shards

TESTS = Path(__file__).parents[1]
METHOD = (TESTS.parent / "docs" / "method.md").read_text(encoding="utf-8")
REPAIRED = re.findall(r"^\| ([DLE]\d+) \| .* \| repaired\b.* \|$", METHOD, re.MULTILINE)


def test_the_method_says_what_is_repaired():
    assert len(REPAIRED) == 33


@pytest.mark.parametrize("item", REPAIRED)
def test_a_repaired_defect_has_a_test_named_after_it(item):
    named = re.compile(rf"^ *def test_(\w+_)?{item}(_\w+)?\(", re.IGNORECASE | re.MULTILINE)

    assert [path for path in sorted(TESTS.rglob("test_*.py")) if named.search(path.read_text(encoding="utf-8"))]


def test_E9_the_claim_of_better_performance_is_taken_back_where_the_number_stands():
    assert "E9" in TABLE_CAVEATS["4.9"]
    assert "6.078 px are worse than the 5.522 px" in CAVEATS["E9"]


def test_E13_errors_are_given_in_pixels_and_hand_boxes_beside_crop_fractions(tmp_path):
    folder = made_shards(tmp_path / "rhd", "rhd", samples=8, sequences=2)
    dataset = open_dataset(folder)
    predictions = made_predictions([dataset])
    errors = score_predictions(predictions, [folder]).sets[0].errors["all"]
    uv = dataset["keypoints_2d"].astype(float)
    off = np.linalg.norm(predictions.keypoints_2d["expectation"].astype(float) - uv, axis=-1)
    hand = np.ptp(uv, axis=1).max(-1)  # the longer side of the box round the 21 labels

    assert errors["2d_px"].total_micro == pytest.approx(off.mean())
    assert errors["2d_box"].total_micro == pytest.approx((off / hand[:, None]).mean(), rel=1e-5)
