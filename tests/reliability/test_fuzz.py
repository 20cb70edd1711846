"""Well-formed files whose values are nonsense: one node of a valid document becomes any value, drawn by Hypothesis.

tests/reliability/test_mutations.py damages bytes; here the syntax stays right, so that what lies behind it is reached.
HANDDATA_FUZZ=10000 sets how many documents for each reader.
"""

import copy
import json
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handdata.annotate.box_formats import import_text
from handdata.annotate.pictures import list_pictures
from handdata.boxes import COLUMNS, read_boxes
from handdata.conversion.plan import plan_all
from handdata.converters.custom import CustomOptions
from handdata.train.config import load_config
from tests.reliability.mutations import fault_of
from tests.reliability.test_mutations import COCO, pictures

__all__ = ["pictures"]  # a fixture
COUNT = int(os.environ.get("HANDDATA_FUZZ", "40"))
some = settings(
    max_examples=COUNT,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-5, 40)
    | st.sampled_from(
        [2**31, -(2**63), 10**400, 1e308, -1e308, 1e-320, 0.1, -0.0, "", "NaN", "1e400", "../../x", "/etc/passwd"]
    )
    | st.text(max_size=12)
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


def places(value, place=()):
    """Return the place of every node."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place, *(deep for key, part in parts for deep in places(part, (*place, key)))]


@st.composite
def spoiled(draw, document):
    """A document with one node replaced, left out, or there twice."""
    place = draw(st.sampled_from(places(document)))
    if not place:
        return draw(VALUES)
    whole = copy.deepcopy(document)
    parent = whole
    for key in place[:-1]:
        parent = parent[key]
    change = draw(st.sampled_from(["replace", "replace", "leave out", "twice"]))
    if change == "leave out":
        del parent[place[-1]]
    elif change == "twice" and isinstance(parent, list):
        parent.append(copy.deepcopy(parent[place[-1]]))
    else:
        parent[place[-1]] = draw(VALUES)
    return whole


@given(document=spoiled(COCO))
@some
def test_boxes_and_labels_of_coco(pictures, document):
    listed, path = list_pictures(pictures), pictures / "l.json"
    text = json.dumps(document)
    path.write_text(text)
    options = CustomOptions(annotations=(path,))

    assert fault_of(lambda: import_text("coco", text, "import", listed)) == ""
    assert fault_of(lambda: plan_all("custom", pictures, options)) == ""


CELLS = st.sampled_from(
    ["", "p_0.png", "p_1.png", "5", "-5", "0", "1e400", "nan", "inf", "person", "tracker", "x", "1", "0.5", '"', "é"]
)


@given(rows=st.lists(st.lists(CELLS, max_size=len(COLUMNS) + 1), max_size=4))
@some
def test_tables_of_boxes(tmp_path_factory, rows):
    path = tmp_path_factory.getbasetemp() / "b.csv"
    path.write_text("\n".join([",".join(COLUMNS), *(",".join(row) for row in rows)]))

    assert fault_of(lambda: read_boxes(path)) == ""


SETTINGS = ["loop.epochs", "loop.batches", "optim.lr", "optim.betas", "optim.kind", "model.kind", "model.size",
            "model.width", "data.batch", "data.weights.rhd", "augment.kind", "loss.weights.uv", "x.y", ""]  # fmt: skip
TOKENS = [
    "3",
    "-1",
    "0",
    "1e400",
    "nan",
    "inf",
    '"adamw"',
    "[0.9, 0.99]",
    "[]",
    "{}",
    "true",
    "9" * 30,
    "'",
    "[[",
    "a b",
    "",
]


@given(pairs=st.lists(st.tuples(st.sampled_from(SETTINGS), st.sampled_from(TOKENS)), min_size=1, max_size=3))
@some
def test_settings_of_a_recipe(pairs):
    assert fault_of(lambda: load_config("best-smoke", [f"{key}={value}" for key, value in pairs])) == ""


@pytest.mark.parametrize("kind", ["csv", "mot", "cvat"])
@some
@given(data=st.data())
def test_imported_boxes(pictures, kind, data):
    listed = list_pictures(pictures)
    if kind == "cvat":
        name, value = data.draw(st.sampled_from(["frame", "xtl", "ytl", "xbr", "outside"])), data.draw(CELLS)
        given_ = {"frame": "0", "xtl": "1", "ytl": "1", "xbr": "20", "ybr": "20", "outside": "0"} | {name: value}
        inner = " ".join(f'{key}="{cell.replace(chr(34), "")}"' for key, cell in given_.items())
        text = f'<annotations><track id="0" label="hand"><box {inner}/></track></annotations>'
    else:
        text = "\n".join(",".join(row) for row in data.draw(st.lists(st.lists(CELLS, max_size=9), max_size=4)))

    assert fault_of(lambda: import_text(kind, text, "import", listed)) == ""
