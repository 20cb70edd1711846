"""One line per dataset: the facts of its manifest (the thesis' Table 2.1), and how much of it is converted."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handdata import manifest
from handdata.errors import HanddataError, MissingError
from handdata.manifest import Manifest
from handdata.paths import DataRoot, find_root, path_of
from handdata.shards.dataset import open_dataset
from handdata.skeleton import KEYPOINTS, NUM_KEYPOINTS, TIPS

if TYPE_CHECKING:
    import pandas as pd

PALM = "palm_center"
UNREAD = "not read: "


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One dataset in the overview.

    Attributes:
        name: as typed on the command line.
        title: full name.
        kind: "real" or "synthetic".
        frames: pictures the archive holds.
        keypoints: number and which.
        view: viewpoint.
        hand: whose.
        cameras: name and size of each.
        comment: a phrase.
        licence: a phrase.
        homepage: where to ask for the data.
        in_thesis: whether it is in Table 2.1.
        native: whether native files lie at the default place.
        converted: split -> samples of the shards at the default place; empty: none.
        state: "", "converted", "unfinished", or what is wrong with them, behind UNREAD where they cannot be read.
    """

    name: str
    title: str
    kind: str
    frames: int
    keypoints: str
    view: str
    hand: str
    cameras: tuple[str, ...]
    comment: str
    licence: str
    homepage: str
    in_thesis: bool = False
    native: bool = False
    converted: dict[str, int] = field(default_factory=dict)
    state: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def overview(data_root: DataRoot) -> list[Entry]:
    """Describe every dataset with a manifest, the thesis' seven first, and the shards the user made besides."""
    known = manifest.in_order()
    entries = [_describe(manifest.load(name), data_root) for name in known]
    others = [folder.name for folder in data_root.all_shards() if folder.name not in known]
    return entries + [_own(name, data_root) for name in others]


def datasets(data_root: Path | str | None = None) -> "pd.DataFrame":
    """Return a table of the datasets that handdata knows, one row per dataset, indexed by name.

    Args:
        data_root: where native files and shards are looked for; None: HANDDATA_ROOT, else the current folder.

    Example:
        >>> import handdata as hd
        >>> hd.datasets().loc["rhd", "title"]
        'Rendered Hand Pose Dataset'
    """
    import pandas as pd  # noqa: PLC0415  # takes half a second, which `handdata datasets` need not

    rows = [entry.as_json() for entry in overview(find_root(None if data_root is None else path_of(data_root)))]
    return pd.DataFrame(rows).set_index("name")


def describe_keypoints(facts: Manifest) -> str:
    """Say how many keypoints a dataset labels, and which."""
    ours = [KEYPOINTS.index(name) for name in facts.keypoints if name in KEYPOINTS]
    tips = len(ours) == len(TIPS) and set(ours) == set(TIPS)
    text = f"{len(TIPS)} fingertips" if tips else str(len(ours))
    if len(ours) < NUM_KEYPOINTS and not tips:
        absent = [name for number, name in enumerate(KEYPOINTS) if number not in ours]
        text = f"{len(ours)} (no {', '.join(absent)})"
    extra = [name for name in facts.keypoints if name not in KEYPOINTS]
    corners = [name for name in extra if name != PALM]
    text += " and the palm centre" if PALM in extra else ""
    text += f" and {len(corners)} points of the object" if corners else ""
    return f"{text} of each hand" if facts.hand == "both" else text


def _describe(facts: Manifest, data_root: DataRoot) -> Entry:
    converted, state = _converted(facts.name, data_root)
    return Entry(
        name=facts.name,
        title=facts.title,
        kind=facts.kind,
        frames=int(facts.counts.get("frames", 0)),
        keypoints=describe_keypoints(facts),
        view=facts.view,
        hand=facts.hand,
        cameras=tuple(f"{name} {camera.size[0]} x {camera.size[1]}" for name, camera in facts.cameras.items()),
        comment=str(facts.extra.get("comment", "")),
        licence=facts.licence,
        homepage=facts.homepage,
        in_thesis=facts.in_thesis,
        native=data_root.native(facts.name).is_dir(),
        converted=converted,
        state=state,
    )


def _own(name: str, data_root: DataRoot) -> Entry:
    converted, state = _converted(name, data_root)
    return Entry(
        name=name,
        title=name,
        kind="",
        frames=0,
        keypoints="",
        view="",
        hand="",
        cameras=(),
        comment="the user's own",
        licence="",
        homepage="",
        converted=converted,
        state=state,
    )


def _converted(name: str, data_root: DataRoot) -> tuple[dict[str, int], str]:
    folder = data_root.shards(name)
    if not folder.is_dir():
        return {}, f"{UNREAD}a file, not a folder" if folder.exists() else ""
    try:
        dataset = open_dataset(folder)
    except MissingError as error:
        return {}, "unfinished" if "unfinished" in error.got else error.got
    except HanddataError as error:
        return {}, f"{UNREAD}{error.got}"
    counts: dict[str, int] = {}
    for entry in dataset.index["shards"]:
        counts[entry["split"]] = counts.get(entry["split"], 0) + int(entry["num_samples"])
    return counts, "converted"
