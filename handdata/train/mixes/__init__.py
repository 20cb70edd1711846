"""Mixtures that others published, a TOML file each: weights of the sets that can be converted here. Quick to import."""

from pathlib import Path

FOLDER = Path(__file__).resolve().parent


def mix_names() -> list[str]:
    """Return the names of the files, as `--mix` takes them; none is opened."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))
