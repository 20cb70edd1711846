"""Native layouts to samples: one module a dataset, found by its name."""

from handdata.converters import backgrounds, ganerated, rhd, stereo, synthhands
from handdata.converters.protocol import Converter

CONVERTERS: dict[str, Converter] = {
    "ganerated": ganerated,
    "rhd": rhd,
    "stereo": stereo,
    "synthhands": synthhands,
    "backgrounds": backgrounds,
}
