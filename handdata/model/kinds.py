"""The names of the networks and of their first weights, for settings that are read without torch."""

from typing import Literal, get_args

Kind = Literal["direct", "latent", "tree"]
Init = Literal["default", "he"]
KINDS: tuple[Kind, ...] = get_args(Kind)
