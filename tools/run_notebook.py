"""Run docs/tour.ipynb and keep what its cells show: python tools/run_notebook.py."""

import base64
import io
import os
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK = ROOT / "docs" / "tour.ipynb"


def main() -> None:
    """Run the cells in order; nothing of the machine or the hour is kept."""
    os.environ["PYTHONPATH"] = str(ROOT)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=600, record_timing=False).execute()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
            for output in cell.outputs:
                _make_small(output.get("data", {}))
    notebook.metadata["language_info"] = {"name": "python"}
    nbformat.write(notebook, NOTEBOOK)


def _make_small(data: dict[str, str]) -> None:
    """Keep the picture of an output as a JPEG: the notebook is part of the repository."""
    if "image/png" in data:
        picture, file = Image.open(io.BytesIO(base64.b64decode(data.pop("image/png")))), io.BytesIO()
        picture.convert("RGB").save(file, "JPEG", quality=90, subsampling=0)
        data["image/jpeg"] = base64.b64encode(file.getvalue()).decode()


if __name__ == "__main__":
    main()
