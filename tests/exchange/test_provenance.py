"""Licence and origin stay with the pictures: through merge, export and import."""

import json
import shutil

import pytest
from click.testing import CliRunner

from handdata import manifest
from handdata.cli import group
from handdata.errors import ConfigError, DataError
from handdata.exchange.export import export
from handdata.shards.dataset import open_dataset
from handdata.shards.provenance import provenance_of
from tests.check.made_dataset import make_dataset


def run(*arguments):
    return CliRunner().invoke(group, [str(argument) for argument in arguments], catch_exceptions=False)


def renamed(folder, name, origin):
    index = json.loads((folder / "index.json").read_text())
    (folder / "index.json").write_text(json.dumps(index | {"dataset": name, "origin": origin}))
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return folders of shards: of a published dataset, rendered like it, and own; their ids differ."""
    top = tmp_path_factory.mktemp("made")
    whole = make_dataset(top / "whole", count=20)
    run("subset", whole, "--split", "val", "--out", top / "published")
    run("subset", whole, "--split", "train", "--out", top / "own")
    for name in ("published", "own"):
        index = json.loads((top / name / "index.json").read_text())
        index.pop("provenance")
        (top / name / "index.json").write_text(json.dumps(index))
    renamed(top / "published", "wholebody", "published")
    renamed(top / "own", "custom", "own")
    renamed(shutil.copytree(top / "published", top / "rendered"), "wholebody", "rendered")
    return top


def test_a_merged_dataset_keeps_the_licence_and_origin_of_each_part(made, tmp_path):
    result = run("merge", made / "own", made / "published", "--name", "mine", "--out", tmp_path / "both")

    assert result.exit_code == 0
    facts = manifest.load("wholebody")
    parts = provenance_of(open_dataset(tmp_path / "both"))
    assert [(part.dataset, part.origin) for part in parts] == [("custom", "own"), ("wholebody", "published")]
    assert (parts[1].licence, parts[1].citation) == (facts.licence, facts.citation)
    card = (tmp_path / "both/README.md").read_text()
    assert f"- Licence of {facts.title}: {facts.licence}" in card
    assert "- Licence of Your own pictures and labels: that of your pictures" in card
    assert "license: other\nlicense_name: research-only-non-commercial-cc-by-nc-4-0-by-its-link-cc-by\n" in card
    run("subset", tmp_path / "both", "--sample", 4, "--out", tmp_path / "some")
    with pytest.raises(ConfigError, match=r"the licence 'Research only.*--i-may-share"):
        export(tmp_path / "some", tmp_path / "out", "coco")
    assert not (tmp_path / "out").exists()
    assert "Research only" in repr(open_dataset(tmp_path / "some"))


def test_rendered_hands_stay_rendered_beside_own_ones(made, tmp_path):
    run("merge", made / "own", made / "rendered", "--name", "mine", "--out", tmp_path / "both")

    assert open_dataset(tmp_path / "both").origin == "own, rendered"
    export(tmp_path / "both", tmp_path / "out", "csv", limit=2)
    card = (tmp_path / "out/README.md").read_text()
    assert "Rendered by handdata; nobody's hand is shown." in card
    assert "Pictures of whoever converted them." in card


def test_a_damaged_record_is_one_line(made, tmp_path):
    folder = shutil.copytree(made / "own", tmp_path / "own")
    index = json.loads((folder / "index.json").read_text())
    (folder / "index.json").write_text(json.dumps(index | {"provenance": [{"dataset": "rhd"}]}))

    with pytest.raises(DataError, match="expected a dataset, licence and origin of each part"):
        export(folder, tmp_path / "out", "csv")
