"""What a text file holds is whole and harmless, or one line that names the file and the line."""

import json
import math
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handdata.errors import ConfigError, DataError, HanddataError, MissingError
from handdata.exchange.label_table import columns_in
from handdata.files.text import (
    DEEPEST,
    Wanted,
    decode,
    parse_csv,
    parse_json,
    parse_number,
    parse_toml,
    read_bytes,
    read_csv,
    read_json,
    read_json_lines,
    read_object,
    read_text,
    read_toml,
)

TABLE = Wanted(what="a table", fix="Save it again.", largest=1000)


def line(call, *arguments, **options):
    with pytest.raises(HanddataError) as caught:
        call(*arguments, **options)
    assert len(str(caught.value)) <= 480
    assert str(caught.value).isprintable()
    return str(caught.value)


# ------------------------------------------------------------------------------------------------ text


@pytest.mark.parametrize("data", [b"a\nb\n", b"\xef\xbb\xbfa\nb\n", b"a\r\nb\r\n", b"a\rb\r"])
def test_a_mark_and_the_kind_of_line_end_make_no_difference(tmp_path, data):
    (tmp_path / "t").write_bytes(data)

    assert read_text(tmp_path / "t", TABLE) == "a\nb\n"


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ("a,b".encode("utf-16"), "t: expected text in UTF-8, got text in UTF-16. Save it again."),
        ("a,b".encode("utf-32"), "t: expected text in UTF-8, got text in UTF-32. Save it again."),
        ("a,b\nc".encode("utf-16-le"), "t:1: expected text in UTF-8, got a NUL character. Save it again."),
        (b"a\nb\x1b[31m", "t:2: expected text in UTF-8, got the control character 0x1b. Save it again."),
        (b"a\nb\xc2\x9b", "t:2: expected text in UTF-8, got the control character 0x9b. Save it again."),
        ("a\nü".encode("latin-1"), "t:2: expected text in UTF-8, got a byte 0xfc of another encoding. Save it again."),
    ],
)
def test_another_encoding_is_told_with_its_name_or_its_line(data, told):
    assert line(decode, data, "t", TABLE) == told


def test_a_larger_file_is_refused_without_being_read_whole(tmp_path):
    (tmp_path / "t").write_bytes(bytes(1001))

    assert line(read_bytes, tmp_path / "t", TABLE).endswith(
        "expected a table of at most 0.001 MB, got a larger file. Save it again."
    )
    assert line(read_bytes, tmp_path, TABLE).endswith("expected a table, got Is a directory. Save it again.")
    assert len(read_bytes(tmp_path / "t", Wanted(what="a table"))) == 1001
    assert (
        len(read_bytes(tmp_path / "t", Wanted(what="a table", largest=2**50))) == 1001
    )  # no room is taken for so much


def test_what_tells_no_size_is_read_to_its_end():
    reads, writes = os.pipe()  # as `<(command)` of a shell
    with ThreadPoolExecutor(1) as pool, os.fdopen(reads):
        found = pool.submit(read_bytes, Path(f"/dev/fd/{reads}"), Wanted(what="a table"))
        with os.fdopen(writes, "wb") as pipe:
            pipe.write(b"x" * 200_000)

        assert len(found.result(10)) == 200_000


def test_a_file_that_is_not_there_is_missing(tmp_path):
    with pytest.raises(MissingError, match="expected a table, got no such file"):
        read_text(tmp_path / "none", TABLE)
    with pytest.raises(MissingError):
        read_text(tmp_path / "a\0b", TABLE)


def test_the_kind_of_the_error_is_the_callers():
    with pytest.raises(ConfigError):
        parse_toml("=", "r.toml", Wanted(what="a recipe", error=ConfigError))


# ------------------------------------------------------------------------------------------------ JSON


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            '{"a":\n1, 2}',
            "t:2: expected JSON, got Expecting property name enclosed in double quotes at column 4. Save it again.",
        ),
        ("", "t: expected JSON, got an empty file. Save it again."),
        ('{"a": [1,\n2', "t:2: expected JSON, got an end too early at column 2. Save it again."),
        ('{"a": tr', "t:1: expected JSON, got an end too early at column 7. Save it again."),
        ('{"a": "b', "t:1: expected JSON, got an end too early at column 7. Save it again."),
        ("[" * 100_000, "t: expected JSON nested at most 64 deep, got a deeper one. Save it again."),
        ("[" * 70 + "]" * 70, "t: expected JSON nested at most 64 deep, got a deeper one. Save it again."),
        ('{"a": 1, "b": 2, "a": 3}', "t: expected each key once, got a twice. Save it again."),
        ("[NaN]", "t: expected a finite number, got NaN. Save it again."),
        ("[-Infinity]", "t: expected a finite number, got -Infinity. Save it again."),
        ("[1e400]", "t: expected a finite number, got inf. Save it again."),
        ("[9223372036854775808]", "t: expected a whole number below 2^63, got 9.22e+18. Save it again."),
        ('["a", {"b\\u001b": 1}]', "t: expected text in UTF-8, got the control character 0x1b. Save it again."),
        ('["\\b"]', "t: expected text in UTF-8, got the control character 0x08. Save it again."),
        ('["\\u009b"]', "t: expected text in UTF-8, got the control character 0x9b. Save it again."),
        ('["\\ud800"]', "t: expected JSON of characters, got half of one. Save it again."),
    ],
)
def test_what_is_no_plain_json_is_told(text, told):
    assert line(parse_json, text, "t", TABLE) == told


def test_a_number_of_any_length_is_one_short_line():
    assert line(parse_json, "[" + "9" * 100_000 + "]", "t", TABLE).startswith(
        "t: expected a whole number below 2^63, got a larger one."
    )
    assert line(parse_json, "[" + "9" * 100_000 + ".5]", "t", TABLE).startswith("t: expected a finite number, got inf.")


def test_large_numbers_that_are_none_too_large_are_read():
    values = [-(2**63), 2**63 - 1, 1.7e308, 1e-400, 0.12345678901234567890, 1e0000001]

    assert parse_json(json.dumps(values), "t", TABLE) == values


def test_what_is_not_finite_is_read_where_it_is_wanted():
    assert math.isnan(parse_json("[NaN]", "t", TABLE, finite=False)[0])
    assert parse_json("[Infinity, 1e400]", "t", TABLE, finite=False) == [math.inf, math.inf]
    assert parse_toml("a = -inf", "t", TABLE, finite=False) == {"a": -math.inf}


def test_a_backslash_before_what_would_be_a_control_character_is_a_backslash():
    assert parse_json(r'["C:\\b", "\\u001b"]', "t", TABLE) == [r"C:\b", r"\u001b"]


def test_the_deepest_that_is_read():
    assert parse_json("[" * DEEPEST + "]" * DEEPEST, "t", TABLE)


TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cc"), include_characters="\n\r\t"))
SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | TEXTS
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


@given(st.recursive(SCALARS | NUMBERS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner)))
def test_whatever_is_plain_is_read_as_it_is(value):
    assert parse_json(json.dumps(value), "t", TABLE) == value


@given(st.text() | st.binary().map(lambda data: data.decode("utf-8", "surrogateescape")))
def test_any_text_is_read_or_refused_in_one_line(text):
    for parse in (parse_json, parse_toml, lambda *given: list(parse_csv(*given))):
        with suppress(DataError):
            parse(text, "t", TABLE)


@pytest.mark.parametrize(
    ("text", "kind"), [("[]", "list"), ("1", "number"), ("null", "null"), ("true", "true or false")]
)
def test_an_object_is_asked_for(tmp_path, text, kind):
    (tmp_path / "t").write_text(text)

    assert f"t: expected a table, a JSON object, got a {kind}." in line(read_object, tmp_path / "t", TABLE)


def test_lines_of_json_are_told_by_their_number(tmp_path):
    (tmp_path / "t").write_text('{"a": 1}\n\n{"a": 2}\n')
    assert read_json_lines(tmp_path / "t", TABLE) == [{"a": 1}, {"a": 2}]

    (tmp_path / "t").write_text('{"a": 1}\n{"a": \n')
    assert "t:2: expected JSON, got an end too early at column 7" in line(read_json_lines, tmp_path / "t", TABLE)
    (tmp_path / "t").write_text("{}\n5\n")
    assert "t:2: expected a table, a JSON object, got a number" in line(read_json_lines, tmp_path / "t", TABLE)


# ------------------------------------------------------------------------------------------------ TOML and CSV


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a = 1\nb =", "t:2: expected TOML, got Invalid value"),
        ("a = 1\na = 2", "t:2: expected TOML, got Cannot overwrite a value"),
        ("a = " + "[" * 5000, "t: expected TOML nested at most 64 deep"),
        (".".join("a" * 100) + " = 1", "t: expected TOML nested at most 64 deep"),
        ("a = inf", "t: expected a finite number, got inf"),
        ("a = [{b = nan}]", "t: expected a finite number, got nan"),
        ("a = 9223372036854775808", "t: expected a whole number below 2^63, got 9.22e+18"),
        ("a = " + "9" * 5000, "t: expected TOML, got Exceeds the limit"),
        ("a = 0x" + "f" * 5000, "t: expected a whole number below 2^63, got a larger one"),
        ("a = 2000-13-01", "t"),
    ],
)
def test_what_is_no_plain_toml_is_told(text, told):
    assert line(parse_toml, text, "t", TABLE).startswith(told)


def test_toml_is_read(tmp_path):
    (tmp_path / "t").write_bytes(b'\xef\xbb\xbfa = [1, 2.5]\r\n[b]\r\nc = "x"\r\n')

    assert read_toml(tmp_path / "t", TABLE) == {"a": [1, 2.5], "b": {"c": "x"}}


def test_csv_is_read_by_lines_without_empty_ones(tmp_path):
    (tmp_path / "t").write_bytes(b'a,b\r\n\r\n 1 ,"x,\ny"\r\n,\r\n2,\r\n')

    assert list(read_csv(tmp_path / "t", TABLE)) == [(1, ["a", "b"]), (4, ["1", "x,\ny"]), (6, ["2", ""])]


@pytest.mark.parametrize("text", ["a\n" + "b" * 200_000, 'a\n"b', 'a\n"b"c'])
def test_what_is_no_csv_is_told_with_its_line(text):
    assert line(lambda: list(parse_csv(text, "t", TABLE))).startswith("t:2: expected comma-separated text, got ")


def test_json_is_read_from_a_file(tmp_path):
    (tmp_path / "t").write_text("[1]")

    assert read_json(tmp_path / "t", TABLE) == [1]


def test_a_cell_is_a_finite_number():
    assert parse_number("1e3", "t:4", TABLE) == 1000
    assert line(parse_number, "inf", "t:4[x]", TABLE) == "t:4[x]: expected a finite number, got inf."
    assert line(parse_number, "", "t:4[x]", TABLE) == "t:4[x]: expected a number, got nothing."


def test_a_first_line_that_is_one_endless_cell_is_told_in_one_line(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("x" * 200_000)

    with pytest.raises(DataError, match=r"labels\.csv:1: expected comma-separated text, got field larger than"):
        columns_in(path)
