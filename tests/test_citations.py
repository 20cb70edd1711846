"""What the project cites is here to be read: pages, their sections, the names of defects."""

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = ("handdata", "docs", "manifests", "benchmarks", "tests", "tools", "*.md", "*.toml", "Makefile")
SUFFIXES = {".py", ".md", ".toml", ".html", ".js", ".css", ".sh", ""}
WRITTEN = {"report.md"}  # a file that handdata writes
METHOD = (ROOT / "docs" / "method.md").read_text(encoding="utf-8")
SECTIONS = set(re.findall(r"^#+ (\d+(?:\.\d+)?) ", METHOD, re.MULTILINE))
DEFECTS = set(re.findall(r"^\| ([DLE]\d+) \|", METHOD, re.MULTILINE))


@cache
def shipped() -> list[Path]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", *SHIPPED]
    try:
        names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    except (OSError, subprocess.CalledProcessError):  # an unpacked archive
        names = [str(path.relative_to(ROOT)) for pattern in SHIPPED for path in ROOT.glob(f"{pattern}/**/*")]
        names += [str(path.relative_to(ROOT)) for pattern in SHIPPED for path in ROOT.glob(pattern)]
    paths = (ROOT / name for name in names if name)
    return sorted(path for path in paths if path.is_file() and path.suffix in SUFFIXES and path != Path(__file__))


def lines(pattern: str) -> list[tuple[str, re.Match[str]]]:
    """Return (place, match) of a pattern in all shipped text."""
    return [
        (f"{path.relative_to(ROOT)}:{number}", found)
        for path in shipped()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        for found in re.finditer(pattern, line)
    ]


def test_a_page_that_is_named_is_there():
    """By its path from the top, or beside the page that names it."""
    missing = []
    for place, found in lines(r'(?<![\w/"{*])([\w./+-]*\w\.md)\b(?!\w)'):
        name = found[1]
        beside = (ROOT / place.split(":")[0]).parent
        written = [ROOT / "docs", ROOT / "docs" / "datasets"] if place.startswith("tools/") else []  # by these tools
        if Path(name).name not in WRITTEN and not any((at / name).is_file() for at in (ROOT, beside, *written)):
            missing.append(f"{place}: {name}")

    assert missing == []


def test_a_section_of_the_method_that_is_cited_exists():
    cited = lines(r"docs/method\.md (\d+(?:\.\d+)?|[DLE]\d+)\b")
    cited += lines(r"docs/method\.md (?:\d+(?:\.\d+)?|[DLE]\d+), (\d+\.\d+|[DLE]\d+)\b")

    assert len(cited) > 50
    assert [f"{place}: {found[1]}" for place, found in cited if found[1] not in SECTIONS | DEFECTS] == []


def test_a_defect_that_is_named_is_told_in_the_method():
    names = [(place, found[0]) for place, found in lines(r"\b[DLE][1-9]\d?\b") if place.startswith("handdata")]

    assert [f"{place}: {name}" for place, name in names if name not in DEFECTS] == []


@pytest.mark.parametrize("word", [r"\bspec/", r"shared/spec", r"shared/formats", r"format notes"])
def test_nothing_cites_the_papers_it_was_built_from(word):
    assert [place for place, _ in lines(word)] == []
