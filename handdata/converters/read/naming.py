"""Sample ids from file names that a user chose, any script, any length; and names of files that labels give."""

import re
from pathlib import PurePosixPath
from urllib.parse import quote

from handdata.exchange.pictures import shortened
from handdata.shards.schema import SAMPLE_ID_BYTES

_KEPT = "/!#$&'()+,;=@[]{}~"  # beside letters, digits, "_", ".", "-"
_ID = re.compile(rf"(?:[\w.\-{re.escape(_KEPT)}]|%[0-9A-F]{{2}})+", re.ASCII)


def as_id(key: str) -> str:
    """Return the id of a sample that a file gives one: the same if it is what `ascii_id` makes, as an export has it."""
    return key if len(key) <= SAMPLE_ID_BYTES and _ID.fullmatch(key) else ascii_id(key)


def ascii_id(text: str) -> str:
    """Return an id for a path: other characters than printable ASCII percent-encoded, at most 96 characters.

    Two paths have two ids: a longer one keeps its end and gets a hash of the whole in front.
    """
    return shortened(quote(text, safe=_KEPT), SAMPLE_ID_BYTES, text)


def below(name: object) -> str:
    """Return the path of a picture that a label file names, if it stays below the pictures' folder.

    Raises:
        ValueError: it does not.
    """
    path = PurePosixPath(str(name))
    if not path.name or path.is_absolute() or ".." in path.parts or "\\" in str(name):
        raise ValueError(f"{str(name)[:80]!r} is no name of a picture")
    return path.as_posix()
