"""Programs that exports are for, in an environment of their own (.venv-exchange): read_elsewhere.py runs there."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

ELSEWHERE = Path(__file__).parents[2] / ".venv-exchange/bin/python"


def read_elsewhere(program: str, kind: str, folder: Path) -> Any:
    """Return what a program finds that lives in an environment of its own: it brings another build of OpenCV."""
    if not ELSEWHERE.exists():
        pytest.skip(f"no {ELSEWHERE.parents[1].name}: tools/venv.sh exchange makes it")
    script = Path(__file__).with_name("read_elsewhere.py")
    alone = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
    run = subprocess.run(
        [ELSEWHERE, script, program, kind, folder], capture_output=True, text=True, cwd=folder, env=alone, check=False
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])
