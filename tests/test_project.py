"""The project keeps its own word: generated pages are current, the README is true, the wheel carries what it must."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from handdata import manifest
from handdata.cli import COMMANDS, group
from handdata.converters import CONVERTERS
from handdata.shards.schema import FIELDS
from handdata.synth.native import NATIVE_WRITERS

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAX_WHEEL_BYTES = 12_000_000  # 8 of them are weights
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])


def page_name(path):
    return str(path.relative_to(ROOT))


# ------------------------------------------------------------------------------------------------ pages


def test_generated_pages_are_current():
    """In a process of its own: click remembers the help option of a command that another test has called alone."""
    code = "import make_docs; print(*sorted(make_docs.stale()))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT / "tools", capture_output=True, text=True, check=True)

    assert done.stdout.split() == [], "run make docs"


@pytest.mark.parametrize("field", [field.name for field in FIELDS])
def test_the_schema_page_describes_every_field(field):
    assert f"| `{field}` |" in (ROOT / "docs" / "schema.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", manifest.names())
def test_the_datasets_page_says_where_to_ask_for_every_dataset_and_its_licence(name):
    page = (ROOT / "docs" / "datasets.md").read_text(encoding="utf-8")

    assert f"](datasets/{name}.md)" in page  # which cites it: tests/test_site.py
    assert manifest.load(name).licence in page
    assert manifest.load(name).homepage in page


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_in_the_readme_and_in_the_reference(name):
    assert re.search(rf"`(handdata )?{name}\b", README), f"the README does not name {name}"
    assert f"## handdata {name}\n" in (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", manifest.names())
def test_the_readme_names_every_dataset(name):
    assert f"`{name}`" in README.split("Dataset names:")[1].split("\n\n")[0]


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_links_between_pages_lead_somewhere(page):
    targets = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", page.read_text(encoding="utf-8"))

    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_commands_quoted_in_pages_exist(page):
    blocks = re.findall(r"^```\w*\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    quoted = [name for block in blocks for name in re.findall(r"^handdata ([a-z][a-z-]+)", block, re.MULTILINE)]

    assert set(quoted) <= set(COMMANDS)


def test_the_readmes_tree_is_true():
    block = README.split("## Where things are")[1].split("```")[1]
    package = [line.split()[0].rstrip("/") for line in block.splitlines() if line.startswith("  ")]

    modules = [path.name for path in (ROOT / "handdata").glob("*.py") if path.name[0] != "_"]
    folders = [path.parent.name for path in (ROOT / "handdata").glob("*/__init__.py")]
    assert sorted(package) == sorted([*modules, *folders])
    for line in block.strip().splitlines():
        if not line.startswith(" "):
            assert (ROOT / line.split()[0]).is_dir(), line


def test_python_in_the_readme_runs_on_converted_datasets(converted, tmp_path, monkeypatch):
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    (tmp_path / "data" / "shards").mkdir(parents=True)
    for name in ("stereo", "rhd"):
        (tmp_path / "data" / "shards" / name).symlink_to(converted(name))
    monkeypatch.chdir(tmp_path)

    names: dict = {}
    for block in blocks:
        exec(block, names)

    assert len(blocks) == 2
    assert (tmp_path / "hand.png").is_file()
    assert names["hand"].image.shape == (192, 192, 3)
    assert names["xyz"].shape[1:] == (21, 3)


# ------------------------------------------------------------------------------------------------ voice

# phrases that CONTRIBUTING.md, "How handdata speaks", replaces by plainer ones
OLD_PHRASES = re.compile(
    r"\b(?:is|are) (?-i:none)\b|\bone's own\b|has to beat|workers that live|asked of no loss"
    r"|\b(?:box|row|module|object|hash|curve|writer|script|line|task|samples|upload|us|ms|GB) an? "
    r"(?:frame|sample|row|hand|dataset|picture|file|keypoint|channel|epoch|step|batch|stage|class|sequence)\b",
    re.IGNORECASE,
)


def old_phrases(text):
    return [found[0] for found in OLD_PHRASES.finditer(text)]


def test_old_phrases_are_recognised():
    text = "one box a frame, a row a hand, none where there is none; one box per frame, a hand in a frame"

    assert old_phrases(text) == ["box a frame", "row a hand", "is none"]


@pytest.mark.parametrize("page", [p for p in PAGES if p.name != "CONTRIBUTING.md"], ids=page_name)
def test_a_page_speaks_plainly(page):
    assert old_phrases(page.read_text(encoding="utf-8")) == []


def test_the_changelog_speaks_plainly():
    assert old_phrases((ROOT / "CHANGELOG.md").read_text(encoding="utf-8")) == []


def messages(path):
    """Return the texts of a module that are no docstrings: what it may say to a user."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    said = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    texts = (node for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))
    return [node.value for node in texts if id(node) not in said]


def test_no_message_of_the_package_speaks_otherwise():
    spoken = {
        str(path.relative_to(ROOT)): [phrase for text in messages(path) for phrase in old_phrases(text)]
        for path in (ROOT / "handdata").rglob("*.py")
    }

    assert {path: phrases for path, phrases in spoken.items() if phrases} == {}


@pytest.mark.parametrize("name", COMMANDS)
def test_help_begins_with_a_verb_or_a_noun_and_speaks_plainly(name):
    command = group.get_command(None, name)
    texts = [
        param.help or "" for param in command.get_params(click.Context(command)) if isinstance(param, click.Option)
    ]

    assert [text for text in texts if re.match(r"(Of|Instead)\b", text)] == []
    assert [text for text in texts if text.endswith("].")] == []
    assert old_phrases(" ".join([command.help, *texts])) == []


# ------------------------------------------------------------------------------------------------ parts


@pytest.mark.parametrize("name", manifest.names())
def test_a_dataset_has_all_its_parts(name):
    assert name in CONVERTERS
    assert name in NATIVE_WRITERS
    assert (ROOT / "tests" / "converters" / f"test_{name}.py").is_file()


@pytest.mark.parametrize("path", sorted((ROOT / "handdata").rglob("*.py")), ids=lambda path: path.stem)
def test_a_module_has_a_docstring_and_a_size_one_can_read(path):
    text = path.read_text(encoding="utf-8")

    assert text.lstrip().startswith('"""')
    assert len(text.splitlines()) <= 400
    assert path.name not in {"utils.py", "common.py", "helpers.py", "base.py", "core.py", "types.py"}


def test_no_notes_to_self_stay():
    marks = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")

    assert [p for p in sorted((ROOT / "handdata").rglob("*.py")) if marks.search(p.read_text(encoding="utf-8"))] == []


# ------------------------------------------------------------------------------------------------ wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", target, wheel]
    subprocess.run([str(part) for part in command], check=True, capture_output=True)
    return target


def ask(installed, script, folder):
    """Run Python that finds handdata in the installed wheel only."""
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(installed)!r})\n{script}"]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.mark.slow
def test_the_wheel_is_small(wheel):
    assert wheel.stat().st_size <= MAX_WHEEL_BYTES


def test_type_checkers_of_others_read_our_types():
    """The classifier `Typing :: Typed` is true only with this file."""
    assert (ROOT / "handdata" / "py.typed").is_file()


@pytest.mark.slow
def test_the_wheel_lists_the_datasets(installed, tmp_path):
    script = "from handdata.cli import main; sys.argv = ['handdata', 'datasets', '--json']; main()"

    entries = json.loads(ask(installed, script, tmp_path))

    assert [entry["name"] for entry in entries] == manifest.in_order()


@pytest.mark.slow
def test_the_wheel_carries_manifests_page_assets_and_licences(installed, tmp_path):
    where = Path(ask(installed, "import handdata; print(handdata.__file__)", tmp_path).strip()).parent

    assert where.parent == installed
    assert {path.name for path in (where / "_manifests").rglob("*.toml")} == {
        path.name for path in (ROOT / "manifests").rglob("*.toml")
    }
    pages = ("annotate/page", "annotate/keypoints/page")
    for folder in (*pages, "synth/asset", "report", "train/recipes", "model/weights"):
        shipped = {p.name for p in (where / folder).iterdir() if p.suffix not in {".py", ".pyc"} and p.is_file()}
        source = {
            p.name for p in (ROOT / "handdata" / folder).iterdir() if p.suffix not in {".py", ".pyc"} and p.is_file()
        }
        assert shipped == source
    licences = {path.name for path in installed.glob("*.dist-info/licenses/**/*") if path.is_file()}
    assert {"LICENSE", "NOTICE"} <= licences
