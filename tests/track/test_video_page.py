"""docs/video.md runs as it stands, and names what there is."""

import re
from pathlib import Path

from handdata.track.tables import columns

PAGE = (Path(__file__).parents[2] / "docs" / "video.md").read_text(encoding="utf-8")


def test_the_script_with_stages_of_its_own_runs():
    (script,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names = {}
    exec(compile(script, "docs/video.md", "exec"), names)  # the page itself
    assert names["hands"] == [] or len(names["hands"]) == 1


def test_the_table_has_millimetres_only_with_a_camera():
    assert "wrist_u" in columns(in_mm=False)
    assert {"wrist_x", "little_tip_z", "depth_sd_mm"} <= set(columns(in_mm=True)) - set(columns(in_mm=False))
