"""The 3D of a recording from what was clicked before, without a browser."""

import numpy as np

from handdata.annotate.depth.session import DepthSession, clicks_of
from handdata.annotate.headless import MOST_NAMED, say_broken
from handdata.errors import MissingError
from handdata.progress import say


def derive_all(session: DepthSession) -> None:
    """Derive all there is; name the pictures that could not be read, and the clicked ones that tell nothing.

    Raises:
        MissingError: nothing can be derived, as no frame that is accepted shows a hand.
    """
    while session.work():
        pass
    say_broken(session.broken)
    clicked = list(clicks_of(session.marks))
    told = np.asarray(np.isfinite(session.survey.centres[clicked]).all(axis=1))
    unseen = [frame for frame, tells in zip(clicked, told, strict=True) if not tells and frame not in session.broken]
    for frame in unseen[:MOST_NAMED]:
        say(f"{session.pictures.img_names[frame]}: clicked, but no surface lies near its fingertips: not used")
    if len(unseen) > MOST_NAMED:
        say(f"{len(unseen) - MOST_NAMED} more clicked frames without a surface near their fingertips: not used")
    if not told.any():
        raise MissingError(
            session.path.with_suffix(".journal"),
            expected="an accepted frame whose depth shows the hand",
            got=f"none of {len(clicked)} accepted",
            fix="Click other frames: the same command without --headless.",
        )
