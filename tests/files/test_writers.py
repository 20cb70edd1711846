"""Every file of the package is written by handdata.files.whole; the exceptions are listed with their reason."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "handdata"
OWN_WAYS = {
    "annotate/journal.py": "appends a line at a time",
    "conversion/run.py": "lock files",
    "conversion/write.py": "moves whole shards to where they replace others",
    "files/locks.py": "lock files",
    "files/whole.py": "the one",
    "shards/writer.py": "allocates a shard, then fills it",
    "synth/native/tree.py": "moves folders for a fault on request",
    "train/checkpoint.py": "a folder of several files, renamed at once",
    "train/runs.py": "appends a line to the log",
}


def writes(tree: ast.AST) -> list[str]:
    """Return the calls that make, change or rename a file by themselves, as `line: name`."""
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        is_method = isinstance(node.func, ast.Attribute)
        texts = [a.value for a in (*node.args, *(k.value for k in node.keywords)) if isinstance(a, ast.Constant)]
        modes = [text for text in texts if isinstance(text, str) and len(text) < 5 and set(text) & set("wax+")]
        keywords = {keyword.arg for keyword in node.keywords}
        flags = {part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute)}
        if (
            (is_method and name in {"write_text", "write_bytes", "rename", "renames", "imwrite", "tofile"})
            or (is_method and name == "replace" and len(node.args) == 1 and not node.keywords)  # of a path, not a text
            or (name == "open" and (modes or "O_CREAT" in flags) and "fileobj" not in keywords)
        ):
            found.append(f"{node.lineno}: {name}")
    return found


def test_the_modules_that_write_files_by_themselves_are_those_that_say_why():
    trees = {p.relative_to(PACKAGE).as_posix(): ast.parse(p.read_text(encoding="utf-8")) for p in PACKAGE.rglob("*.py")}
    found = {name: calls for name, tree in trees.items() if (calls := writes(tree))}

    assert {name: calls for name, calls in found.items() if name not in OWN_WAYS} == {}, "use handdata.files.whole"
    assert OWN_WAYS.keys() == found.keys()
