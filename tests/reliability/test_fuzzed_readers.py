"""The readers of tools/fuzz_readers.py: whole files are read, nonsense in well-formed ones is told in a line.

Of a file that is refused whole, changed bytes reach little; and of JSON, changed bytes leave little that is JSON.
HANDDATA_FUZZ=10000 sets how many documents for each reader.
"""

import importlib.util
import json
import os
import pickle
import sys
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reliability.mutations import fault_of
from tests.reliability.test_fuzz import some, spoiled

TOOL = Path(__file__).resolve().parents[2] / "tools/fuzz_readers.py"
OF_JSON = (
    "json", "json stream", "json lists", "boxes of COCO", "edits", "labels of a page", "labels, COCO",
    "labels, MediaPipe", "corrections", "predictions", "results", "camera", "index", "tags", "state of a conversion",
    "files of a conversion", "state of a checkpoint", "state, sealed", "results of COCO",
    "labels that results count by",
    "labels of InterHand2.6M", "cameras of InterHand2.6M", "joints of InterHand2.6M", "record of an export",
    "log.jsonl of a run", "shards.json of a run", "config.json of a run", "author's results", "person",
    "labels to replace", "settings of weights", "mark of a rendering, doctor", "mark of a rendering, synth",
    "ids of YOLO's rows",
)  # fmt: skip
few = settings(some, max_examples=int(os.environ.get("HANDDATA_FUZZ", "10")))  # they are many


@cache
def readers():
    spec = importlib.util.spec_from_file_location("fuzz_readers", TOOL)
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(TOOL.parent))  # for fuzz_stores, as when it is run
    spec.loader.exec_module(module)
    sys.path.remove(str(TOOL.parent))
    return module.readers()


def test_every_reader_that_is_fuzzed_reads_the_whole_file(tmp_path):
    assert len(readers()) == 78
    for name, reader in readers().items():
        path = tmp_path / name.replace(" ", "_") / reader.file
        path.parent.mkdir()
        path.write_bytes(reader.seed())
        reader.read(path)
    assert tuple(name for name, reader in readers().items() if is_json(reader.seed())) == OF_JSON


def is_json(data):
    try:
        return isinstance(json.loads(data), dict | list)
    except ValueError:
        return False


@pytest.mark.parametrize("name", OF_JSON)
@few
@given(data=st.data())
def test_nonsense_in_json_is_told_in_a_line(tmp_path, name, data):
    reader = readers()[name]
    path = tmp_path / reader.file
    path.write_text(json.dumps(data.draw(spoiled(json.loads(reader.seed())))))

    assert fault_of(lambda: reader.read(path)) == ""


HANDS = {"keypoints": [[[20.0, 20.0]] * 21], "keypoint_scores": [[1.0] * 21]}


@few
@given(found=spoiled([{"img_id": 1, "id": 1, "pred_instances": HANDS}]))
def test_nonsense_in_results_of_mmpose_is_told_in_a_line(tmp_path, found):
    path = tmp_path / "results.pkl"
    path.write_bytes(pickle.dumps(found, 2))

    assert fault_of(lambda: readers()["results of mmpose"].read(path)) == ""
