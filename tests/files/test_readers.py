"""Every text that the package reads goes through handdata.files.text; the exceptions are listed with their reason."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "handdata"
OWN_WAYS = {
    "annotate/cvat_video.py": "XML, without declarations",
    "exchange/cvat.py": "XML, without declarations",
    "browse/static.py": "the page's own files",
    "conversion/plan.py": "the hash of a file",
    "exchange/record.py": "the kernel's number of this start of the machine",
    "files/simple_yaml.py": "one text in quotes, of a file that has been read",
    "files/text.py": "the one",
    "report/page.py": "the page's own template",
    "report/published.py": "the package's own table",
    "serving/local.py": "a page's own files",
    "synth/native/dexter.py": "a file just rendered",
    "synth/native/dexter1.py": "a file just rendered",
    "synth/native/egodexter.py": "a file just rendered",
    "synth/native/ganerated.py": "a file just rendered",
    "synth/native/synthhands.py": "a file just rendered",
    "synth/native/tree.py": "JSON of its own making; a picture to be cut short on request",
    "train/runs.py": "lines of a log whose end may be torn, counted and cut as bytes",
    "train/config.py": "the recipes that come with the package",
}
RAW = {
    "json.load", "json.loads", "tomllib.load", "tomllib.loads", "csv.reader", "csv.DictReader", "ET.fromstring",
    "ET.parse", "np.loadtxt", "np.genfromtxt", "np.fromstring", "pd.read_csv", "pd.read_json", "pandas.read_csv",
}  # fmt: skip


def reads(tree: ast.AST) -> list[str]:
    """Return the calls that read or parse text by themselves, as `line: name`."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value.id if isinstance(node.func.value, ast.Name) else ""
            method = node.func.attr in {"read_text", "read_bytes"}
            if method or f"{owner}.{node.func.attr}" in RAW:
                found.append(f"{node.lineno}: {node.func.attr}")
        if isinstance(node, ast.ImportFrom) and node.module in {"json", "tomllib", "csv"}:
            found.append(f"{node.lineno}: from {node.module}")
    return found


def test_the_modules_that_read_text_by_themselves_are_those_that_say_why():
    trees = {p.relative_to(PACKAGE).as_posix(): ast.parse(p.read_text(encoding="utf-8")) for p in PACKAGE.rglob("*.py")}
    found = {name: calls for name, tree in trees.items() if (calls := reads(tree))}

    assert {name: calls for name, calls in found.items() if name not in OWN_WAYS} == {}, "use handdata.files.text"
    assert OWN_WAYS.keys() == found.keys()
