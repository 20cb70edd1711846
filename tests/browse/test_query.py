"""Filters and order of the page over shards: what is asked for is what comes, and nonsense is refused in one line."""

import json

import numpy as np
import pytest

from handdata.browse.browsing import Browsing
from handdata.browse.columns import FLAG_WORDS, _ranks
from handdata.browse.query import Query, parse_query
from handdata.check.canvases import close_up
from handdata.errors import ConfigError, HanddataError
from handdata.paths import DataRoot
from handdata.pictures.close_up import ROOM
from handdata.shards.dataset import open_dataset
from handdata.shards.hand import Hand
from handdata.shards.schema import Flag
from tests.made_runs import made_shards

WRONG = FLAG_WORDS[Flag.LABEL_WRONG]


@pytest.fixture(scope="module")
def browsing(tmp_path_factory):
    root = DataRoot(tmp_path_factory.mktemp("root"))
    first = made_shards(root.shards("synthhands"), "synthhands", right_every=3, excluded_every=5)
    second = made_shards(root.shards("dexter"), "dexter", split="test", samples=9, sequences=3)
    return Browsing(root, [first, second])


def found(browsing, where, **how):
    return browsing.select(Query(where, **how))[0].tolist()


def test_ids_sort_as_their_bytes_do_also_where_one_begins_another():
    ids = np.array([b"b/10", b"b/1", b"a/012345678", b"", b"b/1", b"a/0123456789abcdefg", b"a/01234567"], "S21")

    assert np.argsort(_ranks(ids), kind="stable").tolist() == np.argsort(ids, kind="stable").tolist()
    assert _ranks(ids[:0]).tolist() == []


def test_a_filter_on_each_kind_of_column_keeps_what_where_keeps(browsing):
    data = browsing.data
    flags, scale = data["flags"], data["scale_mm"]
    middle = float(np.median(scale))

    assert found(browsing, {"split": ["test"]}) == np.flatnonzero(data["split"] == "test").tolist()
    assert found(browsing, {"dataset": ["dexter"], "sequence": ["Grasp2"]}) == [27, 28, 29]
    assert found(browsing, {"side": ["right"]}) == np.flatnonzero(data["hand_side"] == 1).tolist()
    assert found(browsing, {"object": ["with"]}) == np.flatnonzero(data["has_object"] == 1).tolist()
    assert found(browsing, {"flags": [WRONG]}) == np.flatnonzero(flags & Flag.LABEL_WRONG).tolist()
    assert found(browsing, {"flags": ["none"]}) == np.flatnonzero(flags == 0).tolist()
    assert found(browsing, {"scale_mm": [middle, None]}) == np.flatnonzero(scale >= np.float32(middle)).tolist()
    assert found(browsing, {"id": "/0003"}) == np.flatnonzero(np.char.endswith(data["id"], "/0003")).tolist()
    assert found(browsing, {"rows": [5, 2], "split": ["val"]}) == [5, 2]


def test_order_is_by_value_both_ways_and_equal_ones_stay(browsing):
    scale = browsing.data["scale_mm"]

    assert found(browsing, {}, sort="scale_mm") == np.argsort(scale, kind="stable").tolist()
    assert found(browsing, {}, sort="id") == np.argsort(browsing.data["id"], kind="stable").tolist()
    down = found(browsing, {}, sort="scale_mm", descending=True)
    assert (np.diff(scale[down]) <= 0).all()
    assert found(browsing, {"dataset": ["dexter"]}, sort="side") == list(range(24, 33))


def test_counts_are_of_the_hands_that_the_other_filters_leave(browsing):
    counts = browsing.select(Query({"dataset": ["dexter"], "side": ["left"]}))[1]

    assert counts["dataset"] == [9, 16]  # dexter, synthhands: of the left hands
    assert counts["side"] == [9, 0, 0]
    assert sum(counts["sequence"]) == 9


def test_a_page_holds_what_is_shown_of_each_hand(browsing):
    page = browsing.page(Query({"dataset": ["dexter"]}), 2, 3)

    assert (page["found"], page["offset"], [row["number"] for row in page["rows"]]) == (9, 2, [26, 27, 28])
    row = page["rows"][0]
    assert (row["id"], row["split"], row["side"], row["labels_2d"]) == ("Grasp1/0002", "test", "left", 21)
    json.dumps(page, allow_nan=False)


def test_slow_columns_are_refused_until_they_are_there(browsing):
    with pytest.raises(ConfigError, match=r"expected a column that is computed, got Brightness, in work. Wait"):
        found(browsing, {}, sort="brightness")
    browsing.slow.begin()
    browsing.slow.wait()
    assert browsing.slow.troubles == {}

    rows = found(browsing, {}, sort="brightness", descending=True)
    canvases = [browsing.data.image(row) for row in rows]
    means = [canvas[canvas.any(-1)].mean() for canvas in canvases]  # of the picture, not of what lies outside
    shown = browsing.columns.numbers["brightness"].values[rows]
    assert (np.diff(shown) <= 0).all()
    np.testing.assert_allclose(shown, means, atol=12)  # every eighth pixel is read


@pytest.mark.parametrize(
    "text",
    [
        b"[]", b"{", b'{"where": 3}', b'{"sort": 4}', b'{"offset": -1}', b'{"count": 501}', b'{"count": true}',
    ],
)  # fmt: skip
def test_what_is_no_query_is_refused(text):
    with pytest.raises(HanddataError, match="query"):
        parse_query(text)


@pytest.mark.parametrize(
    "where",
    [
        {"nothing": ["x"]}, {"side": "left"}, {"side": ["up"]}, {"side": [3]}, {"flags": ["torn"]}, {"scale_mm": [1]},
        {"scale_mm": ["1", None]}, {"scale_mm": {}}, {"rows": [10**9]}, {"rows": [True]}, {"rows": "all"}, {"id": 3},
    ],
)  # fmt: skip
def test_a_filter_that_means_nothing_is_refused(browsing, where):
    with pytest.raises(ConfigError, match="query"):
        found(browsing, where)


def test_a_hand_is_described_in_the_pixels_of_its_canvas(browsing):
    facts, hand = browsing.facts(3), browsing.data[3]

    assert facts["id"] == hand.id
    np.testing.assert_allclose(facts["points"], hand.keypoints_2d, atol=1e-3)
    np.testing.assert_allclose(facts["labels"][4]["xyz"], hand.keypoints_3d[4], atol=0.06)
    assert facts["provenance"]["Shard"] == "synthhands/val-00000.h5, row 3"
    json.dumps(facts, allow_nan=False)


def test_a_small_hand_is_shown_close_up_with_its_labels_where_they_were():
    points = np.random.default_rng(2).integers(90, 140, (21, 2))
    image = np.zeros((256, 256, 3), np.uint8)
    for u, v in points:
        image[v - 1 : v + 2, u - 1 : u + 2] = 255
    near = close_up(Hand(image=image, side="left", keypoints_2d=points), 192)

    assert np.ptp(near.keypoints_2d, axis=0).max() == pytest.approx(192 / ROOM, rel=0.05)
    assert min(near.image[v, u].min() for u, v in np.rint(near.keypoints_2d).astype(int)) > 200
    assert near.image.mean() < 60


def test_a_hand_that_fills_its_canvas_is_shown_whole():
    points = np.random.default_rng(3).uniform(20, 236, (21, 2))
    hand = Hand(image=np.zeros((256, 256, 3), np.uint8), side="left", keypoints_2d=points)
    whole = close_up(hand, 192)

    np.testing.assert_allclose(whole.keypoints_2d, (hand.keypoints_2d + 0.5) * 192 / hand.size[0] - 0.5, atol=1e-6)


def test_an_unlabelled_point_is_null(tmp_path):
    folder = made_shards(tmp_path / "tips", "dexter", samples=2, tips_only=True)
    facts = Browsing(DataRoot(tmp_path), [folder]).facts(0)

    assert facts["points"][0] == [None, None]
    assert len(open_dataset(folder)) == 2
