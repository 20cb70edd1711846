"""Write the generated pages: schema, datasets, command line, names in Python, and the tree in README.md.

python tools/make_docs.py           write them
python tools/make_docs.py --check   say which are not current, exit 1 if any is not
"""

import ast
import inspect
import re
import sys
from pathlib import Path

import click  # the help texts are click's
from dataset_pages import NOTE
from dataset_pages import pages as dataset_pages

import handdata
from handdata.cli import COMMANDS, group
from handdata.converters import DATASETS
from handdata.shards.schema import DEFAULT_CANVAS, FIELDS, SHARD_SAMPLES, VERSION, Flag
from handdata.skeleton import KEYPOINTS

ROOT = Path(__file__).resolve().parents[1]
WIDTH = 100  # of help texts
CONSTANTS = "pairs of keypoints that are bones, fingers, index of each keypoint, names in order; the version"
TREE_HEADING = "## Where things are"
FOLDERS = {  # of the README's tree, that hold no package
    "manifests": "facts of each dataset with their sources, TOML; carried in the wheel",
    "benchmarks": "one script per performance goal; ratios against a named peer in the same run",
    "tests": "mirror the package; browser/ drives real pages in headless Chromium",
    "tools": "set up .venv, run every check, write the generated pages",
    "docs": "pages, also of the site; schema, datasets, cli and reference are generated",
}


def schema_page() -> str:
    """Describe a shard from the table the code writes it by."""
    lines = [f"# The shard schema, `{VERSION}`", "", NOTE]
    lines += [
        f"One HDF5 file is a shard of at most {SHARD_SAMPLES:,} samples; a folder of shards with `index.json` is a",
        "converted dataset. The index is written last: its presence means the dataset is complete. Every array is",
        "contiguous, uncompressed and has the samples on its first axis; S is the side of a canvas,",
        f"{DEFAULT_CANVAS} px unless `--canvas` says otherwise.",
        "",
        "Pixels: u right, v down, (0, 0) is the centre of the top-left pixel. Boxes are edges (left, top, right,",
        "bottom): the whole picture is (0, 0, W, H), a keypoint at u lies at u + 0.5 in them. Camera: x right, y down,",
        "z forward, mm. Missing is NaN and a false flag; nothing is guessed. Hands are stored as shipped.",
        "",
        "## Arrays",
        "",
        "| name | shape | dtype | unit | meaning |",
        "|---|---|---|---|---|",
    ]
    for field in FIELDS:
        shape = f"({', '.join(['N', *(str(side) for side in field.shape)])})"
        optional = "; absent where the dataset has no segmentation" if field.optional else ""
        lines.append(f"| `{field.name}` | {shape} | {field.dtype} | {field.unit} | {field.meaning}{optional} |")
    lines += ["", "## Flags", "", "| bit | meaning |", "|---|---|"]
    lines += [f"| {int(flag)} | {(flag.name or '').lower().replace('_', ' ')} |" for flag in Flag if flag]
    lines += ["", "## Keypoints", "", "| index | name |", "|---|---|"]
    lines += [f"| {index} | `{name}` |" for index, name in enumerate(KEYPOINTS)]
    lines += [
        "",
        "The thumb's four are anatomically CMC, MCP, IP and tip. A palm centre is not a wrist and has its own fields.",
        "",
        "## File attributes",
        "",
        "`schema`, `dataset`, `split`, `num_samples`, `canvas_size`, `canvas_scale`, `keypoint_names`,",
        "`keypoint_parents`, `handdata_version`, `manifest_sha256`, `options` (the options of the conversion, as",
        "JSON), `visibility_rule`, `content_sha256` (over all arrays in the order above). String tables: `sequences`,",
        "`cameras`. All text is UTF-8 of fixed length.",
        "",
        "## index.json",
        "",
        "`schema`, `dataset`, `num_samples`, `canvas_size`, `canvas_scale`, `options`, `origin`, `splits`, and, only",
        "if a person mended labels, `corrections` (their sha256 and counts). Where pictures are from several",
        "datasets, or from an export, `provenance` lists dataset, title, licence, homepage, citation and origin",
        "of each. Under `shards` stands",
        "an entry for each file in the folder: `file`, `split`, `num_samples`, `size` in bytes, `sha256` of the file,",
        "`content_sha256`, `canvas_scale` where it is larger than that of the index (after a merge), and what a",
        "reader checks and maps it by, without HDF5:",
        "",
        "| key | meaning |",
        "|---|---|",
        "| `layout` | number in the index's list `layouts`: each array's, and both tables', offset, shape and dtype |",
        "| `header_sha256` | sha256 of all bytes that lie in no array of the table above, in the file's order |",
        "| `label_hashes` | xxh3-64, 16 hex digits, of each array but `image`, `foreground`, `mask`, in that order |",
        "",
        "The header is compared when a shard is opened, a label array when it is first read, and `row_hash` when the",
        "pixels of a row are. `handdata convert` makes a shard again whose header differs, or that was written since",
        "and whose bytes differ; `--check` compares every byte. Shards of `handdata/1` are refused: convert again.",
    ]
    return "\n".join(lines) + "\n"


def cli_page() -> str:
    """Quote the help of every command."""
    lines = ["# The command line", "", NOTE]
    lines += [
        "Results go to standard output, everything else to standard error. Exit codes: 0 fine, 1 findings or a fault"
    ]
    lines += ["in the data, 2 usage, 130 interrupted. The shell completes names: [one line](start.md) turns it on."]
    lines += ["", "```", help_of(), "```"]
    for name in COMMANDS:
        lines += ["", f"## handdata {name}", "", "```", help_of(name), "```"]
    return "\n".join(lines) + "\n"


def help_of(name: str = "") -> str:
    """Return the help of a command, of handdata itself without a name, as a terminal of 100 columns shows it."""
    sizes = {"terminal_width": WIDTH, "max_content_width": WIDTH}
    context = click.Context(group, info_name="handdata", **{**group.context_settings, **sizes})
    if name:
        command = group.get_command(context, name)
        assert command is not None
        context = click.Context(command, info_name=name, parent=context, **sizes)
    return "\n".join(line.rstrip() for line in context.get_help().splitlines())


def readme(text: str) -> str:
    """Return README.md with the names of the datasets and the tree under "Where things are" as they are."""
    tree = "\n".join(_tree())
    text = re.sub(r"Dataset names: [^.]*\.", f"Dataset names: {', '.join(f'`{name}`' for name in DATASETS)}.", text)
    pattern = re.compile(rf"({re.escape(TREE_HEADING)}\n+```\n).*?(\n```)", re.DOTALL)
    return pattern.sub(lambda found: f"{found[1]}{tree}{found[2]}", text, count=1)


def _tree() -> list[str]:
    package = ROOT / "handdata"
    entries = [(f"{path.name}", _summary(path)) for path in sorted(package.glob("*.py")) if path.name[0] != "_"]
    folders = sorted(path for path in package.iterdir() if (path / "__init__.py").is_file())
    entries += [(f"{path.name}/", _summary(path / "__init__.py")) for path in folders]
    width = max(len(name) for name, _ in entries) + 2
    lines = ["handdata/"] + [f"  {name:{width}}{summary}" for name, summary in entries]
    return lines + [f"{name + '/':{width + 2}}{summary}" for name, summary in FOLDERS.items()]


def _summary(path: Path) -> str:
    """Return the first sentence of a module's docstring."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    first = text.split("\n\n")[0].replace("\n", " ")
    return re.split(r"(?<=[a-z)`])\. ", first)[0].rstrip(".")


def reference_page() -> str:
    """List the public names; the site puts their docstrings below (tools/site_pages.py)."""
    lines = ["# The names of `import handdata as hd`", "", NOTE]
    lines += ["The pages that `make site` writes show each one's docstring below; in Python, `help(hd.open)` does.", ""]
    lines += ["| name | |", "|---|---|"]
    described = [name for name in handdata.__all__ if callable(getattr(handdata, name))]
    lines += [f"| `hd.{name}` | {_first_line(getattr(handdata, name))} |" for name in described]
    constants = [name for name in handdata.__all__ if name not in described]
    lines += [f"| {', '.join(f'`hd.{name}`' for name in constants)} | {CONSTANTS} |"]
    return "\n".join(lines) + "\n"


def _first_line(value: object) -> str:
    return (inspect.getdoc(value) or "").split("\n")[0]


PAGES = {"docs/schema.md": schema_page, "docs/cli.md": cli_page, "docs/reference.md": reference_page}


def stale() -> dict[str, str]:
    """Return the pages that are not current, path -> what they should hold."""
    wanted = {path: make() for path, make in PAGES.items()} | dataset_pages()
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    wanted["README.md"] = readme(text)
    return {p: text for p, text in wanted.items() if not _holds(ROOT / p, text)}


def _holds(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


def main() -> None:
    """Write or check the pages."""
    pages = stale()
    for path, text in pages.items():
        if "--check" in sys.argv[1:]:
            print(f"{path} is not current: run make docs")
        else:
            (ROOT / path).parent.mkdir(exist_ok=True)
            (ROOT / path).write_text(text, encoding="utf-8")
            print(f"wrote {path}")
    sys.exit(1 if pages and "--check" in sys.argv[1:] else 0)


if __name__ == "__main__":
    main()
