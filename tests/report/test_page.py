"""The report: what the page and its twins say, and that whatever is missing is named."""

import csv
import io
import json
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from click.testing import CliRunner

from handdata.cli.report import report_command
from handdata.errors import DataError, MissingError, WriteError
from handdata.evaluation.results import ErrorTable
from handdata.evaluation.seen import Seen, SeenSet
from handdata.paths import DataRoot
from handdata.report.drawings import error_skeleton, skeleton_overlay, three_views
from handdata.report.figures import learning_figure
from handdata.report.page import summary_lines, write_report
from handdata.report.published import ANCHORS, published_cells
from handdata.report.reference import read_reference
from handdata.report.runs import find_runs, read_run
from handdata.report.summaries import group_table, overview, protocol_table
from handdata.report.tables import thesis_table, tidy_rows
from handdata.shards.dataset import open_dataset
from tests.made_runs import made_run, made_shards


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A data root with three converted sets and two scored runs, e010 and a recipe of our own."""
    data = DataRoot(tmp_path_factory.mktemp("root"))
    synthhands = open_dataset(made_shards(data.shards("synthhands"), "synthhands", excluded_every=5))
    dexter = open_dataset(
        made_shards(data.shards("dexter"), "dexter", split="test", tips_only=True, wrist=False, origin="published")
    )
    stereo = open_dataset(made_shards(data.shards("stereo"), "stereo", wrist=False))
    made_run(data.root, "first", [synthhands, dexter, stereo], recipe="e010")
    made_run(data.root, "own", [synthhands], recipe="demo", model="latent", noise_px=9.0, mosaic=False)
    return data


@pytest.fixture(scope="module")
def page(data):
    write_report(find_runs(data, ()), data, data.runs / "report")
    return (data.runs / "report" / "index.html").read_text()


class Tags(HTMLParser):
    """Collects what a page refers to."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.sources, self.names = [], [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.names.add(tag)
        self.ids += [found["id"]] if "id" in found else []
        self.links += [found[key] for key in ("href", "xlink:href") if found.get(key)]
        self.sources += [found[key] for key in ("src", "srcset", "poster", "action") if found.get(key)]


# ------------------------------------------------------------------------------------------------ the page


def test_the_page_needs_nothing_but_itself(page):
    tags = Tags(page)
    assert "script" not in tags.names
    assert all(link.startswith(("#", "data:")) for link in tags.links + tags.sources)
    assert not re.search(r"@import|url\((?!#)", page)


def test_links_inside_the_page_lead_somewhere_and_ids_are_unique(page):
    tags = Tags(page)
    assert {link[1:] for link in tags.links if link.startswith("#")} <= set(tags.ids)
    assert len(tags.ids) == len(set(tags.ids))


@pytest.mark.parametrize("table", ["2.1", *(f"4.{i}" for i in range(1, 10))])
def test_every_published_table_is_there(page, table):
    assert f'id="table-{table}"' in page


def test_results_from_rendered_hands_are_told_apart(page):
    assert "RENDERED hands" in page
    assert 'class="badge rendered"' in page
    assert 'class="badge published"' in page


def test_galleries_hold_best_median_and_worst_with_truth_and_prediction_in_2d_and_3d(page):
    for kind in ("best", "median", "worst"):
        assert f"<strong>{kind}</strong>" in page
    assert page.count('aria-label="Labels and prediction of ') == 4 * 12
    assert page.count('<g class="labels">') == page.count('<g class="prediction">') == 4 * 12
    assert page.count("6 more</summary>") == 4
    assert "3D pose of " in page
    assert page.count("no normalised 3D truth: the prediction alone, to be judged by eye") == 1  # fingertips
    assert page.count("pose at the true root and scale") == 1  # Stereo has no wrist


def test_what_is_missing_is_named(page):
    assert "own: no heatmaps kept" in page
    assert "Missing, no run of ours: e013 (Model 3, no augmentation) on synth_hands_all" in page
    assert "the predictions hold no millimetres, only normalised 3D" in page


def test_text_from_files_is_escaped(data, tmp_path):
    root = DataRoot(tmp_path)
    run = root.runs / "evil"
    run.mkdir(parents=True)
    (run / "config.json").write_text(json.dumps({"name": "<script>alert(1)</script>"}))
    out = write_report(find_runs(root, ()), root, tmp_path / "out")
    assert "<script>" not in out.read_text()


def test_a_run_may_be_named_in_letters_that_the_plots_font_lacks(data):
    """Warnings are errors here, and Matplotlib has some of each such letter; the browser draws them."""
    (run,) = find_runs(data, ("first",))
    drawn = learning_figure([replace(run, name="手のモデル")])
    assert "手のモデル" in drawn


def test_writing_twice_gives_the_same_bytes(data, page, tmp_path):
    write_report(find_runs(data, ()), data, tmp_path)
    for name in ("index.html", "report.md", "tables.csv", "tables.tex"):
        assert (tmp_path / name).read_bytes() == (data.runs / "report" / name).read_bytes()


def test_the_page_stays_small(data, page):
    assert len(page) < 2_000_000


def test_a_page_without_any_run_still_shows_what_was_published(tmp_path, shared):
    data = DataRoot(tmp_path)
    path = write_report([], data, tmp_path / "out", read_reference(shared / "golden"))
    text = path.read_text()
    assert "no runs: train one with" in text
    assert "author&#39;s files" in text
    assert "0.328" in text


# ------------------------------------------------------------------------------------------------ the tables


def cell(table, dataset, group, column):
    stubs = table.header[: table.stubs]
    row = next(row for row in table.rows if dict(zip(stubs, row, strict=False)).items() >= {
        "dataset": dataset, "group": group}.items())  # fmt: skip
    return row[next(i for i, name in enumerate(table.header) if name.startswith(column))]


def test_our_column_stands_beside_the_published_one_with_the_difference(data):
    table = thesis_table("4.1", find_runs(data, ()), None)
    error = find_runs(data, ["first"])[0].sets[0].errors["all"]["2d"].groups["finger:thumb"]

    assert cell(table, "SynthHands", "thumb", "Model 1: published") == "0.014"
    assert cell(table, "SynthHands", "thumb", "Model 1: ours (first") == f"{error:.3f}"
    assert cell(table, "SynthHands", "thumb", "Model 1: difference") == f"{error - 0.014:+.3f}"
    assert cell(table, "GANerated", "thumb", "Model 1: ours") == "missing"


def test_a_recipe_of_our_own_stands_in_for_its_model_and_the_table_says_so(data):
    table = thesis_table("4.1", find_runs(data, ()), None)
    assert any("run own (recipe demo, no published experiment: it stands in)" in note for note in table.notes)
    assert any("RENDERED hands" in note for note in table.notes)


def test_the_heading_over_a_stand_in_says_which_real_sets_it_was_trained_on(data):
    (own,) = find_runs(data, ["first"])
    learnt = [{"dataset": "rhd", "splits": ["train"]}, {"dataset": "stereo", "splits": ["train", "val"]},
              {"dataset": "dexter", "splits": ["val"]}]  # fmt: skip
    config = {**own.config, "name": "best", "augment": {"kind": "strong"}}
    stand_in = replace(own, config=config, shards=learnt)

    def told(table, run):
        return [name.partition(": ")[0] for name in thesis_table(table, [run], None).header if "trained on" in name]

    assert told("4.8", stand_in) == ["Synthetic Data Only"]
    assert told("4.7", stand_in) == ["After Augmentation"]
    assert told("4.6", stand_in) == []  # of SynthHands and GANerated, where nothing is claimed
    assert told("4.8", replace(stand_in, shards=learnt[:1])) == []
    assert told("4.8", replace(stand_in, config={**config, "name": "e020"})) == []


def test_the_authors_files_are_a_column_of_their_own(data, shared):
    table = thesis_table("4.5", find_runs(data, ()), read_reference(shared / "golden"))
    model = "Model 1 (before augmentation)"
    assert cell(table, "Dexter+Object (Grasp2)", "fingertip", f"{model}: published") == "0.322"
    assert cell(table, "Dexter+Object (Grasp2)", "fingertip", f"{model}: author's files") == "0.328"
    assert cell(table, "Dexter+Object (Grasp2)", "wrist", f"{model}: author's files") == "–"


def test_grasp2_is_scored_on_its_own_sequence(data):
    runs = find_runs(data, ["first"])
    table = thesis_table("4.7", runs, None)
    dexter = next(one for one in runs[0].sets if one.dataset == "dexter")
    expected = dexter.sequences["Grasp2"]["2d"]
    assert cell(table, "Dexter+Object (Grasp2)", "total", "Before Augmentation: ours") == f"{expected:.3f}"


def test_pixels_of_table_4_9_are_flagged_where_they_were_derived(data):
    table = thesis_table("4.9", [], None)
    assert cell(table, "Dexter+Object [27]", "total", "Iqbal") == "16.660 †"
    assert cell(table, "Dexter+Object [27]", "total", "Zimmermann") == "25.160"


def test_every_dataset_has_its_errors_by_joint_and_finger(data):
    sets = [(run, one) for run in find_runs(data, ["first"]) for one in run.sets if one.dataset == "stereo"]
    table = group_table("stereo", sets)
    errors = sets[0][1].errors["all"]["2d"]

    assert [row[0] for row in table.rows] == [
        "wrist", "MCP", "PIP", "DIP", "fingertip", "thumb", "index", "middle", "ring", "little", "total",
    ]  # fmt: skip
    assert table.rows[0][1:] == ("–", "–")
    assert table.rows[5][1] == f"{errors.groups['finger:thumb']:.3f}"


def test_tidy_rows_hold_every_published_number_once(data):
    rows = tidy_rows(find_runs(data, ()), None)
    published = {tuple(row[:5]): row[5] for row in rows[1:]}
    printed = {c: text for c, text in published_cells().items() if c.table != "2.1"}

    assert len(published) == len(rows) - 1
    for c, text in printed.items():
        assert published[c.table, c.dataset, c.model, c.group, c.metric] == text


def test_published_cells_are_those_of_the_specification(shared):
    with (shared / "published" / "thesis_tables.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["table"] != "2.1"]
    ours = {(c.table, c.dataset, c.model, c.group, c.metric): text for c, text in published_cells().items()}
    for row in rows:
        key = tuple(row[name] for name in ("table", "dataset", "model", "group", "metric"))
        assert ours[key] == row["value"].replace("–", "")


def test_published_areas_are_those_of_the_specification(shared):
    text = (shared / "spec" / "evaluation.md").read_text()
    for areas in ANCHORS.values():
        for methods in areas.values():
            for _, area in methods:
                assert f"{area:.4f}".lstrip("0").rstrip("0") in text


@pytest.mark.parametrize(("name", "start"), [("report.md", "# handdata report"), ("tables.tex", "% handdata report")])
def test_the_twins_hold_the_same_tables(data, page, name, start):
    text = (data.runs / "report" / name).read_text()
    assert text.startswith(start)
    assert "Table 4.9" in text
    assert "+0." in text


def test_the_lowest_error_names_its_samples_and_passes_over_a_run_that_left_some_out(data):
    first, own = find_runs(data, ("first", "own"))
    assert (first.results, own.results) != (None, None)
    whole = next(line for line in summary_lines([first, own], None) if "on synthhands" in line)
    count = own.sets[0].counts["samples"]
    assert f"Lowest 2D error on synthhands ({count} samples of val, rendered): " in whole
    assert "run first" in whole

    few = replace(first.sets[0], counts={**first.sets[0].counts, "samples": 2})
    part = replace(first, results=replace(first.results, sets=(few, *first.sets[1:])))
    lead = summary_lines([part, own], None)
    assert "run own" in next(line for line in lead if "on synthhands" in line)
    assert lead[0].startswith("2 runs, 4 scored sets of 3 datasets")
    assert summary_lines([own], None)[0] == "1 run, 1 scored set of 1 dataset (synthhands)."


def test_a_run_named_twice_is_shown_once(data):
    again = str(data.runs / "own")
    assert [run.name for run in find_runs(data, ("own", "first", again))] == ["own", "first"]


# ------------------------------------------------------------------------------------------------ the command


def invoke(data, *arguments):
    return CliRunner().invoke(report_command, list(arguments), obj=data)


def test_the_command_prints_the_pages_path_and_nothing_else(data):
    result = invoke(data, "first", "--out", str(data.root / "elsewhere"))
    assert result.exit_code == 0
    assert result.stdout == f"{data.root}/elsewhere/index.html\n"
    assert sorted(p.name for p in (data.root / "elsewhere").iterdir()) == [
        "index.html", "report.md", "tables.csv", "tables.tex",
    ]  # fmt: skip


def test_a_disk_without_room_is_told_and_leaves_no_part_of_a_file(data, tmp_path):
    (tmp_path / "index.html").write_text("<title>handdata report</title> before")
    command = (
        f"ulimit -f 1; {sys.executable} -m handdata --data-root {data.root} report --out {tmp_path}"  # 1 KiB a file
    )
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith("File too large. Make room, or choose another place.")
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]
    assert (tmp_path / "index.html").read_text() == "<title>handdata report</title> before"


def test_csv_of_runs_has_the_columns_of_the_reference(data):
    rows = list(csv.reader(io.StringIO(invoke(data, "--format", "csv").stdout)))
    assert rows[0] == ["table", "dataset", "model", "group", "metric", "value"]
    assert {row[0] for row in rows[1:]} == {"4.1", "4.2", "4.3", "4.4", "4.5", "4.6", "4.7"}
    assert all(re.fullmatch(r"\d+\.\d{9}|", row[5]) for row in rows[1:])


def test_no_run_at_all_is_told_with_what_to_do(tmp_path):
    result = invoke(DataRoot(tmp_path))
    assert isinstance(result.exception, MissingError)
    assert "expected at least one run, got none. Run `handdata demo` first." in str(result.exception)


def test_an_unknown_run_is_told_with_the_known_ones(data):
    with pytest.raises(MissingError, match=r"expected the name or folder of a run, .* Runs here: first, own\."):
        find_runs(data, ["last"])


def test_a_damaged_log_is_told_with_its_line(data, tmp_path):
    (tmp_path / "log.jsonl").write_text('{"epoch": 1}\n{"epo')
    with pytest.raises(DataError, match=r"log.jsonl:2: expected JSON"):
        read_run(tmp_path)


# ------------------------------------------------------------------------------------------------ drawings


def error_table(values):
    return ErrorTable(
        keypoint=values, labels=(1,) * 21, groups={}, total_macro=None, total_micro=None, median=None, rmse=None
    )


def test_the_skeleton_shows_each_error_and_marks_unlabelled_keypoints():
    svg = error_skeleton(error_table((None, *[0.05] * 19, 0.1)), 0.1, "crop side", "errors")
    assert svg.count('class="error"') == 20
    assert svg.count('class="unlabelled"') == 1
    assert "little_tip: 0.100 crop side" in svg


def test_missing_keypoints_are_not_drawn():
    points = np.full((21, 2), np.nan)
    points[5:9] = [[1, 2], [3, 4], [5, 6], [7, 8]]
    svg = skeleton_overlay(points)
    assert svg.count("<path") == 2
    assert "nan" not in svg


def test_three_views_look_along_the_three_axes():
    pose = np.zeros((21, 3))
    pose[:, 2] = np.linspace(-1, 1, 21)
    svg = three_views(np.full((21, 3), np.nan), pose, "a line in depth")
    assert all(f">{name}</text>" in svg for name in ("front", "side", "top"))
    assert three_views(np.full((21, 3), np.nan), np.full((21, 3), np.nan), "nothing") == ""


def test_two_folders_of_one_dataset_and_split_are_told_apart_by_their_folder(tmp_path):
    data = DataRoot(tmp_path)
    made_run(tmp_path, "both", [open_dataset(made_shards(data.shards("stereo"), "stereo"))])
    run = read_run(data.runs / "both")
    one = run.sets[0]
    gritty = replace(one, shards=f"{one.shards}-gritty")
    both = replace(run, results=replace(run.results, sets=(one, gritty)))

    assert (run.set_name(one), run.column(one)) == ("stereo val", "both (val)")
    assert [both.column(part) for part in both.sets] == ["both (val, stereo)", "both (val, stereo-gritty)"]
    assert [row[2] for row in overview([both]).rows] == ["stereo val, stereo", "stereo val, stereo-gritty"]


# ------------------------------------------------------------------------------------------------ held out or not


def with_sets(run, **facts):
    """Return a run whose scored sets say other things of themselves."""
    return replace(run, results=replace(run.results, sets=tuple(replace(one, **facts) for one in run.sets)))


def test_a_set_that_was_trained_on_leads_nothing_fills_no_cell_and_is_called_so(data):
    first, own = find_runs(data, ("first", "own"))
    spoilt = with_sets(first, trained_on=3)
    lines = summary_lines([spoilt, own], None)

    assert any("run own" in line for line in lines if line.startswith("Lowest 2D error on synthhands"))
    assert not any(line.startswith("Lowest 2D error on stereo") for line in lines)
    assert (
        f"Not held out: first was trained on 3 of {spoilt.sets[0].counts['samples']} samples of synthhands val."
        in lines
    )
    assert "ours" not in " ".join(thesis_table("4.7", [spoilt], None).header)
    assert "synthhands val, TRAINED ON" in " ".join(cell for row in overview([spoilt]).rows for cell in row)


def test_predictions_with_holes_are_said_under_the_tables(data):
    first = find_runs(data, ("first",))[0]
    (one,) = [one for one in first.sets if one.dataset == "stereo"]
    counts = {**one.counts, "without_prediction": 2, "labels_2d_unpredicted": 46, "labels_3d_unpredicted": 40}
    notes = protocol_table("stereo", [(first, replace(one, counts=counts))]).notes

    assert f"first: 2 of {counts['samples']} samples have no prediction." in notes
    assert f"first: 46 of {counts['labels_2d']} 2D labels have no prediction." in notes
    assert f"first: 40 of {counts['labels_3d']} 3D labels have no prediction." in notes
    assert not any("prediction." in note for note in protocol_table("stereo", [(first, one)]).notes)


def test_results_that_do_not_say_are_held_against_the_runs_record(data):
    """An older e022: trained on all of Dexter+Object but Grasp2, and scored on all of it."""
    (first,) = find_runs(data, ("first",))
    seen = Seen(sets=(SeenSet(dataset="dexter", left_out=frozenset({"Grasp2"}), by_sequence=True),))
    older = with_sets(replace(first, seen=seen), trained_on=None)
    assert [one.dataset for one in older.sets if older.has_seen(one)] == ["dexter"]


@pytest.mark.parametrize("name", ["index.html", "report.md", "tables.csv"])
def test_somebodys_own_files_are_not_replaced_by_a_report(data, tmp_path, name):
    (tmp_path / name).write_text("<title>my site</title>\n")
    with pytest.raises(WriteError, match=rf"{name}: expected no file, or a report's, got somebody's own"):
        write_report(find_runs(data, ()), data, tmp_path)

    assert [path.read_text() for path in tmp_path.iterdir()] == ["<title>my site</title>\n"]


def test_a_report_replaces_the_one_before(data, page, tmp_path):
    for name in ("index.html", "report.md", "tables.csv", "tables.tex"):
        (tmp_path / name).write_bytes((data.runs / "report" / name).read_bytes())
    write_report(find_runs(data, ("own",)), data, tmp_path)

    assert (tmp_path / "index.html").read_text() != page
