"""Pictures that the disk names in another normal form of Unicode than the labels: macOS writes é as e and an accent."""

import unicodedata
from pathlib import Path

import cv2
import numpy as np
import pytest

from handdata.annotate.keypoints.labels import read_labels
from handdata.annotate.keypoints.session import PointSession
from handdata.annotate.keypoints.sources import of_folder, of_labels
from handdata.annotate.pictures import list_pictures
from handdata.annotate.session import Session
from handdata.boxes import BoxRow

NAME = "Übung/é"
FORMS = pytest.mark.parametrize(("said", "there"), [("NFC", "NFD"), ("NFD", "NFC")])


def folder_of(root: Path, form: str) -> Path:
    folder = root / unicodedata.normalize(form, Path(NAME).parts[0])
    folder.mkdir()
    for letter in "éa":
        cv2.imwrite(str(folder / f"{unicodedata.normalize(form, letter)}.png"), np.zeros((60, 64, 3), np.uint8))
    return folder


@FORMS
def test_pictures_that_labels_spell_otherwise_are_opened(tmp_path: Path, said: str, there: str) -> None:
    folder = folder_of(tmp_path, there)
    table = tmp_path / "labels.csv"
    named = unicodedata.normalize(said, NAME)
    table.write_text(
        f"image,side,wrist_u,wrist_v\n{named}.png,left,1,2\n{named[:-1]}e.png,left,3,4\n", encoding="utf-8"
    )
    task = of_labels(table)

    assert task.labels == table
    assert [task.pictures.paths[frame] for frame in read_labels(table, task.pictures)] == [
        folder / f"{unicodedata.normalize(there, 'é')}.png"
    ]
    assert {name.split("/")[0] for name in task.pictures.img_names} == {folder.name}


@FORMS
def test_work_goes_on_where_the_pictures_came_by_way_of_another_system(tmp_path: Path, said: str, there: str) -> None:
    (tmp_path / "before").mkdir()
    first = PointSession(of_folder(folder_of(tmp_path / "before", said)).pictures, tmp_path / "keypoints.json")
    first.begin(1, (10, 10, 40, 40), "left")
    first.accept(1, 1)
    first.close()
    pictures = of_folder(folder_of(tmp_path, there)).pictures
    again = PointSession(pictures, tmp_path / "keypoints.json")  # by the journal
    assert sorted(again.marks) == [1]
    again.close()
    assert sorted(read_labels(tmp_path / "keypoints.json", pictures)) == [1]


@FORMS
def test_boxes_of_pictures_that_a_table_spells_otherwise_are_taken(tmp_path: Path, said: str, there: str) -> None:
    session = Session(list_pictures(folder_of(tmp_path, there)), tmp_path / "boxes.csv")
    session.import_rows([BoxRow(f"{unicodedata.normalize(said, 'é')}.png", (1, 2, 30, 40), "person")], "a table")
    assert sorted(session.marks) == [1]
    session.close()


def test_of_two_pictures_of_one_spelling_the_exact_one_is_meant(tmp_path: Path) -> None:
    for form in ("NFC", "NFD"):
        cv2.imwrite(str(tmp_path / f"{unicodedata.normalize(form, 'é')}.png"), np.zeros((60, 64, 3), np.uint8))
    session = Session(list_pictures(tmp_path), tmp_path / "boxes.csv")
    name = f"{unicodedata.normalize('NFD', 'é')}.png"
    session.import_rows([BoxRow(name, (1, 2, 30, 40), "person")], "a table")
    assert [session.pictures.names[frame] for frame in session.marks] == [name]
    session.close()
