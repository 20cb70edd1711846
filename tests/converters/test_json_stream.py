"""Lists too large to hold are read one element after the other, and a broken file is one line."""

import json

import pytest

from handdata.converters.read import json_stream
from handdata.converters.read.json_stream import stream
from handdata.errors import DataError, MissingError


def test_elements_come_with_their_key_in_the_order_of_the_file(stored):
    content = {
        "info": {"a": [1, 2]},
        "images": [{"id": 1}, {"id": 2}],
        "n": 12,
        "annotations": [[1], "x", 3, {}],
        "e": [],
    }

    found = list(stream(stored(json.dumps(content).encode())))

    assert found == [("images", {"id": 1}), ("images", {"id": 2})] + [("annotations", v) for v in ([1], "x", 3, {})]


@pytest.mark.parametrize("chunk", [1, 2, 7, 1000])
@pytest.mark.parametrize("indent", [None, 2])
def test_where_the_file_is_cut_into_chunks_does_not_matter(stored, monkeypatch, chunk, indent):
    monkeypatch.setattr(json_stream, "_CHUNK", chunk)
    content = {"a": [{"k": f"é{i}", "v": [i, -1.5e3, None, True]} for i in range(20)], "b": 17, "c": [17, 18]}

    text = json.dumps(content, indent=indent, ensure_ascii=False)
    found = list(stream(stored(b"\xef\xbb\xbf" + text.encode())))

    assert [value for key, value in found if key == "a"] == content["a"]
    assert [value for key, value in found if key == "c"] == [17, 18]


@pytest.mark.parametrize(
    "data",
    [
        b"", b"[]", b'{"a": [1, 2', b'{"a": [1 2]}', b'{"a": [}', b'{"a" [1]}', b"\xff\xfe{",
        b'{"a": [' + b"[" * 100_000, b'{"a": ["x\\ud800.jpg"]}', b'{"a": ["x\\u001b[31m"]}',
    ],
    ids=["empty", "a list", "cut short", "no comma", "no value", "no colon", "UTF-16", "deep", "half", "escape"],
)  # fmt: skip
def test_what_is_none_is_one_clear_line(stored, data, refused):
    refused(DataError, lambda: list(stream(stored(data))))


@pytest.mark.parametrize("size", range(1, 42))
def test_a_file_that_is_cut_off_is_said_to_end_early(stored, size, refused):
    data = b'{"a": [{"k": "v", "n": true}, [1]], "b": 2}'[:size]

    assert "got a file that ends early" in refused(DataError, lambda: list(stream(stored(data))))


def test_a_file_that_is_not_there(tmp_path, refused):
    refused(MissingError, lambda: list(stream(tmp_path / "none.json")))
    refused(DataError, lambda: list(stream(tmp_path)))
