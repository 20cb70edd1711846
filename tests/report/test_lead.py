"""What the page opens with: cards, curves and hands that say what they are of, and what is missing with its command."""

import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from handdata.evaluation.protocol import Score
from handdata.evaluation.results import Curve, GalleryItem
from handdata.evaluation.seen import Seen, SeenSet
from handdata.geometry import crop_affine
from handdata.paths import DataRoot
from handdata.pictures.close_up import ROOM, close_window
from handdata.report import gallery
from handdata.report.curves import AUTHOR, AXES, pck_plots, series_of
from handdata.report.folding import fold
from handdata.report.lead import run_cards
from handdata.report.page import write_report
from handdata.report.reference import read_reference
from handdata.report.runs import find_runs, read_run
from handdata.report.tables import DASH, MISSING, Table
from handdata.shards.dataset import open_dataset
from tests.made_runs import made_run, made_shards


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two scored runs: the first on three sets, one of them of real hands."""
    data = DataRoot(tmp_path_factory.mktemp("root"))
    synthhands = open_dataset(made_shards(data.shards("synthhands"), "synthhands"))
    stereo = open_dataset(made_shards(data.shards("stereo"), "stereo", wrist=False, origin="published"))
    dexter = open_dataset(made_shards(data.shards("dexter"), "dexter", split="test", tips_only=True, wrist=False))
    made_run(data.root, "first", [synthhands, stereo, dexter], recipe="e010")
    made_run(data.root, "own", [synthhands], noise_px=9.0, mosaic=False)
    return data


@pytest.fixture
def first(data):
    return find_runs(data, ["first"])[0]


def page_of(data, tmp_path, *names):
    return write_report(find_runs(data, names), data, tmp_path / "out").read_text()


@pytest.fixture(scope="module")
def page(data, tmp_path_factory):
    return page_of(data, tmp_path_factory.mktemp("page"))


def with_set(run, place, **facts):
    sets = list(run.sets)
    sets[place] = replace(sets[place], **facts)
    return replace(run, results=replace(run.results, sets=tuple(sets)))


# ------------------------------------------------------------------------------------------------ cards


def test_a_card_holds_the_numbers_of_the_results_with_their_intervals(first):
    (card,) = run_cards([first])
    scores = {one.dataset: one.protocols for one in first.sets}
    shown = {one.name.split()[0]: {figure.name: figure for figure in one.figures} for one in card.sets}

    assert [one.name for one in card.sets] == [f"{one.dataset} {one.split}" for one in first.sets]
    error = first.sets[0].errors["all"]["2d"].total_micro
    assert shown[first.sets[0].dataset]["2D error"].value == f"{error:.3f}"
    for name, figures in shown.items():
        pa = scores[name]["pa_mpjpe"]
        assert figures["PA-MPJPE"].value == f"{pa.value:.1f}"
        assert figures["PA-MPJPE"].interval == f"{pa.low:.1f} to {pa.high:.1f}"
        pck = scores[name]["pck_0.2_bbox"]
        assert figures["PCK, 0.2 of box"].value == f"{100 * pck.value:.1f}"
    assert "Area of tips, 20-50 mm" in shown["dexter"]
    assert "Area, 20-50 mm" in shown["stereo"]


def test_a_card_says_whose_hands_were_measured_and_what_of_them_was_trained_on(first):
    first = replace(
        first, seen=Seen(sets=(SeenSet(dataset="synthhands", origin="rendered", splits=frozenset({"train"})),))
    )
    spoilt = with_set(first, 0, trained_on=3)
    (held,), (seen,) = run_cards([first]), run_cards([spoilt])
    by_name = {one.name.split()[0]: one for one in held.sets}

    assert held.trained == "synthhands (rendered)"
    assert by_name["synthhands"].hands == "rendered hands"
    assert by_name["stereo"].hands == "real hands"
    assert by_name["synthhands"].measured == "24 hands of 4 recordings"
    assert by_name["synthhands"].seen == "held out; other hands of it were trained on"
    assert by_name["stereo"].seen == "nothing of it was trained on"
    assert (seen.sets[0].spoilt, seen.sets[0].seen) == (True, "trained on 3 of these hands")


def test_the_sets_of_a_card_beyond_the_first_few_are_folded_and_named(data, tmp_path, monkeypatch):
    monkeypatch.setattr("handdata.report.page.SHOWN_SETS", 2)
    page = page_of(data, tmp_path, "first")

    assert page.count('<div class="score">') == 3
    (folded,) = re.findall(r"<summary class=\"small\">1 more: (.*?)</summary>", page)
    assert folded in {"synthhands val", "stereo val", "dexter test"}


def test_a_number_that_is_not_there_is_a_dash_with_its_reason(first):
    lacking = Score(missing="no 3D was predicted")
    protocols = {**first.sets[0].protocols, "pa_mpjpe": lacking, "thesis:error_3d": lacking}
    (card,) = run_cards([with_set(first, 0, protocols=protocols)])
    pa = next(figure for figure in card.sets[0].figures if figure.name == "PA-MPJPE")

    assert (pa.value, pa.unit, pa.interval) == (DASH, "", "")
    assert card.sets[0].missing == ("No PA-MPJPE: no 3D was predicted.",)


def test_a_run_that_was_not_evaluated_names_the_command_once(tmp_path):
    folder = tmp_path / "plain"
    folder.mkdir()
    (folder / "config.json").write_text('{"name": "demo"}')
    (card,) = run_cards([read_run(folder)])

    assert card.sets == ()
    assert "results.json and predictions.h5 (`handdata evaluate plain`)" in card.missing


def test_weights_from_elsewhere_are_not_asked_for_a_training(data, tmp_path):
    folder = tmp_path / "compact"
    folder.mkdir()
    for name in ("results.json", "predictions.h5", "shards.json"):
        (folder / name).write_bytes((data.runs / "first" / name).read_bytes())

    assert read_run(folder).missing == ()


# ------------------------------------------------------------------------------------------------ the page


def test_the_page_opens_with_cards_then_curves_then_hands_then_tables(page):
    places = [page.index(f'<section id="{name}">') for name in ("scores", "curves", "hands", "tables", "learning")]
    assert places == sorted(places)


def test_no_heading_is_said_twice(page):
    headings = re.findall(r"<h[1-3][^>]*>(.*?)</h[1-3]>", page, re.DOTALL)
    plain = Counter(re.sub(r"<[^>]+>", "", heading).strip() for heading in headings)
    assert [text for text, count in plain.items() if count > 1] == []


def test_a_report_without_predictions_says_which_command_writes_them(data, tmp_path):
    hidden = data.runs / "own" / "predictions.h5"
    kept = hidden.read_bytes()
    hidden.unlink()
    try:
        page = page_of(data, tmp_path, "own")
    finally:
        hidden.write_bytes(kept)

    assert "No pictures: predictions.h5 is not in the run's folder; <code>handdata evaluate own</code>" in page.replace(
        "&#39;", "'"
    )
    assert '<div class="plots">' in page
    assert 'class="shot"' not in page


def test_damaged_predictions_are_told_in_one_line_and_the_rest_is_shown(data, tmp_path, capsys):
    path = data.runs / "own" / "predictions.h5"
    kept = path.read_bytes()
    path.write_bytes(kept[:2000])
    try:
        page = page_of(data, tmp_path, "own")
    finally:
        path.write_bytes(kept)

    (line,) = re.findall(r"No pictures: .*", page)
    assert "predictions.h5" in line
    assert not line.endswith("..</p>")
    (missing,) = re.findall(r'id="missing".*?</section>', page, re.DOTALL)
    told = f"{path}: expected a file of handdata-predictions/1, got a damaged file"
    assert missing.count(told) == 1
    assert told in (tmp_path / "out" / "report.md").read_text()
    err = capsys.readouterr().err
    assert err.count(told) == 1
    assert err.endswith("left out: 1 part that cannot be read, named above and on the page\n")


@pytest.mark.parametrize("kind", ["cut", "pipe", "folder", "other arrays", "complex", "NaN"])
def test_damaged_heatmaps_are_told_in_one_line_and_the_rest_is_shown(data, tmp_path, capsys, kind):
    path, kept = data.runs / "first" / "mosaic.npz", tmp_path / "kept.npz"
    path.rename(kept)
    arrays = dict(np.load(kept))
    try:
        if kind == "cut":
            path.write_bytes(kept.read_bytes()[:1000])
        elif kind == "pipe":
            os.mkfifo(path)
        elif kind == "folder":
            path.mkdir()
        else:
            others = {"other arrays": np.ones((3, 4)), "complex": arrays["heatmaps"] * 1j,
                      "NaN": arrays["heatmaps"] * np.nan}  # fmt: skip
            np.savez(path, **arrays | {"heatmaps": others[kind]})
        page = page_of(data, tmp_path, "first")
    finally:
        path.rmdir() if path.is_dir() else path.unlink()
        kept.rename(path)

    assert page.count(f"first: {path}") == 1
    assert f"{path}" in capsys.readouterr().err
    assert 'class="shot"' in page


def test_the_report_needs_no_torch(data, tmp_path):
    code = (
        "import sys; from pathlib import Path; from handdata.paths import DataRoot;"
        "from handdata.report.page import write_report; from handdata.report.runs import find_runs;"
        f"data = DataRoot(Path({str(data.root)!r}));"
        f"write_report(find_runs(data, ('own',)), data, Path({str(tmp_path)!r})); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


# ------------------------------------------------------------------------------------------------ curves


def curve_of(values):
    return Curve(thresholds=tuple(np.linspace(0, 0.3, 31).tolist()), accuracy=tuple(values))


def test_a_curve_is_drawn_where_its_numbers_are_and_the_legend_reads_it_at_the_mark(first):
    straight = with_set(first, 0, curves={"2d": curve_of(np.linspace(0, 1, 31))})
    plots = pck_plots(["2d"], [(straight, straight.sets[0])], series_of([straight]))
    (path,) = re.findall(r'<path d="([^"]+)" class="curve s0 d0"/>', plots.drawings[0])
    points = np.array([[float(n) for n in pair.split()] for pair in path[1:].split("L")])
    slope = np.diff(points[:, 1]) / np.diff(points[:, 0])

    assert points[0].tolist() == [42.0, 206.0]
    assert points[-1].tolist() == [368.0, 10.0]
    np.testing.assert_allclose(slope, -196 / 326, atol=0.02)
    assert plots.read == ("within 0.1 of crop",)
    assert plots.lines[0].values == ("33 %",)


def test_a_run_keeps_its_colour_on_every_set_and_its_splits_differ_by_dash(first, data):
    own = find_runs(data, ["own"])[0]
    series = series_of([first, own])
    twice = [(own, own.sets[0]), (own, replace(own.sets[0], split="test"))]

    assert [line.series for line in pck_plots(["2d"], twice, series).lines] == [1, 1]
    assert [line.dash for line in pck_plots(["2d"], twice, series).lines] == [0, 1]
    many = {own.name: 7}  # the eighth of many runs
    assert [(line.series, line.dash) for line in pck_plots(["2d"], twice[:1], many).lines] == [(1, 1)]


def test_the_area_of_the_legend_is_that_of_the_protocol(first):
    plots = pck_plots(["2d", "3d_mm"], [(first, first.sets[0])], series_of([first]))
    area = first.sets[0].protocols["auc_20_50"].value

    assert plots.read[1] == "area 20-50 mm"
    assert plots.lines[0].values[1] == f"{area:.3f}"
    assert set(first.sets[0].curves) <= set(AXES)


def test_the_authors_curves_stand_beside_ours(first, shared):
    plots = pck_plots(["2d"], [(first, first.sets[0])], series_of([first]), read_reference(shared / "golden"))
    names = [line.name for line in plots.lines if line.series == AUTHOR]

    assert plots.drawings[0].count('class="curve author"') == len(names)


# ------------------------------------------------------------------------------------------------ hands


def test_a_small_hand_is_shown_closer_with_its_labels_where_they_were(first, data, monkeypatch):
    item = next(one for one in first.sets[0].gallery if one.kind == "best")
    dataset = open_dataset(data.shards("synthhands"), "val")
    row = [value.decode() for value in dataset["sample_id"]].index(item.sample_id)
    hand = dataset[row]
    monkeypatch.setattr("handdata.pictures.close_up.FILLED", 10.0)  # every hand is a small one
    cards, missing = gallery.cards(first, first.sets[0], 1)
    card = next(card for card in cards if card.kind == "best")
    drawn = np.array([[float(n) for n in pair] for pair in re.findall(r"M([\d.]+) ([\d.]+)h0", card.truth)])

    assert missing == ""
    assert re.search(r"2D\s0\.\d{3}, 3D\s0\.\d{3}, \d\.\dx\scloser", card.caption)
    assert np.ptp(drawn, axis=0).max() <= gallery.DRAWING_SIDE / ROOM + 1
    extent = np.ptp(drawn, axis=0)
    expected = np.ptp(hand.keypoints_2d, axis=0)
    assert extent[0] / extent[1] == pytest.approx(expected[0] / expected[1], rel=0.02)


def test_of_few_hands_each_is_shown_once_for_what_it_is(first, data):
    ids = [value.decode() for value in open_dataset(data.shards("synthhands"), "val")["sample_id"]][:5]
    orders = {"best": ids, "median": ids, "worst": ids[::-1]}
    few = tuple(
        GalleryItem(kind=kind, sample_id=one, error_2d=None, error_3d=None)
        for kind, order in orders.items()
        for one in order
    )
    cards, _ = gallery.cards(first, replace(first.sets[0], gallery=few), 4)

    assert [card.kind for card in cards] == ["best", "best", "median", "worst", "worst"]


def test_the_close_window_lies_inside_and_holds_the_points():
    points = np.array([[2.0, 150.0], [30.0, 170.0], [np.nan, 1.0]])
    window = close_window(points, np.array([0.0, 10.0, 180.0, 190.0]))
    moved = (points[:2] + 0.5) @ crop_affine(window, 100)[:2, :2].T

    assert window[0] == 0.0
    assert (window[2:] - window[:2]).tolist() == pytest.approx([28 * ROOM] * 2)
    assert np.ptp(moved[:, 0]) == pytest.approx(100 / ROOM)


@pytest.mark.parametrize("points", [[[5.0, 5.0], [200.0, 9.0]], [[5.0, 5.0]], [[1.0, 1.0], [150.0, 9.0]]])
def test_a_hand_that_is_large_or_leaves_the_picture_is_shown_whole(points):
    whole = np.array([0.0, 0.0, 180.0, 180.0])
    assert close_window(np.array(points), whole).tolist() == whole.tolist()


# ------------------------------------------------------------------------------------------------ folding


def table(rows, **facts):
    header = ("group", "A: published", "A: ours (run, rendered hands)", "B: published", "B: author's files")
    return Table(key="4.1", title="t", header=header, rows=rows, stubs=1, spans=(("A", 2), ("B", 2)), **facts)


def test_a_column_without_a_number_is_folded_away_and_counted():
    shown = fold(table((("thumb", "0.1", "0.2", DASH, MISSING), ("index", "0.1", MISSING, DASH, ""))))

    assert shown.table.header == ("group", "A: published", "A: ours (run, rendered hands)")
    assert shown.table.rows == (("thumb", "0.1", "0.2"), ("index", "0.1", MISSING))
    assert shown.table.spans == (("A", 2),)
    assert shown.columns == ("B: published", "B: author's files")
    assert shown.hidden == "2 columns without a number"
    assert shown.about == "published numbers, the author's files, ours: run, rendered hands"


def test_rows_are_folded_if_asked_and_a_table_of_nothing_stays():
    rows = (("thumb", "0.1", "0.2", "1", "2"), ("index", DASH, MISSING, DASH, ""))

    assert fold(table(rows)).table.rows == rows
    assert fold(table(rows), rows=True).rows == ("index",)
    assert fold(table(rows), rows=True).hidden == "1 row without a number"
    assert fold(table(rows[1:])).table == table(rows[1:])
