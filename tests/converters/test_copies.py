"""Copies of the archives as people pass them on: resized, repacked, renamed, in parts, with losses, damaged.

Each is read as what it is, or refused with what it is and what to do about it.
"""

import json
import os
import re
import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest

from handdata import manifest
from handdata.check.doctor import diagnose
from handdata.check.verify import verify
from handdata.conversion.plan import make_plan, plan_all
from handdata.conversion.run import convert
from handdata.converters import CONVERTERS, DATASETS
from handdata.errors import ConfigError, DataError, HanddataError, MissingError
from handdata.paths import RENDERED_MARK
from tests.converters.conftest import plan_of

PICTURES = (".png", ".bmp", ".jpg")


def options(dataset, **asked):
    return CONVERTERS[dataset].OPTIONS(**asked)


def resize(root, factor):
    for path in (path for path in sorted(root.rglob("*")) if path.suffix in PICTURES and path.name != "joints.png"):
        how = cv2.INTER_NEAREST if "mask" in path.parts or "depth" in path.parts else cv2.INTER_AREA
        image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(path), cv2.resize(image, None, fx=factor, fy=factor, interpolation=how))


def pictures_of(root, dataset):
    return [root / item.image for item in plan_of(dataset, root).items]


# ------------------------------------------------------------------------------------------------ sizes


@pytest.mark.parametrize("dataset", DATASETS)
def test_a_half_size_copy_is_refused_by_convert_and_found_by_the_doctor(dataset, native_copy, tmp_path, refused):
    root = native_copy(dataset)
    resize(root, 0.5)

    line = refused(DataError, lambda: convert(dataset, root, tmp_path / "out"))
    assert " px, the size of " in line
    assert not (tmp_path / "out/index.json").exists()
    assert any(" px, the size of " in finding for finding in diagnose(dataset, root, tmp_path).findings)


@pytest.mark.parametrize("dataset", [name for name in DATASETS if manifest.load(name).cameras])
def test_verify_finds_shards_of_a_half_size_copy(dataset, native_copy, tmp_path, monkeypatch):
    """What was converted before sizes were held against the cameras; where pictures differ in size, none are known."""
    root = native_copy(dataset)
    resize(root, 0.5)
    monkeypatch.setattr("handdata.conversion.rows._check_size", lambda *_: None)
    convert(dataset, root, tmp_path / "out")

    findings = [finding for finding in verify(tmp_path / "out").findings if finding.check == "sizes"]
    assert findings
    assert all("the camera's have" in finding.what for finding in findings)


def test_one_picture_of_another_size_is_left_out_alone(native_copy, tmp_path):
    root = native_copy("egodexter")
    odd = pictures_of(root, "egodexter")[3]
    cv2.imwrite(str(odd), cv2.resize(cv2.imread(str(odd)), (640, 400)))

    result = convert("egodexter", root, tmp_path / "out", skip_bad=True)
    assert [odd.name in why for why in result.skipped.values()] == [True]


def test_sizes_are_judged_by_camera(native_copy, tmp_path):
    """Of two cameras only one was resized: it alone is blamed."""
    root = native_copy("synthhands")
    for path in root.rglob("*_color_on_depth.png"):
        cv2.imwrite(str(path), cv2.resize(cv2.imread(str(path)), (320, 240)))

    findings = diagnose("synthhands", root, tmp_path, options("synthhands", camera="all")).findings
    assert [("of color_on_depth that" in finding) for finding in findings if " px, the size of " in finding] == [True]


def test_registered_pictures_are_not_taken_for_the_colour_camera_s(native_copy, tmp_path, refused):
    """They have its size, but the labels would miss the hands by 40 px."""
    root = native_copy("egodexter")
    for path in root.rglob("*_color_on_depth.png"):
        shutil.copy(path, path.parent.parent / "color" / path.name.replace("_color_on_depth", "_color"))

    line = refused(DataError, lambda: convert("egodexter", root, tmp_path / "out"))
    assert "expected the colour camera's pictures" in line
    assert "--camera color_on_depth" in line


# ------------------------------------------------------------------------------------------------ packagings


def move_labels_up(root):
    for path in (root / "labels").iterdir():
        path.rename(root / path.name)
    (root / "labels").rmdir()


def move_labels_to_pictures(root):
    for folder in (root / "images").iterdir():
        for path in (root / "labels").glob(f"{folder.name}_*.mat"):
            path.rename(folder / path.name)
    (root / "labels").rmdir()


def rename_all(root, pattern, change):
    for path in sorted(root.rglob(pattern)):
        path.rename(path.with_name(change(path.name)))


def zip_up(root):
    shutil.make_archive(str(root.parent / "a"), "zip", root)
    for path in list(root.iterdir()):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    (root.parent / "a.zip").rename(root / "a.zip")


def nest_twice(root):
    (root / "EgoDexter/EgoDexter").mkdir(parents=True)
    (root / "data").rename(root / "EgoDexter/EgoDexter/data")


def in_upper_case(pattern, suffix_alone=True):
    def change(name):
        stem, _, suffix = name.rpartition(".")
        return f"{stem}.{suffix.upper()}" if suffix_alone else name.upper()

    return lambda root: rename_all(root, pattern, change)


def rename_labels(root):
    (root / "labels").rename(root / "Labels")


def lower_sequences(root):
    for name in ("Desk", "Fruits", "Kitchen", "Rotunda"):
        (root / "data" / name).rename(root / "data" / name.lower())


PACKAGINGS = {  # dataset, what was done to it, what is said to lie there, what to do
    "labels at the root": ("stereo", move_labels_up, "_SK.mat, ", "Move such files to {root}/labels."),
    "labels beside the pictures": (
        "stereo",
        move_labels_to_pictures,
        " in images/",
        "Move such files to {root}/labels.",
    ),
    "Labels": ("stereo", rename_labels, "in another case", "Rename Labels to labels."),
    ".MAT": ("stereo", in_upper_case("*.mat"), "in another case", "Rename B1Counting_BB.MAT to B1Counting_BB.mat."),
    ".PNG": ("stereo", in_upper_case("*.png"), "SK_color_0.PNG, ", "Name them SK_color_<i>.png."),
    "lower-case sequences": ("egodexter", lower_sequences, "got desk, fruits, kitchen and 1 more", "Desk, Fruits,"),
    "an unopened archive": ("stereo", zip_up, "got a.zip, not unpacked", "Unpack it in {root}."),
    "two folders deeper": ("egodexter", nest_twice, "further down", "/EgoDexter/EgoDexter."),
    "RHD's .PNG": ("rhd", in_upper_case("color/*.png"), ".PNG", "Name them <5 digits>.png."),
    "SynthHands' .PNG": ("synthhands", in_upper_case("*.png"), "_color.PNG", ""),
    "RHD's ANNO": ("rhd", in_upper_case("anno_*", suffix_alone=False), "in another case", "Name it anno_"),
    "Dexter's TXT": ("dexter", in_upper_case("*3D.txt"), "3D.TXT, in another case", "3D.txt."),
}


@pytest.mark.parametrize("packaging", PACKAGINGS)
def test_a_packaging_is_named_for_what_it_is(packaging, native_copy, refused):
    dataset, pack, got, do = PACKAGINGS[packaging]
    root = native_copy(dataset)
    pack(root)

    line = refused(MissingError, lambda: plan_all(dataset, root, options(dataset)))
    assert got in line
    assert do.format(root=root) in line
    assert "Get the data at" not in line


def test_a_folder_that_holds_nothing_of_it_still_says_where_to_get_it(tmp_path, refused):
    (tmp_path / "holiday.jpg").touch()

    assert "Get the data at" in refused(MissingError, lambda: plan_all("stereo", tmp_path, options("stereo")))


# ------------------------------------------------------------------------------------------------ parts of an archive


def test_one_camera_family_is_told_and_how_to_convert_it(native_copy, tmp_path, refused):
    root = native_copy("stereo")
    for path in [*root.rglob("SK_*"), *root.rglob("*_SK.mat")]:
        path.unlink()

    line = refused(MissingError, lambda: plan_all("stereo", root, options("stereo")))
    assert "got only 14 of bb_left, 14 of bb_right. Convert with --camera bb_left." in line
    assert line in diagnose("stereo", root, tmp_path).findings
    assert convert("stereo", root, tmp_path / "out", options=options("stereo", camera="bb_left")).num_samples == 14


def test_an_absent_sequence_is_named_once_for_all_cameras(native_copy):
    root = native_copy("stereo")
    shutil.rmtree(root / "images/B3Random")

    (note,) = (note for note in plan_of("stereo", root, camera="all").warnings if note.startswith("absent"))
    assert note.split(", ").count("B3Random (no pictures)") + note.count("absent: B3Random (no pictures)") == 1


def test_whole_sequences_are_a_part_of_the_archive_and_no_fault(native_copy, tmp_path, monkeypatch):
    root = native_copy("egodexter")
    (root / RENDERED_MARK).unlink()
    for name in ("Fruits", "Kitchen", "Rotunda"):
        shutil.rmtree(root / "data" / name)
    facts = manifest.load("egodexter")
    counts = {"frames": 3190, "sequences": 4, "Desk": len(pictures_of(root, "egodexter")), "Fruits": 512}
    monkeypatch.setattr("handdata.manifest.load", lambda _: replace(facts, counts=counts))

    found = diagnose("egodexter", root, tmp_path)
    assert "a part of the archive: 1 of 2, whole (Desk)" in found.notes
    assert found.findings == []


# ------------------------------------------------------------------------------------------------ nearly right names


@pytest.mark.parametrize(
    ("dataset", "beside", "name"),
    [
        ("synthhands", "female_noobject/seq01", "seq08"),
        ("synthhands", "female_noobject/seq01", "seq01 (1)"),
        ("egodexter", "data/Desk", "Desk - Copy"),
        ("ganerated", "data/noObject/0001", "0001 (1)"),
        ("stereo", "images/B1Counting", "B7Counting"),
        ("rhd", "training/color/00000.png", "00000 (1).png"),
        ("rhd", "training/color/00000.png", "0007.png"),
        ("dexter", "data/Grasp1/color/Color_0001.bmp", "color_0001.BMP"),
        ("synthhands", "female_noobject/seq01/cam01/01/00000000_color.png", "00000000_color copy.png"),
    ],
)
def test_a_name_that_is_nearly_right_is_said_to_be_ignored(dataset, beside, name, native_copy):
    root = native_copy(dataset)
    before = plan_all(dataset, root, options(dataset))
    source = root / beside
    target = source.with_name(name)
    shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)

    plan = plan_all(dataset, root, options(dataset))
    assert plan.items == before.items
    assert not any(note.startswith("ignored") for note in before.warnings)
    (note,) = (note for note in plan.warnings if note.startswith("ignored"))
    assert target.relative_to(root).as_posix() in note


@pytest.mark.parametrize(
    ("dataset", "picture", "other"),
    [
        ("stereo", "SK_color_0.png", "SK_color_00.png"),
        ("dexter", "Color_0001.bmp", "Color_1.bmp"),
        ("egodexter", "image_00000_color.png", "image_0_color.png"),
    ],
)
def test_a_second_file_of_one_number_is_refused(dataset, picture, other, native_copy, refused):
    root = native_copy(dataset)
    first = next(path for path in pictures_of(root, dataset) if path.name == picture)
    shutil.copy(first, first.with_name(other))

    line = refused(DataError, lambda: plan_all(dataset, root, options(dataset)))
    assert picture in line
    assert other in line


def test_a_second_colour_picture_of_one_index_is_refused(native_copy, refused):
    root = native_copy("dexter1")
    first = next((root / "data/adbadd/multicam/cam0").glob("*_cam0.png"))
    shutil.copy(first, first.with_name("9" + first.name[1:]))

    assert first.name in refused(DataError, lambda: plan_all("dexter1", root, options("dexter1", camera="cam0")))


# ------------------------------------------------------------------------------------------------ what cannot be read

SYNTHHANDS = "female_noobject/seq01/cam01/01/00000000"
LABELS = {  # a label file, and the samples that hang on it: of a sequence, or one
    "stereo": ("labels/B1Counting_SK.mat", "B1Counting/"),
    "dexter": ("data/Grasp1/annotations/Grasp13D.txt", "Grasp1/"),
    "dexter1": ("data/adbadd/annotations/Pos3D.txt", "adbadd/"),
    "egodexter": ("data/Desk/annotation.txt_3D.txt", "Desk/"),
    "synthhands": (f"{SYNTHHANDS}_joint_pos.txt", f"{SYNTHHANDS}_color"),
    "rhd": ("training/anno_training.pickle", "training/"),
    "ganerated": ("data/noObject/0001/0001_joint_pos_global.txt", "noObject/0001/0001"),
}  # fmt: skip


def to_folder(path):
    path.unlink()
    path.mkdir()


def to_utf16(path):
    path.write_bytes(path.read_bytes().decode("latin-1").encode("utf-16"))


def forbid(path):
    path.chmod(0)
    os.utime(path, ns=(0, 0))  # what was read of it is kept as long as it stays as it is


@pytest.mark.parametrize("damage", [to_folder, to_utf16, forbid])
@pytest.mark.parametrize("dataset", LABELS)
@pytest.mark.usefixtures("not_as_root")
def test_a_label_file_that_cannot_be_read_is_named_or_left_out(dataset, damage, native_copy, tmp_path):
    name, hang = LABELS[dataset]
    root = native_copy(dataset)
    whole = [item.id for item in plan_of(dataset, root).items]
    damage(root / name)

    with pytest.raises(HanddataError, match=r"\n?") as caught:
        convert(dataset, root, tmp_path / "out")
    assert name in str(caught.value)
    assert "room to write" not in str(caught.value)
    result = convert(dataset, root, tmp_path / "out", skip_bad=True)
    assert {sample for sample in result.skipped if not sample.startswith(hang)} == set()
    assert result.num_samples == sum(not sample.startswith(hang) for sample in whole)
    assert all(name in why for why in result.skipped.values())


@pytest.mark.parametrize("damage", [to_folder, forbid])
@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.usefixtures("not_as_root")
def test_a_picture_that_cannot_be_read_is_named_or_left_out(dataset, damage, native_copy, tmp_path, refused):
    root = native_copy(dataset)
    picture = pictures_of(root, dataset)[1]
    damage(picture)

    line = refused(HanddataError, lambda: convert(dataset, root, tmp_path / "out"))
    assert picture.name in line
    assert "room to write" not in line
    result = convert(dataset, root, tmp_path / "out", skip_bad=True)
    assert result.skipped
    assert all(picture.name in why for why in result.skipped.values())


CLOSED = {  # a folder of a part of the archive
    "stereo": "images/B1Counting", "dexter": "data/Grasp1/color", "dexter1": "data/adbadd/tof/depth",
    "egodexter": "data/Desk/color", "synthhands": "female_noobject/seq01", "rhd": "training/color",
    "ganerated": "data/noObject",
}  # fmt: skip


@pytest.mark.usefixtures("not_as_root")
@pytest.mark.parametrize("dataset", CLOSED)
def test_a_part_of_the_archive_that_may_not_be_read_does_not_pass_for_absent(dataset, native_copy, tmp_path, refused):
    root = native_copy(dataset)
    (root / CLOSED[dataset]).chmod(0)
    try:
        line = refused(DataError, lambda: convert(dataset, root, tmp_path / "out"))
        findings = diagnose(dataset, root, tmp_path).findings
    finally:
        (root / CLOSED[dataset]).chmod(0o755)

    assert CLOSED[dataset] in line
    assert "Permission denied. Allow reading it" in line
    assert any(CLOSED[dataset] in finding and "Allow reading it" in finding for finding in findings)


@pytest.mark.parametrize("name", ["pipe", "device"])
def test_a_label_file_that_never_ends_is_refused(name, native_copy, tmp_path, refused):
    root = native_copy("egodexter")
    label = root / LABELS["egodexter"][0]
    label.unlink()
    os.mkfifo(label) if name == "pipe" else label.symlink_to("/dev/zero")

    assert "got no plain file" in refused(DataError, lambda: convert("egodexter", root, tmp_path / "out"))


def test_samples_that_hang_on_one_label_are_told_in_one_line(native_copy, tmp_path, cli):
    root = native_copy("egodexter")
    to_utf16(root / "data/Desk/annotation.txt_3D.txt")

    done = cli("convert", "egodexter", "--root", root, "--out", tmp_path / "out", "--workers", 1, "--skip-bad")
    (line,) = (line for line in done.stderr.splitlines() if "skipped" in line)
    count = len(list((root / "data/Desk/color").iterdir()))
    assert line.startswith(f"egodexter: skipped {count}, Desk/color/00000 to Desk/color/0000{count - 1}: ")
    assert len(json.loads((tmp_path / "out/index.json").read_text())["skipped"]) == count


# ------------------------------------------------------------------------------------------------ boxes


@pytest.mark.parametrize("dataset", ["dexter", "egodexter", "stereo"])
def test_boxes_of_other_pictures_are_refused(dataset, native_tree, tmp_path, refused):
    table = tmp_path / "b.csv"
    table.write_text("img_name,x,y,w,h\nnothing/like/this.png,10,10,50,50\n")

    line = refused(ConfigError, lambda: make_plan(dataset, native_tree(dataset), options(dataset, boxes=table)))
    assert "--boxes" in line
    assert "nothing/this.png" in line


def test_boxes_found_by_themselves_that_match_nothing_are_said_not_to_be_used(native_tree, tmp_path):
    (tmp_path / "Rigid.csv").write_text("img_name,x,y,w,h\nRigid/color/Color_9999.bmp,10,10,50,50\n")

    plan = make_plan("dexter", native_tree("dexter"), options("dexter", boxes_default=tmp_path))
    assert f"{tmp_path}: none of the 1 boxes belongs to these pictures: not used" in plan.warnings
    assert dict(plan.readings)["crops"] == "round the fingertips: no box of these pictures"


# ------------------------------------------------------------------------------------------------ losses


def lose(path, quality):
    """Store a picture as a JPEG would have it, under its own name."""
    _, data = cv2.imencode(".jpg", cv2.imread(str(path), cv2.IMREAD_UNCHANGED), [cv2.IMWRITE_JPEG_QUALITY, quality])
    cv2.imwrite(str(path), cv2.imdecode(data, cv2.IMREAD_UNCHANGED))


@pytest.mark.parametrize("quality", [95, 60])
def test_a_key_colour_with_losses_is_told_from_an_exact_one(quality, native_copy, refused):
    root = native_copy("synthhands")
    said = dict(plan_of("synthhands", root).readings)["key colour"]
    assert said == "exact in 8 pictures looked at"
    for path in root.rglob("*_color.png"):
        lose(path, quality)

    if quality == 95:  # hardly a pixel is of the key
        line = refused(DataError, lambda: plan_of("synthhands", root))
    else:
        line = dict(plan_of("synthhands", root).readings)["key colour"]
    assert "a copy with losses" in line
    levels = int(re.search(r"--key-tolerance (\d+)", line)[1])
    said = dict(plan_of("synthhands", root, key_tolerance=levels).readings)["key colour"]
    assert said == f"a copy with losses: within {levels} levels in 8 pictures looked at"


@pytest.mark.parametrize(("dataset", "pattern"), [("rhd", "mask/00000.png"), ("dexter1", "tof/depth/*.png")])
def test_a_jpeg_where_values_count_is_refused(dataset, pattern, native_copy, tmp_path, refused):
    root = native_copy(dataset)
    for path in root.rglob(pattern):
        image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        path.write_bytes(
            cv2.imencode(".jpg", (image >> 8 if image.dtype == np.uint16 else image).astype(np.uint8))[1].tobytes()
        )

    assert "a JPEG, which changes values" in refused(DataError, lambda: convert(dataset, root, tmp_path / "out"))
