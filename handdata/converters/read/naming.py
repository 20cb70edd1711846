"""Sample ids from file names that a user chose: any script, any length."""

import hashlib
from urllib.parse import quote

from handdata.shards.schema import SAMPLE_ID_BYTES

_DIGEST = 16  # hex digits that stand for the middle of a name that is too long


def ascii_id(text: str) -> str:
    """Return an id for a path: other characters than printable ASCII percent-encoded, at most 96 characters.

    Two paths have two ids: a longer one keeps its end and gets a hash of the whole in front.
    """
    encoded = quote(text, safe="/!#$&'()+,;=@[]{}~")
    if len(encoded) <= SAMPLE_ID_BYTES:
        return encoded
    digest = hashlib.sha256(text.encode()).hexdigest()[:_DIGEST]
    return f"{digest}~{encoded[-(SAMPLE_ID_BYTES - _DIGEST - 1) :]}"
