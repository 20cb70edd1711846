"""The tree is what a reader expects of it: few loose modules, plain names, one meaning of a name, imports downwards."""

import ast
import importlib
import re
import tomllib
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "handdata"
MODULES = sorted(PACKAGE.rglob("*.py"))
LOOSE = [path.stem for path in PACKAGE.glob("*.py") if path.name[0] != "_"]
MAX_LOOSE = 10
# names that had to be opened to be understood; the package of foreign formats is called exchange
PUZZLES = {
    "feed", "ring", "ledger", "board", "sheet", "opened", "windows", "disturb", "exchange", "guard", "farm", "film",
    "solid",
}  # fmt: skip


@cache
def tree(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(path):
    """Return the dotted names that a module imports from handdata, wherever in it."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def is_type(value):
    """Return whether a value makes a type of its own, and not a numpy array under a short name."""
    return not ast.unparse(value).startswith("NDArray")


def classes(path):
    """Return the public classes and named types of a module."""
    for node in tree(path).body:
        if isinstance(node, ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and is_type(node.value):
            name = node.targets[0].id
            if name[0].isupper() and not name.isupper() and len(name) > 1:  # a constant; a type variable
                yield name


def test_few_modules_lie_loose_at_the_top():
    assert len(LOOSE) <= MAX_LOOSE


@pytest.mark.parametrize("name", LOOSE)
def test_a_loose_module_has_several_importers(name):
    importers = [path for path in MODULES if f"handdata.{name}" in imported(path)]

    assert len(importers) > 1, f"{name} belongs beside its only importer"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_is_named_by_what_it_does(path):
    assert path.stem not in PUZZLES


def test_a_class_name_means_one_thing():
    homes = defaultdict(list)
    for path in MODULES:
        for name in classes(path):
            homes[name].append(str(path.relative_to(PACKAGE)))

    assert {name: where for name, where in homes.items() if len(where) > 1} == {}


def test_the_import_contract_covers_every_module():
    (contract,) = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    named = {part.strip() for layer in contract["layers"] for part in layer.split("|")}

    assert contract["exhaustive"]
    assert named == {*LOOSE, *(path.parent.name for path in PACKAGE.glob("*/__init__.py"))}


@pytest.mark.parametrize(
    "path", sorted([*ROOT.glob("benchmarks/*.py"), *ROOT.glob("tools/**/*.py")]), ids=lambda p: p.stem
)
def test_what_benchmarks_and_tools_import_is_there(path):
    """Also in the scripts that they start, which stand in texts."""
    found = re.findall(r"^\s*from (handdata[\w.]*) import ([\w, ]+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    names = [(module, part.split(" as ")[0].strip()) for module, parts in found for part in parts.split(",")]

    for module, name in names:
        if name and not hasattr(importlib.import_module(module), name):
            importlib.import_module(f"{module}.{name}")


def test_tests_import_each_other_by_their_whole_name():
    """A bare name is found only when the folder that holds it was collected before."""
    tests = sorted((ROOT / "tests").rglob("*.py"))
    stems = {path.stem for path in tests}

    assert [(str(path), name) for path in tests for name in imported(path) if name.split(".")[0] in stems] == []


@pytest.mark.parametrize("path", sorted((PACKAGE / "converters").glob("*.py")), ids=lambda p: p.stem)
def test_the_usual_window_of_a_canvas_is_said_once(path):
    """In pictures/crops.py; a converter takes it from there, or says why its own is another."""
    assert "CANVAS_SCALE = 1.5" not in path.read_text(encoding="utf-8")
