"""Hooks of MkDocs: pages of the site that lie elsewhere than docs/*.md, and links that lead to them.

A page is written for GitHub and for the site at once. What GitHub finds outside docs/ (the changelog, measured speed)
and the notebook become pages of the site, and links to them are turned round when the site is built.
"""

import json
import re
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import griffe
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK, REFERENCE = "tour.ipynb", "reference.md"
ELSEWHERE = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "benchmarks/RESULTS.md": "results.md",
}

NAMED_PAGE = re.compile(r"(?<![\[(/`\w-])docs/(\w+\.md)(?!`)")  # named in a sentence, neither a link nor code


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """List the pages of the datasets behind their index, in its order."""
    index = (ROOT / "docs" / "datasets.md").read_text(encoding="utf-8")
    (datasets,) = (entry["Datasets"] for entry in config.nav or [] if "Datasets" in entry)
    datasets[1:1] = dict.fromkeys(re.findall(r"\]\((datasets/\w+\.md)\)", index))
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie elsewhere, and the notebook as a page with its pictures."""
    for path, page in ELSEWHERE.items():
        files.append(File.generated(config, page, content=(ROOT / path).read_text(encoding="utf-8")))
    notebook = ROOT / "docs" / NOTEBOOK
    if notebook.is_file():
        pictures: dict[str, bytes] = {}
        text = "\n\n".join(_cells(json.loads(notebook.read_text(encoding="utf-8")), pictures))
        files.append(File.generated(config, NOTEBOOK.replace(".ipynb", ".md"), content=text))
        for name, data in pictures.items():
            files.append(File.generated(config, name, content=data))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Turn links to what lies outside docs/ into links to its page, and put docstrings below the public names.

    The first page needs no list of pages beside it.
    """
    if page.is_homepage:
        page.meta["hide"] = ["navigation", "toc"]
    if page.file.src_uri == REFERENCE:
        markdown += "".join(
            f"\n::: handdata.{name}" for name in re.findall(r"^\| `hd\.(\w+)` \|", markdown, re.MULTILINE)
        )
    up = "../" * page.file.src_uri.count("/")
    for path, target in ELSEWHERE.items():
        markdown = markdown.replace(f"]({up}../{path})", f"]({up}{target})")
    if page.file.src_uri in ELSEWHERE.values():  # its own links count from the root of the project
        markdown = re.sub(r"\]\(docs/", "](", markdown)
    markdown = NAMED_PAGE.sub(lambda found: f"[{found[0]}]({up}{found[1]})", markdown)
    return markdown.replace(f"]({up}{NOTEBOOK})", f"]({up}{NOTEBOOK.replace('.ipynb', '.md')})")


class ExamplesOfDocstrings(griffe.Extension):
    """Show what docstrings have under "Example:" as code; the parser knows the plural alone."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Put the plural there."""
        if obj.docstring is not None:
            obj.docstring.value = re.sub(r"^( *)Example:$", r"\1Examples:", obj.docstring.value, flags=re.MULTILINE)


def _cells(notebook: dict[str, Any], pictures: dict[str, bytes]) -> Iterator[str]:
    """Yield the cells as Markdown; pictures of their outputs are added under the names they are shown by."""
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            yield source
            continue
        yield f"```python\n{source}\n```"
        for output in cell["outputs"]:
            data = output.get("data", {})
            text = "".join(output.get("text", data.get("text/plain", [])))
            if "image/jpeg" in data:
                name = f"assets/tour-{len(pictures) + 1}.jpg"
                pictures[name] = b64decode("".join(data["image/jpeg"]))
                yield f"![What the cell above shows]({name})"
            elif text.strip():
                yield f"```text\n{text.rstrip()}\n```"
