"""The site is built without a warning, loads nothing from elsewhere, and holds every page and public name."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import handdata as hd
from handdata import manifest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
LOADED = re.compile(
    r"<(?:script|img|iframe|source)[^>]*\ssrc=[\"']?(?:https?:)?//|<link[^>]*\shref=[\"']?(?:https?:)?//"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """As `make site` builds it: a warning is a fault."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}  # of the theme, about versions to come
    done = subprocess.run(command, check=False, cwd=ROOT, env=quiet, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return folder


def test_every_page_is_in_the_site(site):
    there = {path.relative_to(site).with_suffix(".md") for path in site.rglob("*.html")}

    assert {page.relative_to(ROOT / "docs") for page in PAGES} <= there


def test_nothing_is_loaded_from_elsewhere(site):
    pages = {path.name: path.read_text(encoding="utf-8") for path in site.rglob("*.html")}
    styles = {path.name: path.read_text(encoding="utf-8") for path in site.rglob("*.css")}

    assert [name for name, text in pages.items() if LOADED.search(text)] == []
    assert [name for name, text in styles.items() if re.search(r"url\([\"']?(?:https?:)?//|@import", text)] == []


def test_what_loads_from_elsewhere_is_recognised():
    assert LOADED.search('<link rel="stylesheet" href="https://fonts.example/css">')
    assert LOADED.search('<script async src="//cdn.example/x.js">')
    assert not LOADED.search('<a href="https://example.org/">')


@pytest.mark.parametrize("name", [name for name in hd.__all__ if callable(getattr(hd, name))])
def test_the_reference_shows_a_public_name_with_its_docstring(site, name):
    text = (site / "reference.html").read_text(encoding="utf-8")
    first = (getattr(hd, name).__doc__ or "").split("\n")[0].split("`")[0]

    assert f'id="handdata.{name}"' in text
    assert text.count(first.strip().replace("'", "&#39;")) + text.count(first.strip()) >= 2  # in the table and below


@pytest.mark.parametrize("name", manifest.names())
def test_a_dataset_has_a_page_with_its_pitfalls(name):
    page = (ROOT / "docs" / "datasets" / f"{name}.md").read_text(encoding="utf-8")
    facts = manifest.load(name)

    pitfalls = page.split("## Pitfalls")[1].split("## ")[0]
    assert [text for text in facts.errata if f"- {text}\n" not in pitfalls] == []
    assert facts.citation in page
    assert facts.homepage in page
    assert f"handdata convert {name} --root" in page
