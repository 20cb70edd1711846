from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from handdata import manifest
from handdata.conversion.run import convert
from handdata.converters.backgrounds import split_pictures
from handdata.errors import MissingError
from handdata.shards.backgrounds import _color, _outline, open_backgrounds, paint_tiles, write_painted
from handdata.shards.dataset import open_dataset
from handdata.shards.index import open_shard

PUBLISHED = manifest.load("backgrounds").extra["split"]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Twenty pictures in two folders, each of one colour that tells which it is."""
    for i in range(20):
        path = tmp_path / "native" / ("train", "ä b")[i % 2] / f"{i:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((40 + i, 60, 3), 10 * i, np.uint8))
    return tmp_path / "native"


def test_the_published_split_is_that_of_the_legacy_shuffle_of_sorted_paths() -> None:
    paths = [f"ADE_train_{i:08d}.jpg" for i in range(6500)]
    shuffled = list(paths)
    np.random.seed(42)  # noqa: NPY002 - as published
    np.random.shuffle(shuffled)  # noqa: NPY002

    split = split_pictures(len(paths), **PUBLISHED)

    by_name = dict(zip(paths, split, strict=True))
    assert {by_name[path] for path in shuffled[:2000]} == {"val"}
    assert {by_name[path] for path in shuffled[2000:4000]} == {"test"}
    assert {by_name[path] for path in shuffled[4000:]} == {"train"}


@pytest.mark.parametrize(
    ("count", "held", "train"),
    [(1, 0, 1), (2, 0, 2), (3, 1, 1), (100, 10, 80), (5999, 599, 4801), (6000, 2000, 2000)],
    ids=str,
)
def test_fewer_pictures_are_split_in_the_same_proportions(count: int, held: int, train: int) -> None:
    split = split_pictures(count, **PUBLISHED)

    assert [int((split == name).sum()) for name in ("val", "test", "train")] == [held, held, train]


def test_what_a_mac_left_among_the_pictures_is_passed_over(pictures: Path, tmp_path: Path) -> None:
    for place in ("train/._00.png", "__MACOSX/train/00.png", ".thumbnails/00.jpg"):
        (pictures / place).parent.mkdir(parents=True, exist_ok=True)
        (pictures / place).write_bytes(b"\0\5\x16\7")
    (pictures / "folder.jpg").mkdir()

    assert convert("backgrounds", pictures, tmp_path / "pool", canvas=48).num_samples == 20


def test_a_folder_of_pictures_becomes_a_pool(pictures: Path, tmp_path: Path) -> None:
    convert("backgrounds", pictures, tmp_path / "pool", canvas=48)

    pools = [open_backgrounds(tmp_path / "pool", split) for split in ("train", "val", "test")]

    assert [len(pool) for pool in pools] == [16, 2, 2]
    assert pools[0].side == 48
    levels = sorted(int(pool[i].max()) for pool in pools for i in range(len(pool)))
    assert levels == [10 * i for i in range(20)]  # every picture once, not a trace of black from outside


def test_tiles_carry_no_keypoint(pictures: Path, tmp_path: Path) -> None:
    convert("backgrounds", pictures, tmp_path / "pool", canvas=48)

    for reader in open_dataset(tmp_path / "pool").shards.readers:
        assert not reader["annotated_2d"].any()
        assert np.isnan(reader["keypoints_3d"]).all()


def test_a_large_picture_is_cut_to_720_px(tmp_path: Path) -> None:
    (tmp_path / "native").mkdir()
    cv2.imwrite(str(tmp_path / "native" / "large.png"), np.zeros((900, 1600, 3), np.uint8))

    convert("backgrounds", tmp_path / "native", tmp_path / "pool", canvas=48)

    crop = open_shard(tmp_path / "pool" / "train-00000.h5")["crop_xyxy"][0]
    np.testing.assert_array_equal(crop, [440, 90, 1160, 810])


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="expected background pictures, got none"):
        convert("backgrounds", tmp_path, tmp_path / "pool")


def test_painted_tiles_differ_between_splits_and_not_between_runs() -> None:
    first, again, other = paint_tiles(0, 4, 32), paint_tiles(0, 4, 32), paint_tiles(1, 4, 32)

    np.testing.assert_array_equal(first, again)
    assert all(np.abs(a.astype(int) - b).mean() > 3 for a in first for b in other)


def naive_painting(rng: np.random.Generator, side: int) -> NDArray[np.uint8]:
    """Paint each shape over the whole picture."""
    picture = np.full((side, side, 3), _color(rng), np.float32)
    strength, fall = rng.uniform(0.05, 0.5), rng.uniform(0.4, 1.1)
    for cells in (2, 4, 8, 16, 32, 64):
        light = rng.normal(0, 1, (cells, cells, 1)) + rng.normal(0, 0.25, (cells, cells, 3))
        patch = (strength / cells**fall * light).astype(np.float32)
        picture += cv2.resize(patch, (side, side), interpolation=cv2.INTER_CUBIC)
    for _ in range(rng.integers(2, 16)):
        shape = np.zeros((side, side), np.float32)
        cv2.fillPoly(shape, [(_outline(rng) * side).astype(np.int32)], 1.0, cv2.LINE_AA)
        picture += shape[..., None] * rng.uniform(0.4, 1) * (_color(rng) - picture)
    picture *= 1 + rng.normal(0, 0.3) * np.linspace(-0.5, 0.5, side, dtype=np.float32)[:, None, None]
    picture += rng.normal(0, rng.uniform(0.005, 0.04), picture.shape).astype(np.float32)
    return np.asarray(np.clip(picture * 255, 0, 255), np.uint8)


def test_painting_only_where_a_shape_lies_gives_the_same_pictures() -> None:
    expected = [naive_painting(np.random.default_rng([7, index]), 96) for index in range(40)]
    np.testing.assert_array_equal(paint_tiles(7, 40, 96), np.stack(expected))


def test_without_a_pool_a_small_one_is_painted() -> None:
    pool = open_backgrounds(None, "val")

    assert len(pool) >= 100
    assert pool[len(pool) - 1].shape == (pool.side, pool.side, 3)
    with pytest.raises(IndexError):
        pool[len(pool)]


def test_painted_pictures_can_be_converted(tmp_path: Path) -> None:
    write_painted(tmp_path / "native", count=10, side=64)
    write_painted(tmp_path / "native", count=10, side=64)

    convert("backgrounds", tmp_path / "native", tmp_path / "pool", canvas=32)

    assert [len(open_backgrounds(tmp_path / "pool", split)) for split in ("train", "val", "test")] == [8, 1, 1]


def test_pictures_of_other_kinds_are_counted(pictures: Path, tmp_path: Path) -> None:
    for name in ("x.avif", "train/y.TIF", "._z.gif"):
        (pictures / name).write_bytes(b"any")

    plan = convert("backgrounds", pictures, tmp_path / "pool", canvas=48).plan

    assert len(plan.items) == 20
    assert [warning.partition(" (")[0] for warning in plan.warnings] == [
        "left out: 2 pictures of kinds that are not read"
    ]
