"""Native layouts to samples: one module a dataset, found by its name."""

from handdata.converters import backgrounds, custom, dexter, dexter1, egodexter, ganerated, rhd, stereo, synthhands
from handdata.converters.protocol import Converter

CONVERTERS: dict[str, Converter] = {
    "dexter": dexter,
    "dexter1": dexter1,
    "egodexter": egodexter,
    "ganerated": ganerated,
    "rhd": rhd,
    "stereo": stereo,
    "synthhands": synthhands,
    "custom": custom,
    "backgrounds": backgrounds,
}
