"""From pictures to hands: pictures per CPU second, end to end and per stage, ours beside MediaPipe in one run.

    python benchmarks/predict.py [--peers-python PYTHON] [--pictures FOLDER]

One thread each; by torch and, from the file that `--onnx` writes, by ONNX Runtime. Without --pictures it
looks at 64 rendered pictures of 640 x 480 that show one hand or two. End to end is decoding, detector, side, keypoints
of up to two hands; the video is the tracker over rendered frames in order.
MediaPipe 0.10.21 (`Hands`, two hands, the full model) runs in an environment of its own:

    python -m venv /tmp/mediapipe && /tmp/mediapipe/bin/pip install mediapipe==0.10.21
"""

from collections.abc import Callable
from functools import partial
from itertools import count, cycle
from pathlib import Path

import cv2
import torch
from elsewhere import Elsewhere, add_peers_python
from machine import Aim, Result, arguments, interleave, ratio

from handdata.model.detector import find_detector
from handdata.model.model import Model, load_model
from handdata.model.onnx import write_onnx
from handdata.model.released import read_released
from handdata.pictures.decode import read_image
from handdata.synth.full_frame import render_full_frame
from handdata.track.run import pose_of
from handdata.track.stills import Question, find_hands
from handdata.track.tracker import PROPOSED, Tracker

MOST_HANDS = 2
ONNX = "ONNX Runtime"
LIMIT_MS = 25.0  # of one stage on one thread


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=Path, help="folder of JPEG pictures")
    parser.add_argument("--turn", type=int, default=32, help="pictures of a turn")
    add_peers_python(parser)
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    folder = options.pictures or rendered(options.scratch / "predict")
    paths = sorted(folder.glob("*.jpg"))
    result = Result("pictures to hands")
    file = write_onnx(options.scratch / "compact.onnx", read_released("compact"))
    own = steps(paths, load_model("compact", "cpu"))
    by_onnx = steps(paths, load_model(file, "cpu"))
    own |= {f"{name}, {ONNX}": step for name, step in by_onnx.items() if name != "detector"}
    cases = {name: partial(take, step, cycle(paths), options.turn) for name, step in own.items()}
    if options.peers_python:
        peer = Elsewhere(options.peers_python, "mediapipe", folder, steps=options.turn, batch=1, workers=1)
        cases[peer.name] = peer  # type: ignore[assignment]
        result.notes.append(f"{peer.name}: {peer.software}, in an environment of its own")
    else:
        result.notes.append("not measured: MediaPipe (needs --peers-python)")
    result.rows = interleave(cases, options.rounds)
    for row in result.rows.values():
        row["cpu_ms"] = 1000 / row["per_cpu_s"]
    for stage in ("detector", "keypoints of one hand", f"keypoints of one hand, {ONNX}"):
        result.aims.append(Aim(stage, result.rows[stage]["cpu_ms"], LIMIT_MS, at_least=False, unit="CPU ms"))
    if options.peers_python:
        for ours in [name for name in own if name.startswith(("pictures", "video"))]:
            result.notes.append(f"{ours} / MediaPipe: {ratio(result.rows, ours, 'MediaPipe'):.3g} x")
    result.finish(as_json=options.json)


def steps(paths: list[Path], model: Model) -> dict[str, Callable[[Path], object]]:
    """Return what is done with a picture, by name."""
    detector = find_detector(least_score=PROPOSED)
    images = {path: read_image(path) for path in paths}
    tracker = Tracker(detector, pose_of(model), most_hands=MOST_HANDS)
    clock = (frame / 30 for frame in count())
    middle = {path: image.shape[1] / 4 for path, image in images.items()}

    def whole(path: Path) -> object:
        return list(find_hands([path], model, detector, Question(side="auto"), MOST_HANDS))

    return {
        "pictures, end to end": whole,
        "video, the tracker": lambda path: tracker(images[path], next(clock)),
        "detector": lambda path: detector(images[path]),
        "keypoints of one hand": lambda path: model(
            images[path], (middle[path], middle[path], 2 * middle[path], 2 * middle[path]), "left"
        ),
    }


def take(step: Callable[[Path], object], pictures: "cycle[Path]", count: int) -> int:
    """Do one turn; return how many pictures it was."""
    for _ in range(count):
        step(next(pictures))
    return count


def rendered(folder: Path) -> Path:
    """Render 64 pictures with hands, once."""
    folder.mkdir(parents=True, exist_ok=True)
    index = len(list(folder.glob("*.jpg")))
    while index < 64:
        frame = render_full_frame(21, index, ("clean", "gritty")[index % 2], (640, 480), small=False)
        cv2.imwrite(str(folder / f"{index:03d}.jpg"), frame.image[..., ::-1])
        index += 1
    return folder


if __name__ == "__main__":
    main()
