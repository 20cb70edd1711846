"""The pages that lead through a job run as they stand: their commands and their Python, on few small hands."""

import json
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from handdata.cli import group

DOCS = Path(__file__).parents[1] / "docs"
EXCHANGE = sorted((DOCS / "exchange").glob("*.md"))
BLOCK = re.compile(r"```(sh|python)\n(.*?)```", re.DOTALL)  # console: commands of other programs, not run
SMALLER = {
    "--frames 1600": "--frames 20 --size small --workers 1",
    "convert ganerated": "convert ganerated --workers 1",
    "--recipe demo": "--recipe demo --epochs 1 --no-evaluate --set loop.batches=2 --set loop.val_batches=1",
}
FINDINGS = {"diff": 1}  # exit codes that are no failures: what was compared differs


def run_command(line):
    """Run a line as a shell would, and return what it printed."""
    for long, short in SMALLER.items():
        line = line.replace(long, short)
    program, *words = shlex.split(line, comments=True)
    assert program == "handdata"
    done = CliRunner().invoke(group, words, catch_exceptions=False)
    assert done.exit_code in (0, FINDINGS.get(words[0])), done.output
    return done.output


def run_page(page):
    """Run the blocks of a page in their order; return what each command printed."""
    printed = []
    blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
    for language, text in blocks:
        if language == "python":
            exec(compile(text, str(page), "exec"), {"__name__": page.stem})
            continue
        printed += map(run_command, filter(None, text.splitlines()))
    return printed


@pytest.fixture
def home(native_tree, converted, tmp_path, monkeypatch):
    """A folder as the pages' reader has it: RHD's archive and shards."""
    for kind, folder in (("native", native_tree("rhd")), ("shards", converted("rhd"))):
        (tmp_path / "data" / kind).mkdir(parents=True)
        (tmp_path / "data" / kind / "rhd").symlink_to(folder)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return tmp_path


@pytest.mark.filterwarnings("ignore")  # of the other programs: open tar files, their own deprecations
@pytest.mark.parametrize("page", [page for page in EXCHANGE if page.stem != "mmpose"], ids=lambda path: path.stem)
def test_a_page_on_another_program_runs(page, home):
    assert run_page(page)


def test_the_page_on_mmpose_runs_and_the_labels_score_without_an_error(home):
    *_, scores = run_page(DOCS / "exchange" / "mmpose.md")

    coco = json.loads((home / "exported/rhd-coco/annotations/train.json").read_text())
    assert all((home / "exported/rhd-coco/images" / image["file_name"]).is_file() for image in coco["images"])
    assert {len(one["keypoints"]) for one in coco["annotations"]} == {63}
    assert "epe_px:mean 0" in re.sub(r" +", " ", scores), scores


def test_the_page_from_nothing_to_a_model_runs(native_tree, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    photo = next((native_tree("rhd") / "training" / "color").glob("*.png"))
    (tmp_path / "photo.jpg").write_bytes(photo.read_bytes())

    printed = run_page(DOCS / "start.md")

    assert len(printed) == 9
    assert (tmp_path / "runs/first/results.json").is_file()


@pytest.mark.filterwarnings("ignore")  # of Jupyter's client
def test_the_notebook_runs_and_shows_what_it_holds(tmp_path, monkeypatch):
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("PYTHONPATH", str(DOCS.parent))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    stored = nbformat.read(DOCS / "tour.ipynb", as_version=4)
    again = nbformat.read(DOCS / "tour.ipynb", as_version=4)

    NotebookClient(again, timeout=300).execute()

    assert shown(again) == shown(stored)
    assert sum(kind == "picture" for kinds in shown(stored) for kind in kinds) == 4


def shown(notebook):
    """Return the kinds of what each cell of code shows, warnings left out; a picture may have several encodings."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    kept = [[one.get("data", {"text": ""}) for one in cell.outputs if one.get("name") != "stderr"] for cell in cells]
    return [sorted({"picture" if "image" in kind else kind for data in outputs for kind in data}) for outputs in kept]
