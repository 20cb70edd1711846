"""Native layouts to samples: one module a dataset, found by its name."""

from handdata.converters import backgrounds, stereo
from handdata.converters.protocol import Converter

CONVERTERS: dict[str, Converter] = {
    "stereo": stereo,
    "backgrounds": backgrounds,
}
