"""kill -9 in the midst of random edits of keypoints loses nothing that was acknowledged."""

import contextlib
import json
import os
import random
import subprocess
import sys
from pathlib import Path

from handdata.annotate.keypoints.page_state import PointPlace
from handdata.annotate.keypoints.session import PointSession
from handdata.annotate.pictures import list_pictures
from handdata.errors import ConfigError
from tests.annotate.keypoints.made_hands import NUM_FRAMES, write_pictures

LIVES, EDITS = 4, 25
ROOT = Path(__file__).resolve().parents[3]
CODE = "import sys; from tests.annotate.keypoints.test_points_killed import live; live(*sys.argv[1:])"


def random_edit(rng: random.Random) -> dict:
    frame, last = sorted(rng.sample(range(NUM_FRAMES), 2))
    on = {"frame": frame, "hand": 0}
    points = {str(k): [rng.uniform(-5, 210), rng.uniform(-5, 160)] for k in rng.sample(range(21), 3)}
    return rng.choice(
        [
            {"op": "begin", "frame": frame, "box": [20, 20, 120, 120], "side": "left"},
            {"op": "place", **on, "points": points},
            {"op": "place", **on, "points": points},
            {"op": "state", **on, "points": [3], "state": rng.choice(["occluded", "absent", "outside"])},
            {"op": "gone", **on},
            {"op": "accept", "first": frame, "last": last},
            {"op": "release", "first": frame, "last": last},
            {"op": "clear", **on, "points": [5]},
            {"op": "undo"},
            {"op": "redo"},
        ]
    )


def live(folder: str, out: str, seed: str) -> None:
    """Edit until killed, and acknowledge each edit by what the labels then are."""
    rng = random.Random(seed)
    session = PointSession(list_pictures(Path(folder)), Path(out))
    place = PointPlace(session)
    while True:
        with contextlib.suppress(ConfigError):  # no hand there
            place.edit(json.dumps(random_edit(rng)).encode())
        sys.stdout.buffer.write(session.text().encode() + b"\0")
        sys.stdout.buffer.flush()


def test_kills_between_a_hundred_random_edits_lose_nothing_acknowledged(tmp_path: Path) -> None:
    folder, out = tmp_path / "pictures", tmp_path / "made.json"
    folder.mkdir()
    write_pictures(folder)
    texts = set()
    for life in range(LIVES):
        command = [sys.executable, "-c", CODE, str(folder), str(out), str(life)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, env={**os.environ}) as child:
            assert child.stdout is not None
            data = b""
            while data.count(b"\0") < EDITS:
                part = os.read(child.stdout.fileno(), 1 << 20)
                assert part, "the session ended by itself"
                data += part
            child.kill()
            data += child.stdout.read()  # what it acknowledged until it was killed
        acknowledged = data.split(b"\0")[:-1]
        session = PointSession(list_pictures(folder), out)
        now = session.text().encode()
        before = [now]  # the last edit, or the undo of one, may be on the disk and not yet acknowledged
        for there, back in ((session.undo, session.redo), (session.redo, session.undo)):
            if there():
                before.append(session.text().encode())
                back()
        session.close()
        assert acknowledged[-1] in before, f"life {life}"
        texts.add(acknowledged[-1])
    assert len(texts) > LIVES // 2
