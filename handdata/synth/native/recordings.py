"""Trees of whole recordings, as the real sets have them: a spec and a number of frames each, tables of labels last.

A frame is finished once its labels are kept (`tree.label_path`); the tables are written when all frames are.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from handdata import manifest
from handdata.synth.farm import Task, Write
from handdata.synth.frame import Background, Camera, SequenceSpec
from handdata.synth.native.tree import Request, Victims, label_path, render_tree


def sequence_of(spec: SequenceSpec) -> str:
    """Return the recording's name: a spec is called "<dataset>/<sequence>"."""
    return spec.name.partition("/")[2]


def render_recordings(
    root: Path,
    request: Request,
    counts: Mapping[str, int],
    *,
    spec: Callable[[str], SequenceSpec],
    write: Write,
    finish: Callable[[], None],
    victims: Callable[[], Victims],
    workers: int,
) -> int:
    """Render every recording of a tree.

    Args:
        root: the dataset's own folder.
        request: what was asked for.
        counts: frames of each recording.
        spec: what a recording shows, by its name.
        write: writes one frame's files, its labels with `tree.save_labels` last; picklable.
        finish: writes the label tables.
        victims: where the faults go.
        workers: processes.

    Returns:
        The number of samples, `request.frames`.

    Raises:
        ConfigError: an unknown fault, no frames, or `root` holds something else.
    """
    specs = {name: spec(name) for name in counts}

    def is_done(task: Task) -> bool:
        return label_path(root, sequence_of(task[0]), task[1]).is_file()

    return render_tree(
        root,
        request,
        tasks=[(specs[name], index) for name, count in counts.items() for index in range(count)],
        is_done=is_done,
        write=write,
        finish=finish,
        victims=victims,
        workers=workers,
    )


def manifest_camera(dataset: str, name: str, background: Background = "scene") -> Camera:
    """Return a camera of a dataset's manifest in a world that is the camera the labels are given in."""
    facts = manifest.load(dataset).cameras[name]
    width, height = facts.size
    pose = facts.T_camera_label
    return Camera(name=name, K=facts.K, width=width, height=height, T_camera_world=pose, background=background)
