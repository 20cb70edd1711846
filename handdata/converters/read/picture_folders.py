"""Where the pictures are that a file of labels names: in a folder near it, or spread over folders below `images`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from handdata.exchange.packed import is_there
from handdata.files.opening import matching
from handdata.files.spelling import as_spelled, composed
from handdata.pictures.kinds import SUFFIXES

IMAGES = "images"


@dataclass(frozen=True, kw_only=True)
class PictureFolder:
    """Where pictures are.

    Attributes:
        folder: from which they are named.
        moved: name in the file -> path from `folder`, for pictures found by their name below it.
        respelled: the same for pictures whose name the disk has in another normal form of Unicode.
    """

    folder: Path
    moved: Mapping[str, str] = field(default_factory=dict)
    respelled: Mapping[str, str] = field(default_factory=dict)

    def path_of(self, image: str) -> str:
        """Return the path from `folder` of a picture that the file names."""
        return self.moved.get(image) or self.respelled.get(image, image)


def find_pictures(root: Path, file: Path, images: Sequence[str], known: Path | None = None) -> PictureFolder:
    """Find the pictures of a file of labels.

    Looked at are `root`, `known`, the file's folder and the one above, and `images` in each of them; then the folders
    below such `images`, where a picture has to be the only one of its name.

    Args:
        root: folder that the user named.
        file: file of labels.
        images: names of its pictures.
        known: folder that the format says.
    """
    near = (file.parent, file.parent.parent)
    folders = [
        root,
        *([known] if known is not None else []),
        *near,
        *(folder / name for folder in near for name in (IMAGES, file.stem, f"{IMAGES}/{file.stem}")),
        root / IMAGES,
    ]
    for folder in folders if images else ():
        if any(is_there(folder, as_spelled(folder, image)) for image in (images[0], images[-1])):
            return PictureFolder(folder=folder, respelled=_respelled(folder, images))
    for folder in dict.fromkeys(base / IMAGES for base in (root, *near)) if images else ():
        moved = _by_name(folder, images)
        if moved:
            return PictureFolder(folder=folder, moved=moved)
    return PictureFolder(folder=root if root.is_dir() else file.parent)


def other_case(folder: Path, image: str) -> str:
    """Return the name of a file there that differs from a picture's in capitals alone, "" if there is none."""
    path = folder / image
    beside = path.parent.iterdir() if path.parent.is_dir() else ()
    return next((one.name for one in sorted(beside) if one.name.lower() == path.name.lower()), "")


def _respelled(folder: Path, images: Sequence[str]) -> dict[str, str]:
    """Return the path of each picture whose name the disk has in another normal form."""
    spelled = {image: as_spelled(folder, image) for image in dict.fromkeys(images)}
    return {image: path for image, path in spelled.items() if path != image}


def _by_name(folder: Path, images: Sequence[str]) -> dict[str, str]:
    """Return the path of each picture that one file alone below a folder has the name of."""
    found: dict[str, list[str]] = {}
    for path in sorted(matching(folder, "**/*")):
        if path.suffix.lower() in SUFFIXES:
            found.setdefault(composed(path.name), []).append(path.relative_to(folder).as_posix())
    moved = {}
    for image in dict.fromkeys(images):
        alike = found.get(composed(Path(image).name), [])
        ending = [name for name in alike if f"/{name}".endswith(f"/{image}")]
        ending = ending or [name for name in alike if composed(f"/{name}").endswith(composed(f"/{image}"))]
        if len(ending) == 1:
            moved[image] = ending[0]
    return moved
