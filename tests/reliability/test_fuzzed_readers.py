"""What tools/fuzz_readers.py begins with is read whole: of a file that is refused, changed bytes reach little."""

import importlib.util
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[2] / "tools/fuzz_readers.py"


@pytest.fixture(scope="module")
def readers():
    spec = importlib.util.spec_from_file_location("fuzz_readers", TOOL)
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(TOOL.parent))  # for fuzz_stores, as when it is run
    spec.loader.exec_module(module)
    sys.path.remove(str(TOOL.parent))
    return module.readers()


def test_every_reader_that_is_fuzzed_reads_the_whole_file(readers, tmp_path):
    assert len(readers) == 45
    for name, reader in readers.items():
        path = tmp_path / name.replace(" ", "_") / reader.file
        path.parent.mkdir()
        path.write_bytes(reader.seed())
        reader.read(path)
