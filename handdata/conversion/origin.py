"""Whose hands a dataset of one's own shows: what was asked for, or what its hands say."""

from collections.abc import Sequence
from dataclasses import replace

from handdata.errors import ConfigError
from handdata.shards.hand import Hand
from handdata.shards.provenance import Provenance
from handdata.shards.provenance import known as named


class Origin:
    """Whose hands a dataset shows, and what they are from: what was asked for, or what its hands say."""

    def __init__(self, dataset: str, known: str | None, licence: str, *, is_asked: bool) -> None:
        self._dataset, self._known, self._licence, self._is_asked = dataset, known, licence, is_asked
        self._found: dict[tuple[Provenance, ...], None] = {}

    @property
    def name(self) -> str:
        """One of ORIGINS."""
        return self._known or "own"

    def parts(self, before: Sequence[Provenance], *, has_more: bool) -> list[Provenance]:
        """Return what all hands are from, with those written before; nothing where the dataset's name says it.

        Args:
            before: what the folder recorded.
            has_more: whether hands of it stay.
        """
        unsaid = named(self._dataset, self.name)
        given = replace(unsaid, licence=self._licence) if self._licence else unsaid
        found = [part for parts in self._found for part in (parts or (given,))]
        if self._is_asked:
            found = [replace(part, origin=self.name) for part in found]
        distinct = list(dict.fromkeys([*(before or ([unsaid] if has_more else [])), *found]))
        return [] if distinct == [unsaid] else distinct

    def add(self, hand: Hand, where: str) -> None:
        """Take a hand, which need not say whose it is.

        Raises:
            ConfigError: hands before it are of another, and nothing was asked for.
        """
        self._found[hand.provenance] = None
        own = hand.origin or "own"
        if not self._is_asked and self._known not in (None, own):
            fix = "Pass origin= to say what the whole is, or write them apart."
            raise ConfigError(
                where, expected=f"{self._known} hands, as those before", got=f"one that is {own}", fix=fix
            )
        self._known = self._known or own
