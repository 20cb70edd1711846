"""What `hd.convert` and `handdata convert` do: convert, and lay a card beside the shards."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from handdata.conversion import run
from handdata.exchange.card import write_shard_card

P = ParamSpec("P")


def _with_card(convert: Callable[P, run.Conversion]) -> Callable[P, run.Conversion]:
    @wraps(convert)
    def carded(*args: P.args, **asked: P.kwargs) -> run.Conversion:
        done = convert(*args, **asked)
        if done.complete:
            write_shard_card(done.out)
        return done

    return carded


convert = _with_card(run.convert)
