"""The page as one HTML file that needs no server: some hands with their pictures, the same modules over them."""

import base64
import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from handdata.browse.browsing import Browsing
from handdata.browse.columns import Number
from handdata.browse.drawing import as_jpeg, canvas_picture, mask_picture, small_picture
from handdata.browse.query import Rows
from handdata.browse.slow import brightness_of
from handdata.browse.training_view import TrainingView
from handdata.files.whole import write_text
from handdata.progress import meter
from handdata.shards.shard_list import evenly

# each after those it imports; the server's calls are replaced by the page's own data
MODULES = ("saying.js", "dom.js", "source.js", "skeleton.js", "poses.js", "filters.js", "findings.js", "grid.js",
           "large.js", "work.js", "page.js")  # fmt: skip
OF_ALL_PAGES = {"saying.js": "handdata.serving"}  # module -> the package whose page holds it
REPLACED = {"source.js": "offline.js"}
_IMPORT = re.compile(r'^import (\{.*\}) from "/([\w.]+)";$', re.MULTILINE)
_EXPORT = re.compile(r"^export ((?:const|class|function|async function) ([\w$]+))", re.MULTILINE)


def write_static(path: Path, browsing: Browsing, count: int, training: TrainingView | None = None) -> int:
    """Write the page, whole or not at all.

    Args:
        path: the HTML file.
        browsing: what is shown.
        count: hands at most, evenly spread over them.
        training: shows what training makes of a hand; None leaves that out.

    Returns:
        how many hands it shows.
    """
    total = len(browsing.data)
    rows = np.array(evenly(total, count), np.int64)
    _compute(browsing, rows)
    shown = browsing.rows_shown(rows)
    hands, pictures = {}, {}
    with meter("drawing hands", len(rows)) as gauge:
        for row in rows.tolist():
            hands[row] = browsing.facts(row)
            pictures[row] = _pictures(browsing, row, training)
            gauge.advance(1)
    kinds = ["labels", "plain", *(["training"] if training else [])]
    table = {**browsing.described(), "total": len(rows), "kinds": kinds, "run": ""}
    write_text(path, _page({"table": table, "rows": shown, "hands": hands, "pictures": pictures}))
    return len(rows)


def _compute(browsing: Browsing, rows: Rows) -> None:
    """Fill the slow columns, brightness for the chosen hands alone."""
    browsing.slow.ask("doubt")
    browsing.slow.wait()
    values = np.full(len(browsing.data), np.nan, np.float32)
    values[rows] = brightness_of(browsing.data, rows)
    old = browsing.columns.numbers["brightness"]
    browsing.columns.numbers["brightness"] = Number(old.title, old.unit, values, old.digits, old.help)


def _pictures(browsing: Browsing, row: int, training: TrainingView | None) -> dict[str, str]:
    hand = browsing.hand(row)
    found = {"labels": small_picture(hand), "canvas": canvas_picture(hand), "mask": mask_picture(hand)}
    if training is not None:
        found["training"] = as_jpeg(training.draw([row])[0])
    kinds = {kind: "png" if kind == "mask" else "jpeg" for kind in found}
    return {
        kind: f"data:image/{kinds[kind]};base64,{base64.b64encode(data).decode()}"
        for kind, data in found.items()
        if data is not None
    }


def _page(content: dict[str, Any]) -> str:
    html = _file("index.html")
    data = json.dumps(content, separators=(",", ":"), allow_nan=False).replace("</", "<\\/")
    style = f"<style>\n{_file('page.css')}</style>"
    script = f'<script id="offline" type="application/json">{data}</script>\n<script>\n{bundle()}</script>\n</body>'
    html = html.replace('<link rel="stylesheet" href="/page.css">', style)
    return html.replace('<script type="module" src="/page.js"></script>\n', "").replace("</body>", script)


def bundle() -> str:
    """Return the page's modules as one script: each a function that returns what it exports."""
    parts = ['"use strict";', "const modules = {};"]
    for name in MODULES:
        text = _file(REPLACED.get(name, name))
        names = ", ".join(found[1] for found in _EXPORT.findall(text))
        text = _IMPORT.sub(r'const \1 = modules["\2"];', _EXPORT.sub(r"\1", text))
        parts.append(f'modules["{name}"] = (() => {{\n{text}\nreturn {{ {names} }};\n}})();')
    return "\n".join(parts) + "\n"


def _file(name: str) -> str:
    return (resources.files(OF_ALL_PAGES.get(name, "handdata.browse")) / "page" / name).read_text(encoding="utf-8")
