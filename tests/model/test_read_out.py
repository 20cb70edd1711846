"""From heatmaps to coordinates: golden values, what biases each rule, what it cannot resolve."""

import json

import numpy as np
import pytest
import torch

from handdata.model.heatmaps import targets
from handdata.model.read_out import READ_OUTS, expectation, read_out, thresholded


@pytest.fixture(scope="module")
def golden(shared):
    return json.loads((shared / "golden" / "golden_give.json").read_text())


def blob(u, v, size=128):
    return targets(torch.tensor([[[u, v]]]), torch.ones(1, 1, dtype=torch.bool), size)


def test_expectation_of_sigmoid_maps_is_golden(golden):
    vector = golden["soft_argmax_sum_normalised"]
    maps = torch.tensor(vector["heatmaps"])

    uv = expectation(maps)
    np.testing.assert_allclose(uv.flatten(1), vector["vector_2d"], atol=1e-6)


def test_expectation_of_latent_maps_is_golden(golden):
    vector = golden["soft_argmax_latent"]
    raw = torch.tensor(vector["raw"])

    uv = expectation(raw.flatten(2).softmax(-1).view_as(raw))
    np.testing.assert_allclose(uv.flatten(1), vector["vector_2d"], atol=1e-6)


@pytest.mark.parametrize("rule", READ_OUTS)
@pytest.mark.parametrize("size", [64, 128])
def test_a_clean_blob_is_found_where_it_is(rule, size):
    uv = read_out(blob(0.5, 0.25, size), rule)

    np.testing.assert_allclose(uv, [[[0.5, 0.25]]], atol=1e-6)


def test_a_flat_map_reads_as_the_middle_index():
    np.testing.assert_allclose(expectation(torch.ones(1, 1, 128, 128)), 63.5 / 128)  # 0.4961, docs/method.md 6.5


def test_a_thousandth_of_background_pulls_the_expectation_22_percent_to_the_centre():
    pulled = float(expectation(blob(0.125, 0.5) + 0.001)[0, 0, 0])

    assert (pulled - 0.125) / (63.5 / 128 - 0.125) == pytest.approx(0.22, abs=0.01)  # docs/method.md 6.5


@pytest.mark.parametrize("background", [0.001, 0.1, 0.4])
def test_background_does_not_pull_the_thresholded_expectation(background):
    uv = thresholded(blob(0.125, 0.5) + background)

    np.testing.assert_allclose(uv, [[[0.125, 0.5]]], atol=1e-6)


def test_the_thresholded_expectation_resolves_fractions_of_a_cell():
    rows = torch.arange(128.0)
    line = torch.exp(-((rows - 40.5) ** 2) / 18)  # a blob between two cells

    uv = thresholded((line[:, None] * line)[None, None])
    np.testing.assert_allclose(uv * 128, [[[40.5, 40.5]]], atol=1e-3)


def test_the_maximum_is_a_whole_cell_in_row_and_column():
    maps = torch.zeros(1, 2, 32, 32)
    maps[0, 0, 3, 30] = maps[0, 1, 31, 0] = 1.0

    np.testing.assert_array_equal(read_out(maps, "maximum") * 32, [[[30, 3], [0, 31]]])


def test_an_unknown_rule_is_refused():
    with pytest.raises(ValueError, match="one of"):
        read_out(blob(0.5, 0.5), "median")
