"""A file that `predict --onnx` wrote, asked in place of its network: ONNX Runtime takes half of PyTorch's CPU time."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from handdata.errors import ConfigError, DataError, MissingError
from handdata.files.opening import require_readable
from handdata.files.tables import read_tree
from handdata.files.text import Wanted, as_object, parse_json
from handdata.model.checkpoint import Trained, size_noted
from handdata.model.config import ModelConfig
from handdata.model.families.family import Reading
from handdata.model.released import find_trained
from handdata.skeleton import NUM_KEYPOINTS

ENDING = ".onnx"
SETTINGS = "settings"  # of the file's metadata: JSON of what applying the network needs
OUTPUTS = {  # of the file -> of a reading
    "keypoints_2d": "uv_BK2",
    "keypoints_3d": "xyz_BK3",
    "heatmaps": "maps_BKHW",
    "presence": "presence_B",
    "right": "right_B",
    "confidence": "confidence_BK",
}
_SHAPES = {"uv_BK2": (NUM_KEYPOINTS, 2), "xyz_BK3": (NUM_KEYPOINTS, 3), "confidence_BK": (NUM_KEYPOINTS,)}
_WHAT = "a file that `handdata predict --onnx` wrote"
_AGAIN = "Write it again: handdata predict RUN --onnx FILE."
_WANTED = Wanted(what=_WHAT, fix=_AGAIN)


class OnnxNetwork:
    """The network of an ONNX file, its read-out included.

    Args:
        path: of the file.

    Attributes:
        path: of the file.
        trained: what the file says of the network, without weights.
        rule: its read-out; it has no other.

    Raises:
        ConfigError: ONNX Runtime is not installed.
        DataError: the file is damaged, or nothing that handdata wrote.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._session = _open(path)
        facts = self._session.get_modelmeta().custom_metadata_map
        self._names = [output.name for output in self._session.get_outputs()]
        is_read = {"keypoints_2d", "keypoints_3d", "confidence"} <= set(self._names) <= OUTPUTS.keys()
        if SETTINGS not in facts or not is_read:
            raise DataError(path, expected=_WHAT, got="another one, or one of an older handdata", fix=_AGAIN)
        try:
            settings = as_object(parse_json(facts[SETTINGS], path, _WANTED), path, _WANTED)
            self.rule = str(facts["read_out"])
            self.trained = Trained(
                path=path,
                model=read_tree(ModelConfig, settings["model"], where=str(path), path="model."),
                weights={},
                recipe=str(settings["recipe"]),
                epoch=int(settings["epoch"]),
                turn=bool(settings["turn"]),
                size=size_noted(settings),
            )
        except (KeyError, ValueError, TypeError) as error:
            raise DataError(path, expected=_WHAT, got=str(error), fix=_AGAIN) from error

    def __call__(self, shown_BHW3: NDArray[np.uint8]) -> Reading:
        """Return the reading of (B, n, n, 3) uint8 RGB crops of left hands.

        Raises:
            DataError: the network in the file cannot be run, or says something else.
        """
        try:
            values = self._session.run(None, {"image": np.ascontiguousarray(shown_BHW3)})
        except Exception as error:  # as of `_open`
            raise _not_ours(self.path, error) from error
        read = {OUTPUTS[name]: torch.from_numpy(value) for name, value in zip(self._names, values, strict=True)}
        for name, shape in _SHAPES.items():
            if read[name].shape != (len(shown_BHW3), *shape):
                got = f"{name} of shape {tuple(read[name].shape)}"
                raise DataError(self.path, expected=f"keypoints of {len(shown_BHW3)} hands", got=got, fix=_AGAIN)
        return Reading(**read)


def _not_ours(path: Path, error: Exception) -> DataError:
    return DataError(path, expected=_WHAT, got=str(error).splitlines()[0].rstrip("."), fix=_AGAIN)


def _open(path: Path) -> Any:
    try:
        import onnxruntime  # noqa: PLC0415  # an extra
    except ImportError as error:
        fix = "Run pip install 'handdata[onnx]'."
        raise ConfigError(path, expected="onnxruntime, to ask an ONNX file", got="not installed", fix=fix) from error
    if not path.is_file():
        raise MissingError(path, expected=_WHAT, got="no such file", fix=_AGAIN)
    require_readable(path, _WHAT)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = torch.get_num_threads()
    settings.inter_op_num_threads = 1
    settings.log_severity_level = 4  # what is wrong is raised too
    try:
        return onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    except Exception as error:  # it has ten kinds of its own, without a common base
        raise _not_ours(path, error) from error


def find_ready(name: Path | str) -> "Trained | OnnxNetwork":
    """Return what a path or a name means, ready to be asked: as `find_trained`, or a file that `--onnx` wrote.

    Raises:
        HanddataError: as of `find_trained` and `OnnxNetwork`.
    """
    return OnnxNetwork(Path(name)) if Path(name).suffix == ENDING else find_trained(name)
