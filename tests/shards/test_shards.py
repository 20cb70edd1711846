"""A shard is written whole or not at all, is the same bytes for the same rows, and reads back what went in."""

import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handdata.errors import DataError, MissingError
from handdata.files.whole import file_sha256
from handdata.shards.layout import layout_of, seal_of
from handdata.shards.reader import INDEX, ShardReader, write_index
from handdata.shards.schema import FIELDS, VERSION
from handdata.shards.writer import ALIGNMENT, ShardWriter, _opened
from handdata.skeleton import KEYPOINTS, PARENTS

CANVAS = 32
ATTRIBUTES = {"dataset": "made", "split": "train", "canvas_scale": 1.5, "options": '{"a": 1}'}
OPTIONAL = ("foreground", "mask")


def made_row(seed, optional=()):
    rng = np.random.default_rng(seed)
    row = {}
    for field in FIELDS:
        shape = field.shape_at(CANVAS)
        if field.name == "row_hash" or (field.optional and field.name not in optional):
            continue
        if field.name == "sample_id":
            row[field.name] = f"made/{seed:04d}".encode()
        elif field.dtype.startswith("float"):
            row[field.name] = np.where(rng.random(shape) < 0.2, np.nan, rng.normal(size=shape) * 100)
        else:
            row[field.name] = rng.integers(0, 2, shape) if field.dtype == "bool" else rng.integers(0, 100, shape)
    return row


def write(path, rows, **changes):
    options = {"canvas": CANVAS, "attributes": ATTRIBUTES, "sequences": ["a", "b"], "cameras": ["main"], **changes}
    with ShardWriter(path, len(rows), **options) as shard:
        for row in rows:
            shard.append(row)
    ENTRIES[path] = shard.entry()
    return path


ENTRIES = {}  # path -> what index.json would say of the shard


def read(path):
    """Open a shard that `write` wrote, there or in another place."""
    return ShardReader(path, seal(path))


def seal(path):
    return seal_of(ENTRIES[path], layout_of(ENTRIES[path]["layout"]))


@pytest.fixture
def shard(tmp_path):
    return write(tmp_path / "train-00000.h5", [made_row(seed) for seed in range(5)])


# ------------------------------------------------------------------------------------------------ round trip


@settings(max_examples=15)
@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=6), st.sampled_from([(), ("foreground",), OPTIONAL]))
def test_rows_come_back_as_they_went_in(tmp_path_factory, seeds, optional):
    rows = [made_row(seed, optional) for seed in seeds]
    reader = read(write(tmp_path_factory.mktemp("shard") / "x.h5", rows, optional=optional, attributes=ATTRIBUTES))

    assert len(reader) == len(rows)
    for name in rows[0]:
        array = {"image": reader.images, "foreground": reader.foreground, "mask": reader.mask}.get(name)
        array = reader[name] if array is None else array
        expected = np.array([np.asarray(row[name], array.dtype) for row in rows], array.dtype)
        np.testing.assert_array_equal(array, expected)
    np.testing.assert_array_equal(reader.row_hashes(), reader["row_hash"])
    assert reader.content_sha256() == reader.attributes["content_sha256"]


def test_attributes_and_tables(shard):
    reader = read(shard)

    assert ATTRIBUTES.items() <= {key: reader.attributes[key] for key in ATTRIBUTES}.items()
    assert reader.attributes["schema"] == VERSION
    assert reader.attributes["num_samples"] == 5
    assert reader.attributes["canvas_size"] == CANVAS
    assert reader.attributes["keypoint_names"] == list(KEYPOINTS)
    assert reader.attributes["keypoint_parents"] == list(PARENTS)
    assert (reader.sequences, reader.cameras) == (["a", "b"], ["main"])


def test_any_hdf5_reader_sees_the_same(shard):
    with h5py.File(shard) as file:
        assert file["keypoints_2d"].shape == (5, 21, 2)
        assert file["keypoints_2d"].attrs["unit"] == b"px"
        assert file.attrs["schema"] == b"handdata/2"
        assert list(file.attrs["keypoint_names"])[:2] == [b"wrist", b"thumb_mcp"]
        assert file["annotated_2d"].dtype == bool
        np.testing.assert_array_equal(file["image"][:], read(shard).images)
        assert file["image"].chunks is None
        assert file["image"].compression is None


def test_arrays_start_on_pages(shard):
    assert read(shard).offset("image") % ALIGNMENT == 0


def test_optional_arrays_are_absent_unless_asked_for(shard):
    reader = read(shard)

    assert reader.foreground is None
    assert reader.mask is None
    assert "foreground" not in reader
    assert "visible" in reader


def test_mapped_pixels_cannot_be_written(shard):
    with pytest.raises(ValueError, match="read-only"):
        read(shard).images[0, 0, 0, 0] = 1


# ------------------------------------------------------------------------------------------------ same bytes


def test_the_same_rows_give_the_same_bytes(tmp_path):
    rows = [made_row(seed, OPTIONAL) for seed in range(4)]

    first = write(tmp_path / "a" / "x.h5", rows, optional=OPTIONAL, tag="17")
    second = write(tmp_path / "b" / "x.h5", rows, optional=OPTIONAL, tag="4242")

    assert file_sha256(first) == file_sha256(second)


def test_the_same_rows_give_the_same_bytes_in_another_process(tmp_path, shard):
    script = (
        "import sys; from tests.shards.test_shards import *\n"
        "write(Path(sys.argv[1]), [made_row(seed) for seed in range(5)])"
    )
    environment = os.environ | {"PYTHONHASHSEED": "123"}
    other = tmp_path / "other.h5"
    subprocess.run([sys.executable, "-c", script, other], check=True, env=environment, cwd=Path(__file__).parents[2])

    assert file_sha256(other) == file_sha256(shard)


def test_content_hash_is_over_the_arrays_in_schema_order(shard):
    digest = hashlib.sha256()
    with h5py.File(shard) as file:
        for field in FIELDS:
            if field.name in file:
                digest.update(file[field.name][:].tobytes())

    assert read(shard).attributes["content_sha256"] == digest.hexdigest()


def test_content_hash_does_not_depend_on_attributes(tmp_path, shard):
    other = write(tmp_path / "o.h5", [made_row(s) for s in range(5)], attributes=ATTRIBUTES | {"options": "{}"})

    assert read(other).attributes["content_sha256"] == read(shard).attributes["content_sha256"]
    assert file_sha256(other) != file_sha256(shard)


# ------------------------------------------------------------------------------------------------ whole or not at all


def test_the_shard_appears_only_when_it_is_finished(tmp_path):
    path = tmp_path / "x.h5"
    options = {"canvas": CANVAS, "attributes": ATTRIBUTES, "sequences": [], "cameras": []}
    with ShardWriter(path, 1, **options) as shard:
        shard.append(made_row(0))

        assert not path.exists()
        assert shard.partial.exists()
    assert [p.name for p in tmp_path.iterdir()] == ["x.h5"]


def test_an_error_leaves_nothing_behind(tmp_path):
    options = {"canvas": CANVAS, "attributes": ATTRIBUTES, "sequences": [], "cameras": []}

    def write_half():
        with ShardWriter(tmp_path / "x.h5", 2, **options) as shard:
            shard.append(made_row(0))
            raise RuntimeError("bad picture")

    with pytest.raises(RuntimeError, match="bad picture"):
        write_half()

    assert list(tmp_path.iterdir()) == []


def test_an_unfinished_shard_does_not_close(tmp_path):
    options = {"canvas": CANVAS, "attributes": ATTRIBUTES, "sequences": [], "cameras": []}
    shard = ShardWriter(tmp_path / "x.h5", 2, **options)
    shard.append(made_row(0))

    with pytest.raises(ValueError, match="1 rows of 2 written"):
        shard.close()
    shard.abort()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frame": None}, "frame"),
        ({"wrong": 1}, "missing or in excess"),
        ({"crop_xyxy": [1, 2, 3]}, "crop_xyxy has shape"),
        ({"image": np.zeros((16, 16, 3), np.uint8)}, "image has shape"),
    ],
    ids=["lacks a field", "has another field", "wrong shape", "another canvas"],
)
def test_a_row_that_does_not_fit_is_the_callers_fault(tmp_path, change, message):
    row = made_row(0) | change
    if change.get("frame", 0) is None:
        del row["frame"]

    with pytest.raises(ValueError, match=message):
        write(tmp_path / "x.h5", [row])
    assert list(tmp_path.iterdir()) == []


def test_a_full_shard_takes_no_more(tmp_path):
    options = {"canvas": CANVAS, "attributes": ATTRIBUTES, "sequences": [], "cameras": []}
    with ShardWriter(tmp_path / "x.h5", 1, **options) as shard:
        shard.append(made_row(0))
        with pytest.raises(ValueError, match="is full"):
            shard.append(made_row(1))


def test_a_shard_holds_at_least_one_sample(tmp_path):
    with pytest.raises(ValueError, match="at least one"):
        write(tmp_path / "x.h5", [])


@pytest.mark.parametrize("size", ["4k", "256k"], ids=["no room for the header", "no room for the rows"])
def test_a_full_disk_is_told_before_the_first_row(tmp_path, size):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount a small tmpfs: {mounted.stderr.decode().strip()}")
    try:
        options = {"canvas": 192, "attributes": ATTRIBUTES, "sequences": [], "cameras": []}
        with pytest.raises(OSError, match="No space left"):
            ShardWriter(disk / "x.h5", 100, **options)
        assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", disk], check=True)


# ------------------------------------------------------------------------------------------------ reading


def test_a_reader_pickles_as_its_path_and_seal(shard):
    reader = read(shard)
    reader["keypoints_3d"]

    data = pickle.dumps(reader)

    assert len(data) < 4000
    np.testing.assert_array_equal(pickle.loads(data).images, reader.images)


@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 0.95])
def test_a_truncated_shard_is_named(shard, share):
    data = shard.read_bytes()
    shard.write_bytes(data[: int(len(data) * share)])

    with pytest.raises(DataError, match=r"train-00000\.h5: expected"):
        read(shard)


def test_a_missing_shard_is_named(tmp_path, shard):
    with pytest.raises(MissingError, match=r"nowhere\.h5: expected a shard, got no file"):
        ShardReader(tmp_path / "nowhere.h5", seal(shard))


def test_a_changed_header_is_refused_before_hdf5_sees_it(shard):
    with h5py.File(shard, "r+") as file:
        file.attrs.modify("schema", np.bytes_("handdata/0"))

    with pytest.raises(DataError, match=r"train-00000.h5: expected the header that index.json says, got another one"):
        read(shard)


def test_any_other_hdf5_file_is_refused(tmp_path, shard):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["something"] = [1, 2]

    with pytest.raises(DataError, match=r"expected \d+ bytes, as index.json says, got \d+"):
        ShardReader(tmp_path / "x.h5", seal(shard))


def test_a_shard_holds_no_text_of_any_length(shard):
    """Damaged ones hang HDF5 or crash it."""
    with h5py.File(shard) as file:
        items = [file, *(file[name] for name in file)]
        kinds = [item.attrs.get_id(key).dtype for item in items for key in item.attrs]
        kinds += [file[name].dtype for name in file]

    assert [kind for kind in kinds if kind.kind == "O"] == []


def test_every_byte_of_a_shard_has_a_hash(shard):
    """Whichever byte is flipped, the header, a label array and its rows, or the pixels of a row say so."""
    whole = shard.read_bytes()
    for place in range(0, len(whole), 101):
        shard.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(DataError, match=r"train-00000\.h5"):
            read_all(shard)
    shard.write_bytes(whole)
    read_all(shard)


def read_all(path):
    reader = read(path)
    for field in reader.seal.layout.labels:
        reader.array(field.name)
    for row in range(len(reader)):
        reader.check_row(row)


@pytest.mark.parametrize("optional", [(), OPTIONAL])
def test_the_spans_of_the_labels_hold_all_of_them_and_no_pixel(tmp_path, optional):
    layout = read(write(tmp_path / "x.h5", [made_row(1, optional)], optional=optional)).seal.layout
    spans = np.array(layout.label_spans)

    for field in layout.fields:
        place = layout.places[field.name]
        start, end = place.offset, place.offset + place.nbytes
        within, apart = (spans[:, 0] <= start) & (end <= spans[:, 1]), (spans[:, 1] <= start) | (end <= spans[:, 0])
        assert within.any() if field in layout.labels else apart.all(), field.name
    assert len(spans) <= len(layout.fields) - len(layout.labels) + 1


def test_one_changed_byte_changes_one_row_hash(shard):
    reader = read(shard)
    place = reader.offset("image") + 3 * CANVAS * CANVAS * 3 + 100
    data = bytearray(shard.read_bytes())
    data[place] ^= 1
    shard.write_bytes(data)

    changed = read(shard)
    with pytest.raises(DataError, match=r"train-00000.h5\[3\]: expected the row of that hash"):
        changed.take("image", np.arange(5))

    assert np.flatnonzero(changed.row_hashes() != changed["row_hash"]).tolist() == [3]
    assert changed.content_sha256() != changed.attributes["content_sha256"]


def test_the_index_appears_whole(tmp_path):
    write_index(tmp_path, {"schema": VERSION, "shards": []})

    assert json.loads((tmp_path / INDEX).read_text()) == {"schema": VERSION, "shards": []}
    assert [p.name for p in tmp_path.iterdir()] == [INDEX]


def test_a_copy_is_a_shard(shard, tmp_path):
    shutil.copy(shard, tmp_path / "copy.h5")

    np.testing.assert_array_equal(ShardReader(tmp_path / "copy.h5", seal(shard)).images, read(shard).images)


def test_a_write_of_hdf5_that_fails_is_told_as_the_system_s_error(tmp_path):
    """What HDF5 says of a full disk when it closes a file, as tools/torture met it."""
    said = (
        "Can't decrement id ref count (file write failed: time = Sun Nov 29 2026\n, filename = 'out/a.h5', file "
        "descriptor = 6, errno = 28, error message = 'No space left on device', buf = 0x55dc73259458)"
    )
    with pytest.raises(OSError, match="No space left on device") as caught, _opened(tmp_path / "a.h5", "w"):
        raise RuntimeError(said)
    assert (caught.value.errno, caught.value.filename) == (28, str(tmp_path / "a.h5"))

    with pytest.raises(RuntimeError, match="another"), _opened(tmp_path / "a.h5", "w"):
        raise RuntimeError("another")
