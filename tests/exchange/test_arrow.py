"""Rows become the table that pyarrow's own converter makes of them, and pandas stays where it is."""

import subprocess
import sys

import numpy as np
import pytest

from handdata.exchange.arrow import table_of
from tests.check.made_dataset import make_dataset

pa = pytest.importorskip("pyarrow")

ROWS = {
    "whole": [
        {"image": {"bytes": b"\x00\xff", "path": "a/ä.png"}, "uv": [[1.5, -2.0], [0.0, 1e300]], "seen": [1, 0]},
        {"image": {"bytes": b"", "path": ""}, "uv": [[0.1, 0.2], [0.3, 0.4]], "seen": [2, 1]},
    ],
    "plain": [{"ok": True, "n": 7, "id": "ä"}, {"ok": False, "n": -(2**62), "id": ""}],
    "nulls at every level": [
        {"image": None, "uv": None, "seen": None, "ok": None, "n": None, "id": None},
        {"image": {"bytes": None, "path": "p"}, "uv": [None, [1.0, None], []], "seen": [None, 3], "ok": True, "n": 0},
        {"image": {}, "uv": [], "seen": [], "ok": False, "id": "x"},
        {},
    ],
    "NaN is a number": [{"uv": [[float("nan"), 1]], "n": np.int64(3)}, {"uv": [[float("inf"), None]]}],
    "none": [],
}


@pytest.fixture
def schema():
    return pa.schema(
        {
            "image": pa.struct({"bytes": pa.binary(), "path": pa.string()}),
            "uv": pa.list_(pa.list_(pa.float64())),
            "seen": pa.list_(pa.int64()),
            "ok": pa.bool_(),
            "n": pa.int64(),
            "id": pa.string(),
        },
        metadata={"told": "kept"},
    )


@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS)
@pytest.mark.parametrize("times", [1, 9])  # more rows than bits in a byte
def test_a_table_is_what_pyarrow_makes_of_the_rows(rows, times, schema):
    table, wanted = table_of(pa, rows * times, schema), pa.Table.from_pylist(rows * times, schema=schema)
    table.validate(full=True)
    assert str(table.to_pylist()) == str(wanted.to_pylist())  # NaN is not equal to itself
    assert table.schema.equals(wanted.schema, check_metadata=True)
    assert [column.null_count for column in table.columns] == [column.null_count for column in wanted.columns]


def test_an_export_to_parquet_does_not_import_pandas(tmp_path):
    make_dataset(tmp_path / "made", count=3)
    code = """
import sys
import handdata as hd
hd.export(hd.open(sys.argv[1] + "/made"), sys.argv[1] + "/out", "parquet")
assert "pyarrow" in sys.modules and "pandas" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code, tmp_path], check=True)
