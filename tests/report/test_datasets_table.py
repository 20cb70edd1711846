"""Table 2.1 and docs/datasets.md keep the thesis' seven first; the sets that came later follow, marked."""

from pathlib import Path

import pytest

from handdata import manifest
from handdata.report.summaries import datasets_table

THESIS = ["dexter", "dexter1", "egodexter", "ganerated", "rhd", "stereo", "synthhands"]
LATER = sorted(set(manifest.names()) - set(THESIS))


def test_the_order_is_that_of_the_manifests():
    assert manifest.in_order() == THESIS + LATER


def test_table_2_1():
    table, _, _ = datasets_table([])

    titles = [row[0] for row in table.rows]
    assert titles == [
        *(manifest.load(name).title for name in THESIS),
        *(f"{manifest.load(name).title} +" for name in LATER),
    ]
    assert "+: not in the thesis." in table.notes


@pytest.mark.parametrize("heading", ["| name | dataset |", "| name | licence |"])
def test_the_tables_of_the_documentation(heading):
    text = (Path(__file__).resolve().parents[2] / "docs" / "datasets.md").read_text(encoding="utf-8")
    lines = text.partition(heading)[2].partition("\n\n")[0].splitlines()[2:]

    assert [line.split("`")[1] for line in lines] == THESIS + LATER
    if "dataset" in heading:
        assert [line.split("|")[1].endswith("+ ") for line in lines] == [False] * len(THESIS) + [True] * len(LATER)
