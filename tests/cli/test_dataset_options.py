"""Options of single datasets: shown with their dataset, refused with another, and read as ever."""

import json

import pytest
from click.testing import CliRunner

from handdata.cli import group
from handdata.converters import CONVERTERS, DATASETS
from handdata.converters.options import Options, declared

GENERAL = (
    "--root",
    "--out",
    "--split",
    "--sequences",
    "--limit",
    "--workers",
    "--canvas",
    "--split-scheme",
    "--skip-bad",
)
OWN = {
    "stereo": ("--boxes", "--camera", "--derive-wrist"),
    "dexter": ("--boxes", "--projection"),
    "dexter1": ("--boxes", "--camera", "--calibration"),
    "egodexter": ("--boxes", "--camera"),
    "synthhands": ("--boxes", "--camera", "--key-tolerance", "--with-segmentation"),
    "rhd": ("--hands", "--with-segmentation"),
    "ganerated": (),
    "custom": ("--annotations",),
    "backgrounds": (),
}
EVERY_OWN = {flag for flags in OWN.values() for flag in flags}


def own(dataset):
    """The options that a dataset declares itself, or differently from every other."""
    general = declared(Options)
    return [option for option in declared(CONVERTERS[dataset].OPTIONS) if option not in general]


def call(*arguments):
    return CliRunner().invoke(group, [str(argument) for argument in arguments], terminal_width=200)


def flags_in(text: str) -> set[str]:
    return {word for line in text.splitlines() for word in line.strip().split()[:1] if word.startswith("--")}


@pytest.mark.parametrize("dataset", OWN)
def test_the_help_of_a_dataset_shows_its_options_alone(dataset):
    shown = flags_in(call("convert", dataset, "--help").output)

    assert shown >= set(GENERAL)
    assert shown & EVERY_OWN == set(OWN[dataset])


@pytest.mark.parametrize("order", [("rhd", "--help"), ("--help", "rhd"), ("--workers", 1, "rhd", "--help")])
def test_the_dataset_may_stand_anywhere(order):
    assert flags_in(call("convert", *order).output) & EVERY_OWN == set(OWN["rhd"])


def test_without_a_dataset_every_option_is_shown_by_dataset():
    text = call("convert", "--help").output

    assert flags_in(text) >= {*GENERAL, *EVERY_OWN}
    headings = [line.strip() for line in text.splitlines() if line.startswith("Options of ")]
    assert headings == [f"Options of {name}:" for name in CONVERTERS if own(name)]


def test_the_doctor_takes_the_options_of_its_dataset(native_tree):
    assert flags_in(call("doctor", "dexter1", "--help").output) & EVERY_OWN == set(OWN["dexter1"])
    asked = ("doctor", "dexter1", "--root", native_tree("dexter1"), "--json")
    tof, color = (json.loads(call(*asked, *camera).stdout) for camera in ((), ("--camera", "cam0")))
    assert set(tof["readings"]) == {"pixels of the labels"}
    assert set(color["readings"]) == {"3D keypoints"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("convert", "rhd", "--camera", "sk"), "--camera: is for stereo, dexter1, egodexter, synthhands, not rhd"),
        (("convert", "stereo", "--hands", "all"), "Invalid value for --hands: is for rhd, not stereo"),
        (("convert", "stereo", "--split-scheme", "reference-rotate"), "reference-rotate is for dexter, not stereo"),
        (("convert", "rhd", "--hands", "both"), "'both' is not one of 'visible', 'dominant', 'all'"),
        (("convert", "synthhands", "--key-tolerance", "65"), "65 is not in the range 0<=x<=64"),
        (("convert", "custom", "--annotations", "/nowhere.csv"), "does not exist"),
        (("convert", "nothing", "--hands", "all"), "'nothing' is not one of stereo, dexter"),
        (("doctor", "--hands", "all"), "is for rhd, and no dataset is named"),
    ],
    ids=str,
)  # fmt: skip
def test_an_option_that_does_not_fit_is_a_mistake_of_usage(arguments, said):
    done = call(*arguments)

    assert done.exit_code == 2
    assert said in done.stderr


ASKED = {  # every flag there has ever been, with what it may be
    "stereo": ("--camera", "all", "--derive-wrist", "middle", "--split-scheme", "reference"),
    "dexter": ("--projection", "compat", "--split-scheme", "reference-rotate"),
    "dexter1": ("--camera", "cam0"),
    "egodexter": ("--camera", "color_on_depth"),
    "synthhands": ("--camera", "all", "--key-tolerance", 3, "--with-segmentation", "--split-scheme", "reference"),
    "rhd": ("--hands", "all", "--with-segmentation", "--split-scheme", "reference"),
    "ganerated": ("--split-scheme", "reference"),
}


@pytest.mark.parametrize("dataset", ASKED)
def test_every_flag_is_read(dataset, native_tree, tmp_path):
    asked = ("--root", native_tree(dataset), "--out", tmp_path / "out", "--limit", 3, "--workers", 1, "--canvas", 64)

    done = call("convert", *ASKED[dataset], *asked, dataset, "--json")

    assert done.exit_code == 0, done.output
    recorded = json.loads((tmp_path / "out/index.json").read_text())["options"]
    flags = [word for word in ASKED[dataset] if str(word).startswith("--")]
    for flag in flags:
        value = ASKED[dataset][ASKED[dataset].index(flag) + 1] if flag != "--with-segmentation" else True
        assert recorded[flag.removeprefix("--").replace("-", "_")] == value


@pytest.mark.parametrize("dataset", DATASETS)
def test_shards_record_the_options_of_their_own_dataset(dataset, converted):
    recorded = json.loads((converted(dataset) / "index.json").read_text())["options"]

    named = {option.name for option in declared(CONVERTERS[dataset].OPTIONS)} - {"corrections"}  # recorded beside
    assert set(recorded) == named | {"boxes", "canvas", "crop_rule", "readings", "sequences", "with_segmentation"}


@pytest.mark.parametrize("dataset", CONVERTERS)
def test_an_option_has_a_help_text_that_begins_with_a_verb_or_a_noun(dataset):
    for option in declared(CONVERTERS[dataset].OPTIONS):
        assert option.help[0].isupper()
        assert option.help.split()[0] not in ("Of", "Instead", "The", "A")


def test_an_option_of_every_dataset_is_declared_once():
    assert [option.name for option in declared(Options)] == ["split_scheme", "corrections"]


def test_the_help_of_import_speaks_of_files_and_not_of_a_dataset():
    text = " ".join(call("import", "--help").output.split())

    assert "DATASET" not in text
    assert "Folder of the pictures, which are looked for near FILES too [default: data/native/custom]" in text
    assert "Folder to write shards to [default: data/shards/custom]" in text
    assert "[default: data/shards/DATASET]" in " ".join(call("convert", "--help").output.split())
