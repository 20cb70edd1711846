"""Trees of whole recordings, as the real sets have them: a spec and a number of frames each, tables of labels last.

A frame is finished once its labels are kept (`tree.save_labels`); the tables are written when all frames are.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from handdata import manifest
from handdata.synth.frame import Background, Camera, SequenceSpec
from handdata.synth.native.tree import has_labels
from handdata.synth.render_many import Task


def sequence_of(spec: SequenceSpec) -> str:
    """Return the recording's name: a spec is called "<dataset>/<sequence>"."""
    return spec.name.partition("/")[2]


def frames_of(counts: Mapping[str, int], spec: Callable[[str], SequenceSpec]) -> list[Task]:
    """Return every frame of a tree, as `tree.render_tree` takes them.

    Args:
        counts: frames of each recording.
        spec: what a recording shows, by its name.
    """
    specs = {name: spec(name) for name in counts}
    return [(specs[name], index) for name, count in counts.items() for index in range(count)]


def is_kept(root: Path, task: Task) -> bool:
    """Say whether a frame's labels are kept: they are written last."""
    return has_labels(root, sequence_of(task[0]), task[1])


def manifest_camera(dataset: str, name: str, background: Background = "scene") -> Camera:
    """Return a camera of a dataset's manifest in a world that is the camera the labels are given in."""
    facts = manifest.load(dataset).cameras[name]
    width, height = facts.size
    pose = facts.T_camera_label
    return Camera(name=name, K=facts.K, width=width, height=height, T_camera_world=pose, background=background)
