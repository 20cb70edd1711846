"""`handdata annotate` without its page: what it exports, and that it leaves nothing behind."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from handdata.annotate.keypoints.session import PointSession
from handdata.annotate.pictures import list_pictures
from handdata.cli.annotate_points import annotate_command
from handdata.errors import ConfigError, MissingError
from handdata.paths import DataRoot
from tests.annotate.keypoints.made_hands import truth, write_pictures


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "pictures"
    made.mkdir()
    write_pictures(made, 3)
    return made


def run(*arguments: object) -> str:
    words = list(map(str, arguments))
    return CliRunner().invoke(annotate_command, words, obj=DataRoot(Path()), catch_exceptions=False).stdout


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("keep_open", [True, False])
def test_an_export_writes_nothing_and_needs_no_lock(folder: Path, *, keep_open: bool) -> None:
    session = PointSession(list_pictures(folder, any_size=True), folder / "keypoints.json")
    number = session.begin(1, (20.0, 20.0, 110.0, 110.0), "left")
    session.place(1, number, {8: tuple(truth(1)[8])})
    if not keep_open:
        session.close()
    with (folder / "keypoints.journal").open("ab") as journal:
        journal.write(b'{"op": "pla')  # another process is writing a line
    before = files(folder)

    content = json.loads(run(folder, "--export", "json"))

    assert [one["image_id"] for one in content["annotations"]] == [2]
    assert files(folder) == before
    session.close()


def test_without_labels_an_export_says_so_and_leaves_no_file(folder: Path) -> None:
    before = files(folder)
    with pytest.raises(MissingError, match="expected keypoints to export, got no such file"):
        run(folder, "--export", "coco")

    assert files(folder) == before


def test_a_folder_of_shards_without_shards_is_told_so() -> None:
    with pytest.raises(MissingError, match="data/shards/nothing: expected a folder of shards, got no shards there"):
        run("data/shards/nothing")


def test_options_that_do_not_go_together_are_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("a\n")
    with pytest.raises(ConfigError, match="expected a folder of shards as SOURCE"):
        run(folder, "--ids", tmp_path / "ids.txt")
