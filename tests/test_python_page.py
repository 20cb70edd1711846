"""docs/python.md and the examples of public docstrings run as they stand, on small data."""

import doctest
import importlib
import inspect
import json
import re
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

import handdata as hd
from handdata.boxes import BoxRow, write_boxes
from tests.train.made_shards import made_sample

PAGE = Path(__file__).parents[1] / "docs" / "python.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
SCRIPTS = [block for block in BLOCKS if re.match(r"# \d ", block)]
RECIPES = [block for block in BLOCKS if block not in SCRIPTS]


def made_hands(sides, sequences=("",), split="train", count=24):
    for number in range(count):
        sample = made_sample(number)
        yield hd.Hand(
            image=sample.image, side=sides[number % len(sides)], K=sample.K, keypoints_2d=sample.keypoints_2d,
            keypoints_3d=sample.keypoints_3d, visible=np.ones(21, np.int8), has_object=number % 3 > 0, split=split,
            id=f"{split}/{number:05d}", sequence=sequences[number % len(sequences)], camera="color", frame=number,
        )  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder as the page's reader has it: two converted sets, a native tree and a trained model."""
    from handdata.synth.full_frame import render_full_frame
    from handdata.synth.native import write_native
    from tests.train.made_training import job_of, tiny

    folder = tmp_path_factory.mktemp("home")
    shards = folder / "data" / "shards"
    hd.write_dataset(shards / "rhd", made_hands(("left", "right"), ("training",)), name="rhd", canvas=96)
    hd.write_dataset(shards / "rhd", made_hands(("left",), ("evaluation",), "val", 8), name="rhd", canvas=96)
    grasps = ("Grasp1", "Grasp2", "Rotate")
    hd.write_dataset(shards / "dexter", made_hands(("left",), grasps, "test", 60), name="dexter", canvas=96)
    write_native("stereo", folder / "data" / "native" / "stereo", 14, seed=0, small=True)
    cv2.imwrite(str(folder / "photo.jpg"), render_full_frame(5, 1).image[..., ::-1])
    rows = [BoxRow(f"Grasp2/color/{n}.bmp", (8.0, n, 40.0, 40.0), "tracker", n > 5, n / 10) for n in range(9)]
    write_boxes(folder / "data" / "boxes" / "dexter" / "Grasp2.csv", rows)
    from handdata.train.loop import train

    train(job_of(tiny("e010", "data.datasets=[]", "data.mix=''"), [shards / "rhd"], folder / "runs" / "demo"))
    return folder


def names(home):
    return {"image": np.random.default_rng(0).integers(0, 256, (300, 400, 3)).astype(np.uint8)}


@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")  # two workers where there is one core
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda text: text.splitlines()[0].strip("# "))
def test_a_script_of_the_page_runs(script, home, monkeypatch, capsys):
    monkeypatch.chdir(home)
    exec(compile(script, str(PAGE), "exec"), names(home))  # the page itself
    for written in re.findall(r'save\("(.*?)"\)', script):
        assert (home / written).stat().st_size > 1000


@pytest.mark.parametrize("recipe", RECIPES, ids=range(len(RECIPES)))
def test_a_recipe_of_the_page_runs(recipe, home, monkeypatch, capsys):
    monkeypatch.chdir(home)
    exec(compile(recipe, str(PAGE), "exec"), names(home))
    assert "Traceback" not in capsys.readouterr().out


def test_names_stand_for_folders_in_every_call(home, monkeypatch, tmp_path):
    monkeypatch.chdir(home)

    assert len(hd.open("rhd", split="val")) == hd.export("rhd", tmp_path, "coco") - 24 == 8
    model = hd.load_model("demo", device="cpu")
    assert (model.size, repr(model)) == (32, "<Model e010: direct, 32 px, on cpu>")
    assert [one.dataset for one in hd.evaluate("demo", "rhd", split="val", device="cpu").sets] == ["rhd"]
    boxes = home / "data/boxes/stereo/B1Counting.csv"
    boxes.parent.mkdir(parents=True, exist_ok=True)
    boxes.write_text("img_name,x,y,w,h\nnowhere/1.png,1,2,30,40\n")
    done = hd.convert("stereo", splits=["val"])
    assert done.out == Path("data/shards/stereo")
    assert any("none of the 1 boxes belongs to these pictures" in warning for warning in done.plan.warnings)
    boxes.unlink()


def test_datasets_as_opened_are_scored(home, monkeypatch):
    monkeypatch.chdir(home)
    data, asked = hd.open("rhd", split="val"), {"device": "cpu", "protocols": "epe_px:mean"}
    named = hd.evaluate("demo", "rhd", split="val", **asked)

    for same in (data, [data], hd.open("rhd")):
        assert hd.evaluate("demo", same, **asked).sets == named.sets
    assert list(named.sets[0].protocols) == ["epe_px:mean"]
    for some in (data[1:], data[::-1], hd.open("rhd").where(side="left"), hd.open("rhd", split="train") + data[:3]):
        with pytest.raises(TypeError, match="evaluate takes whole splits"):
            hd.evaluate("demo", some)
    with pytest.raises(TypeError, match="concat takes datasets"):
        hd.evaluate("demo", [data, "dexter"])


def test_predictions_in_memory_are_those_of_a_file(home, monkeypatch, tmp_path):
    monkeypatch.chdir(home)
    data = hd.open("rhd", split="val")
    said = [
        {"sample_id": hand.id, "keypoints_2d": hand.source.keypoints_2d + 1, "keypoints_3d": hand.keypoints_3d}
        for hand in data
    ]
    listed = [{name: np.asarray(value).tolist() for name, value in one.items()} for one in said]
    (tmp_path / "p.json").write_text(json.dumps({"schema": "handdata-predictions/1", "samples": listed}))
    one, other = (hd.evaluate(what, "rhd").to_pandas().value for what in (said, tmp_path / "p.json"))

    pd.testing.assert_series_equal(one, other)
    assert one["rhd", "val", "epe_px:mean"] == pytest.approx(2**0.5)
    assert list(hd.evaluate(said, "rhd", protocols=["oks"]).sets[0].protocols) == ["oks"]
    with pytest.raises(hd.HanddataError, match=r"predictions\[0\]: expected sample_id and keypoints_2d"):
        hd.evaluate([{"sample_id": "a"}], "rhd")
    with pytest.raises(hd.HanddataError, match="expected a split named test, got train, val"):
        hd.evaluate(said, "rhd", split="test")


def test_weights_of_the_package_are_scored_by_name(home, monkeypatch, tmp_path):
    monkeypatch.setenv("HANDDATA_ROOT", str(tmp_path))
    results = hd.evaluate("compact", home / "data/shards/rhd", device="cpu")
    again = hd.evaluate("compact", home / "data/shards/rhd", device="cpu", protocols=["epe_px"])

    assert [(one.dataset, one.split) for one in results.sets] == [("rhd", "val")]
    assert (tmp_path / "runs/compact/results.json").is_file()
    assert hd.load_model("compact", device="cpu").trained.recipe == "compact"
    assert again.sets[0].protocols["epe_px:mean"] == results.sets[0].protocols["epe_px:mean"]
    assert repr(again).startswith("<Results of rhd val (8 hands)")


def test_hands_are_sorted_by_values_of_ones_own(home):
    data = hd.open(home / "data/shards/rhd", split="val")
    order = np.random.default_rng(0).permutation(8)

    assert data.sort(order, descending=True)["id"].tolist() == data["id"][np.argsort(-order)].tolist()
    with pytest.raises(ValueError, match="by 8 of your own: got the shape"):
        data.sort(order[:3])


def test_the_five_scripts_are_short():
    lines = [line for script in SCRIPTS for line in script.splitlines() if line.strip()]
    imports = [line for line in lines if line.startswith(("import ", "from "))]

    assert len(SCRIPTS) == 5
    assert len(lines) <= 30
    assert sum(line.count(",") + 1 for line in imports) <= 8


def public():
    """Every public object with a docstring, and the methods of the classes."""
    for name in hd.__all__:
        value = getattr(hd, name)
        if not callable(value):
            continue
        yield name, value
        if inspect.isclass(value) and value.__module__.startswith("handdata"):
            members = {k: v for k, v in vars(value).items() if not k.startswith("_") and callable(v)}
            yield from ((f"{name}.{key}", member) for key, member in members.items())


@pytest.mark.parametrize("name", [name for name in hd.__all__ if callable(getattr(hd, name))])
def test_a_public_name_says_what_it_is_with_an_example(name):
    text = inspect.getdoc(getattr(hd, name)) or ""
    if name != "HanddataError":
        assert ">>>" in text, f"hd.{name} has no example"


@pytest.mark.parametrize(("name", "value"), [pytest.param(*pair, id=pair[0]) for pair in public()])
def test_the_examples_of_a_docstring_run(name, value, home, tmp_path, monkeypatch):
    monkeypatch.chdir(home)
    given = {
        "EXAMPLE": home / "data/shards/rhd",
        "FOLDER": tmp_path / "mine",
        "RUN": home / "runs/demo",
        "np": np,
        "hd": hd,
    }
    found = doctest.DocTestFinder(recurse=False).find(value, name, globs=given | {"np": np, "hd": hd})
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    for test in found:
        assert runner.run(test).failed == 0


INNER = sorted(
    path for path in (PAGE.parents[1] / "handdata").rglob("*.py")
    if ">>>" in path.read_text(encoding="utf-8") and "hd." not in path.read_text(encoding="utf-8")
)  # fmt: skip


@pytest.mark.parametrize("path", INNER, ids=lambda path: path.stem)
def test_the_examples_of_other_modules_run(path):
    name = ".".join(path.relative_to(PAGE.parents[1]).with_suffix("").parts)
    module = importlib.import_module(name)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    tests = [t for t in doctest.DocTestFinder().find(module, name, globs={**vars(module), "np": np}) if t.examples]

    assert tests
    assert [test.name for test in tests if runner.run(test).failed] == []
