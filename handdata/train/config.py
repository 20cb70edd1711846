"""The settings of a training: one tree of frozen dataclasses, and the only place with defaults.

A recipe is a TOML file whose tables are the fields below; `extends` names the recipe it starts from. Unknown keys and
values of the wrong kind are refused. The resolved tree is stored in the run and in every checkpoint.

Source of the published values: docs/method.md 9.2, with the defects of its section 12 resolved.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from handdata.errors import ConfigError
from handdata.files.tables import merge, read_tree
from handdata.files.text import Wanted, decode, parse_toml, read_text
from handdata.model.config import LossConfig, ModelConfig, Precision
from handdata.model.families import OF_FAMILIES, check_model
from handdata.train.augment.settings import AUGMENTATIONS, LIMITS, PUBLISHED, AugmentConfig

RECIPES = resources.files("handdata.train") / "recipes"
RECIPE = Wanted(what="a recipe", largest=1_000_000, error=ConfigError)
Compile = Literal["off", "auto", "default", "reduce-overhead", "max-autotune"]


@dataclass(frozen=True, kw_only=True)
class StartConfig:
    """What the weights are before the first step."""

    weights: str = ""  # encoder: "" random, a torchvision name, or a .pth / .safetensors file
    recipe: str = ""  # the run that `--chain` trains first and starts from
    encoder: Literal["trained", "frozen", "frozen-compat"] = "trained"  # compat: layer4 and statistics move, L1 and L2


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    """The optimiser and its learning rate."""

    kind: Literal["sgd", "adamw"] = "sgd"
    lr: float = 0.005
    momentum: float = 0.9  # of sgd
    betas: tuple[float, float] = (0.9, 0.999)  # of adamw
    weight_decay: float = 0.0
    schedule: Literal["constant", "cosine", "plateau"] = "constant"
    warmup_steps: int = 0  # linear from 0; any schedule
    final_lr: float = 0.0  # of cosine, reached at the last step, relative to lr
    plateau_factor: float = 0.1
    plateau_patience: int = 10  # epochs
    plateau_threshold: float = 1e-4  # relative
    clip_norm: float = 0.0  # of all gradients together; 0: do not clip
    ema_decay: float = 0.0  # of the averaged weights that are validated and saved beside the others; 0: none


@dataclass(frozen=True, kw_only=True)
class AugmentSetting:
    """What the training pictures go through; see settings.AugmentConfig for the fields of a dataset."""

    kind: Literal["none", "published", "strong"] = "none"  # "none": a fresh background where there is a mask, no more
    every: dict[str, Any] = field(default_factory=dict)  # fields for every dataset, on top of `kind`
    override: dict[str, dict[str, Any]] = field(default_factory=dict)  # fields by dataset, on top of that

    def of(self, datasets: Sequence[str]) -> list[AugmentConfig]:
        """Return the augmentation of each dataset.

        Raises:
            ConfigError: an override is for no dataset that is known or given.
        """
        known = sorted({*PUBLISHED, *datasets})
        for name in self.override:
            if name not in known:
                near = get_close_matches(name, known, n=1, cutoff=0.0)[0]
                raise ConfigError(
                    f"augment.override.{name}", expected="a dataset", got=repr(name), fix=f"The nearest name is {near}."
                )
        given = {name: {**self.every, **self.override.get(name, {})} for name in datasets}
        if self.kind != "none":
            return AUGMENTATIONS[self.kind](datasets, given)
        return [AugmentConfig(**given[name]) for name in datasets]


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """What is trained on; `mix` and `shards` of the command line override it."""

    datasets: tuple[str, ...] = ()  # () takes whatever shards are there
    mix: str = ""  # "A", "B", "C" of docs/method.md 9.1, one of train/mixes, or "" for every sample equally likely
    weights: dict[str, float] = field(default_factory=dict)  # by dataset, instead of `mix`
    val_sequences: tuple[str, ...] = ()  # validate on these, train on all others, whatever split they are in
    backgrounds: str = ""  # a converted pool of pictures; "" paints some, "none" leaves what is there
    batch: int = 64  # samples per step, all processes together
    loader_threads: int = 2
    cache: Literal["none", "device"] = "none"  # "device" keeps the training set there
    turn: bool = False  # 3D in the axes of the view through the crop's middle, where the camera is known


@dataclass(frozen=True, kw_only=True)
class AdaptConfig:
    """Datasets whose keypoints are not learnt from; what tells them from the others is unlearnt (reversal.py)."""

    target: tuple[str, ...] = ()  # their names; half of the samples are drawn from them; () trains without
    strength: float = 0.3  # lambda at its largest: the head's gradient goes on into the network times minus this
    rate: float = 3.0  # learning rate of the head, relative to that of the network


@dataclass(frozen=True, kw_only=True)
class LoopConfig:
    """How long, how often, how precisely."""

    epochs: int = 1000
    batches: int = 250  # steps per epoch
    val_batches: int = 50  # of `data.batch` samples, the first in fixed order; 0: every sample
    precision: Precision = "fp32"
    channels_last: bool = False
    compile: Compile = "off"  # network and losses together; "auto": on a GPU, if long (objective.py)
    split: bool = False  # convolve the parts of a joined map one by one (networks.Ways, as the next two)
    indices: bool = False  # double maps by reading at computed places; compiled steps only
    pad: bool = False  # convolve 21 heatmaps as 24
    tf32: bool = False
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Config:
    """Everything that decides what a training does, except which files it reads."""

    name: str = ""  # of the recipe
    about: str = ""  # one line, for people
    model: ModelConfig = field(default_factory=ModelConfig)
    start: StartConfig = field(default_factory=StartConfig)
    data: DataConfig = field(default_factory=DataConfig)
    augment: AugmentSetting = field(default_factory=AugmentSetting)
    loss: LossConfig = field(default_factory=LossConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    adapt: AdaptConfig = field(default_factory=AdaptConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)

    def to_dict(self) -> dict[str, Any]:
        """Return the tree as plain values, for JSON."""
        return asdict(self)


def recipe_names() -> list[str]:
    """Return the names of the recipes that come with handdata, in name order."""
    return sorted(path.name.removesuffix(".toml") for path in RECIPES.iterdir() if path.name.endswith(".toml"))


def load_config(recipe: str, settings: Sequence[str] = ()) -> Config:
    """Read a recipe by name, or by file if it ends in .toml, with `key=value` settings on top.

    Raises:
        ConfigError: no such recipe, an unknown key, a value of the wrong kind.
    """
    table = _read_recipe(recipe, seen=())
    table = merge(table, {"name": table.get("name", Path(recipe).stem)})
    return config_of(table, settings, where=f"recipe {recipe}")


def config_of(table: Mapping[str, Any], settings: Sequence[str] = (), *, where: str) -> Config:
    """Return a config from its table, such as a run's config.json, with `key=value` settings on top.

    Raises:
        ConfigError: an unknown key, a value of the wrong kind; `where` is blamed.
    """
    config = read_tree(Config, table, where=where)
    if settings:
        config = read_tree(Config, merge(config.to_dict(), _settings_table(settings)), where="--set")
    return check(config)


def check(config: Config) -> Config:
    """Return the config, or refuse combinations that no training can mean.

    Raises:
        ConfigError: which setting, and what it may be.
    """
    _check_counts(config)
    check_model(config.model, where=f"recipe {config.name}")
    _check_used(config)
    optim = config.optim
    for key, share in (("ema_decay", optim.ema_decay), ("momentum", optim.momentum), ("betas", max(optim.betas)),
                       ("betas", min(optim.betas))):  # fmt: skip
        if not 0 <= share < 1:
            raise ConfigError(f"recipe {config.name}[optim.{key}]", expected="0 <= value < 1", got=str(share))
    for name, fields_given in (("every", config.augment.every), *config.augment.override.items()):
        read_tree(AugmentConfig, fields_given, where=f"recipe {config.name}", path=f"augment.{name}.")
        _check_ranges(fields_given, where=f"recipe {config.name}", path=f"augment.{name}.")
    if config.model.kind == "latent" and config.loss.loss_2d != "coordinates":
        raise ConfigError(
            f"recipe {config.name}[loss.loss_2d]",
            expected="'coordinates' for the latent model, whose maps are probabilities",
            got=repr(config.loss.loss_2d),
        )
    return config


def _check_used(config: Config) -> None:
    """Refuse a setting of other families, which would change nothing."""
    for name, kinds in OF_FAMILIES.items():
        value, unset = getattr(config.model, name), getattr(ModelConfig(), name)
        if value != unset and config.model.kind not in kinds:
            expected = f"{unset!r}: of use to {' and '.join(kinds)} alone"
            raise ConfigError(f"recipe {config.name}[model.{name}]", expected=expected, got=repr(value))


def _check_counts(config: Config) -> None:
    positive = {
        "data.batch": config.data.batch,
        "loop.epochs": config.loop.epochs,
        "loop.batches": config.loop.batches,
        "optim.lr": config.optim.lr,
    }
    optim = config.optim
    others = {
        "data.loader_threads": config.data.loader_threads,
        "loop.val_batches": config.loop.val_batches,
        "optim.weight_decay": optim.weight_decay,
        "optim.warmup_steps": optim.warmup_steps,
        "optim.final_lr": optim.final_lr,
        "optim.plateau_factor": optim.plateau_factor,
        "optim.plateau_patience": optim.plateau_patience,
        "optim.clip_norm": optim.clip_norm,
        "adapt.strength": config.adapt.strength,
        "adapt.rate": config.adapt.rate,
    }
    for key, value in {**positive, **others}.items():
        if value < 0 or (key in positive and value == 0):
            expected = "more than 0" if key in positive else "0 or more"
            raise ConfigError(f"recipe {config.name}[{key}]", expected=expected, got=str(value))


def _check_ranges(fields_given: Mapping[str, Any], *, where: str, path: str) -> None:
    for name, value in fields_given.items():
        if name not in LIMITS:
            continue
        low, high = LIMITS[name]
        ends = list(value) if isinstance(value, list | tuple) else [value]
        if ends != sorted(ends) or not low <= ends[0] <= ends[-1] <= high:
            kind = "a range" if len(ends) > 1 else "a number"
            raise ConfigError(f"{where}[{path}{name}]", expected=f"{kind} within {low}..{high}", got=str(value))


def _read_recipe(recipe: str, seen: tuple[str, ...]) -> dict[str, Any]:
    if recipe in seen:
        raise ConfigError(f"recipe {recipe}[extends]", expected="a recipe that does not lead back here", got=seen[-1])
    table = parse_toml(_recipe_text(recipe), f"recipe {recipe}", RECIPE)
    parent = table.pop("extends", "")
    if not isinstance(parent, str):
        raise ConfigError(f"recipe {recipe}[extends]", expected="the name of a recipe", got=repr(parent))
    if not parent:
        return table
    base = _read_recipe(parent, (*seen, recipe))
    base.pop("name", None)
    return merge(base, table)


def _recipe_text(recipe: str) -> str:
    if recipe.endswith(".toml"):
        path = Path(recipe)
        if not path.is_file():
            raise ConfigError(recipe, expected="a recipe file", got="nothing there", fix=_known())
        return read_text(path, RECIPE)
    if recipe not in recipe_names():
        near = get_close_matches(recipe, recipe_names(), n=1, cutoff=0.0)[0]
        raise ConfigError(
            "--recipe", expected="a recipe's name or a .toml file", got=repr(recipe), fix=f"Nearest: {near}. {_known()}"
        )
    return decode((RECIPES / f"{recipe}.toml").read_bytes(), recipe, RECIPE)


def _known() -> str:
    return f"Recipes: {', '.join(recipe_names())}."


def _settings_table(settings: Sequence[str]) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key:
            raise ConfigError("--set", expected="key=value, such as optim.lr=0.01", got=repr(setting))
        value = _value(key, text)
        for part in reversed(key.strip().split(".")):
            value = {part: value}
        table = merge(table, value)
    return table


def _value(key: str, text: str) -> Any:
    try:
        return parse_toml(f"value = {text}", f"--set {key}", RECIPE)["value"]
    except ConfigError as error:
        if error.expected != "TOML":
            raise
        return text  # a bare word is a text: --set loss.loss_2d=l2
