"""Recipes: the published settings, what is refused and in which words, the chains."""

import dataclasses

import pytest

from handdata.errors import ConfigError
from handdata.model.families import FAMILIES
from handdata.model.kinds import KINDS
from handdata.train.chain import chain_of
from handdata.train.config import load_config, recipe_names

PUBLISHED = ("e010", "e012", "e013", "e020", "e022-grasp2", "e022-rotate", "e023")
OWN = sorted(set(FAMILIES) - set(KINDS))
# docs/method.md 9.2: model, encoder, epochs, batches, batch, lr, 2D loss and weight, 3D loss, mix
TABLE = {
    "e010": ("direct", "frozen", 1000, 250, 64, 0.005, "iou", 1.0, "mse", "A"),
    "e012": ("latent", "frozen", 1000, 250, 64, 0.005, "coordinates", 10.0, "mse", "A"),
    "e013": ("tree", "frozen", 1000, 250, 64, 0.005, "iou", 1.0, "mse", "A"),
    "e020": ("direct", "trained", 400, 250, 64, 0.003, "iou", 1.0, "mse", "B"),
    "e022-grasp2": ("direct", "trained", 40, 250, 64, 0.001, "iou", 1.0, "none", ""),
    "e022-rotate": ("direct", "trained", 40, 250, 64, 0.001, "iou", 1.0, "none", ""),
    "e023": ("direct", "trained", 100, 250, 32, 0.001, "iou", 1.0, "none", ""),
}


def test_every_published_experiment_and_its_smoke_size_is_there():
    expected = {
        *PUBLISHED,
        *(f"{name}-smoke" for name in PUBLISHED),
        "demo",
        "best",
        "best-smoke",
        *OWN,
        *(f"{name}-smoke" for name in OWN),
    }

    assert set(recipe_names()) == expected


@pytest.mark.parametrize("name", TABLE)
def test_recipe_has_the_published_settings(name):
    config = load_config(name)
    loss = config.loss

    found = (config.model.kind, config.start.encoder, config.loop.epochs, config.loop.batches, config.data.batch,
             config.optim.lr, loss.loss_2d, loss.weight_2d, loss.loss_3d, config.data.mix)  # fmt: skip
    assert found == TABLE[name]
    assert (config.model.size, config.model.width) == (128, 1.0)
    assert (config.optim.kind, config.optim.momentum, config.optim.weight_decay) == ("sgd", 0.9, 0.0)
    assert (config.optim.schedule, loss.weight_3d, loss.over) == ("constant", 1.0, "present")


@pytest.mark.parametrize("name", recipe_names())
def test_recipe_is_whole_and_says_what_it_is(name):
    config = load_config(name)

    assert config.name == name
    assert config.about


@pytest.mark.parametrize("name", PUBLISHED)
def test_smoke_size_differs_in_size_alone(name):
    full, smoke = load_config(name), load_config(f"{name}-smoke")

    assert (full.loss, full.optim, full.augment) == (smoke.loss, smoke.optim, smoke.augment)
    assert smoke.data == dataclasses.replace(full.data, batch=smoke.data.batch)
    assert smoke.model == dataclasses.replace(full.model, size=64, width=0.25)


@pytest.mark.parametrize(
    ("last", "chain"),
    [
        ("e023", ["e010", "e020", "e023"]),
        ("e022-grasp2-smoke", ["e010-smoke", "e020-smoke", "e022-grasp2-smoke"]),
        ("e012", ["e012"]),
    ],
)
def test_chain_starts_where_the_published_one_did(last, chain):
    assert [config.name for config in chain_of(last)] == chain


def test_a_setting_on_top_reaches_the_whole_chain():
    assert {config.loop.seed for config in chain_of("e023", ["loop.seed=7"])} == {7}


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("optim.lrr=1", "The nearest name is optim.lr."),
        ("optimm.lr=1", "The nearest name is optim."),
        ("loss.loss_2d=iuo", "Did you mean iou?"),
        ("optim.lr=fast", "expected a number, got 'fast'"),
        ("loop.epochs=2.5", "expected a whole number"),
        ("loop.tf32=1", "expected true or false"),
        ("loop.compile=reduce", "Did you mean reduce-overhead?"),
        ("data.datasets=rhd", "expected a list"),
        ("optim.betas=[0.9]", "expected a list of 2"),
        ("model.size=100", "a multiple of 32"),
        ("model.rotation=6d", "[model.rotation]: expected 'svd': of use to lifting alone, got '6d'"),
        ("model.lift_width=64", "[model.lift_width]: expected 0: of use to compact and simcc alone, got 64"),
        ("data.batch=0", "more than 0"),
        ("optim.ema_decay=1.0", "0 <= value < 1"),
        ("augment.every.rotation=3", "The nearest name is augment.every.rotation_deg."),
        ("model.kind=latent", "'coordinates' for the latent model"),
        ("lr", "key=value"),
        ("optim.lr=nan", "expected a finite number, got nan"),
        ("data.weights.rhd=inf", "expected a finite number, got inf"),
        ("data.loader_threads=-1", "[data.loader_threads]: expected 0 or more, got -1"),
        ("loop.val_batches=-1", "0 or more"),
        ("augment.every.rotation_deg=nan", "expected a finite number"),
        ("augment.every.rotation_deg=-1", "expected a number within 0..360, got -1"),
        ("augment.every.scale=[-1, -1]", "expected a range within -0.99..99, got [-1, -1]"),
        ("augment.every.scale=[0.2, -0.2]", "expected a range"),
        ("augment.override.rhd.box_factor=[0, 1]", "[augment.rhd.box_factor]: expected a range within 0.01..100"),
        ("augment.every.blur_px=[0, 2]", "a range within 0..1.41"),
        ("augment.every.margin_px=[-500, 0]", "a range within 0..10000"),
    ],
)
def test_wrong_setting_is_refused_in_one_line_that_helps(setting, said):
    with pytest.raises(ConfigError) as refusal:
        load_config("e010", [setting])

    assert said in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_settings_keep_their_kinds():
    config = load_config("e010", ["optim.lr=1", "data.weights.rhd=2", 'data.mix="B"', "optim.betas=[0.5, 0.9]"])

    assert isinstance(config.optim.lr, float)
    assert config.data.weights == {"rhd": 2.0}
    assert config.data.mix == "B"
    assert config.optim.betas == (0.5, 0.9)


def test_unknown_recipe_names_the_nearest():
    with pytest.raises(ConfigError, match=r"Nearest: demo"):
        load_config("dem")


def test_a_file_may_extend_a_recipe(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('extends = "e020"\n[optim]\nlr = 0.1\n')
    config = load_config(str(path))

    assert (config.name, config.optim.lr, config.loop.epochs) == ("mine", 0.1, 400)


def test_recipes_that_extend_each_other_are_refused(tmp_path):
    path = tmp_path / "round.toml"
    path.write_text(f'extends = "{path}"\n')

    with pytest.raises(ConfigError, match="does not lead back"):
        load_config(str(path))


def test_a_file_that_is_no_toml_is_refused_with_its_line(tmp_path):
    path = tmp_path / "broken.toml"
    path.write_text("[optim\n")

    with pytest.raises(ConfigError, match=r"broken\.toml:1: expected TOML"):
        load_config(str(path))


def test_augmentation_of_a_recipe_is_per_dataset():
    config = load_config("e020", ["augment.every.shift=0.1", "augment.override.ganerated.rotation_deg=5.0"])
    synthhands, ganerated = config.augment.of(["synthhands", "ganerated"])

    assert (synthhands.rotation_deg, ganerated.rotation_deg) == (180.0, 5.0)
    assert synthhands.shift == ganerated.shift == 0.1
    assert load_config("e010").augment.of(["synthhands"])[0].rotation_deg == 0.0


def test_an_override_is_for_a_dataset_that_exists_or_is_trained_on():
    typo, other = (load_config("e020", [f"augment.override.{name}.shift=0.1"]).augment for name in ("rdh", "mine"))

    with pytest.raises(ConfigError, match=r"augment\.override\.rdh: expected a dataset, .*The nearest name is rhd\."):
        typo.of(["synthhands"])
    assert other.of(["synthhands", "mine"])[1].shift == 0.1
