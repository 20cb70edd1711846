"""What a protocol is: one number that papers print, and everything that decides it; and what it comes to."""

from dataclasses import dataclass, replace

from handdata.evaluation import alignment
from handdata.skeleton import ROOT

# quantity -> unit of its mean; `measure.py` has a function for each
UNITS = {
    "2d": "crop", "2d_px": "px", "2d_box": "box", "3d": "normalised", "3d_mm": "mm", "oks": "1", "oks_ap": "1",
    "box": "1", "box_of_keypoints": "1", "side": "1", "f_mm": "1", "pair_mm": "mm", "acceleration_px": "px per frame²",
    "acceleration_mm": "mm per frame²", "jitter_px": "px per frame²", "jitter_mm": "mm per frame²",
    "jitter_of_labels_px": "px per frame²", "jitter_of_labels_mm": "mm per frame²", "depth_mm": "mm", "depth_part": "1",
}  # fmt: skip
STATISTICS = ("mean", "median", "rms", "window", "grid", "sum", "share", "score", "precision", "recall")
AVERAGES = ("pooled", "per_keypoint", "per_side", "per_slot")
MASKS = ("annotated", "visible", "thesis")
HANDS = ("all", "dominant_count", "dominant_area", "single", "interacting")


@dataclass(frozen=True, kw_only=True, slots=True)
class Protocol:
    """One number that papers print, and everything that decides it.

    Attributes:
        name: as results.json and `--protocol` spell it; the part before a colon is the family.
        title: one line.
        quantity: what is measured of every label: a key of UNITS.
        statistic: "mean", "median" or "rms" of it; "share" within one threshold; of the curve of such shares "window",
            the exact area over two ends, "grid", the trapezoid rule on thresholds, or "sum", its mean over thresholds;
            "score", the mean of what lacks nothing at 1; "precision" and "recall" of predictions that compete for the
            hands of a picture, over thresholds of similarity.
        source: where the definition is from.
        alignment: a key of alignment.ALIGNMENTS.
        tips: the alignment where a set labels fingertips alone; "" for the same.
        root: the keypoint laid on its truth where the alignment has a root.
        thresholds: the grid, the ends of the window, or the one threshold of a share or of an F-score.
        strict: a share counts what is below its threshold, not what equals it.
        average: "pooled" over labels; "per_keypoint", the mean of keypoint means; "per_side", the same where a keypoint
            of a left hand is another one than that of a right hand; or "per_slot", the mean of the means of each
            sample's first, second, .. label.
        tips_average: the average where a set labels fingertips alone; "" for the same.
        mask: "annotated" labels; "visible" without those known to be occluded; "thesis", its own 2D rule.
        hands: "all"; one hand per picture: "dominant_count" of visible keypoints, "dominant_area" of the mask; those
            of pictures with a "single" hand, or with a left and a right one: "interacting".
        palm: the wrist's slot holds the palm centre, as hand3d has it.
        note: what a reader has to know.

    Raises:
        ValueError: an attribute that names nothing known.
    """

    name: str
    title: str
    quantity: str
    statistic: str
    source: str
    alignment: str = "none"
    tips: str = ""
    root: int = ROOT
    thresholds: tuple[float, ...] = ()
    strict: bool = False
    average: str = "pooled"
    tips_average: str = ""
    mask: str = "annotated"
    hands: str = "all"
    palm: bool = False
    note: str = ""

    def __post_init__(self) -> None:
        for name in filter(None, (self.alignment, self.tips)):
            alignment.check_name(name)
        for given, known in (
            (self.quantity, UNITS),
            (self.statistic, STATISTICS),
            (self.average, AVERAGES),
            (self.tips_average or self.average, AVERAGES),
            (self.mask, MASKS),
            (self.hands, HANDS),
        ):
            if given not in known:
                raise ValueError(f"protocol {self.name}: {given!r} is not one of {', '.join(known)}")

    @property
    def family(self) -> str:
        """The name that `--protocol` takes: the part before the colon."""
        return self.name.split(":")[0]

    @property
    def measured(self) -> tuple[str | int, ...]:
        """What decides the values: protocols that agree in it differ only in what they make of them."""
        own = self.thresholds if self.quantity == "f_mm" else ()
        return (self.quantity, self.alignment, self.root, self.mask, self.hands, self.palm, *map(str, own))

    @property
    def unit(self) -> str:
        """The unit of the number; areas and shares have none."""
        return UNITS[self.quantity] if self.statistic in ("mean", "median", "rms") else "1"

    @property
    def is_share(self) -> bool:
        """Whether the number lies in 0..1, more being better; else it is a distance, less being better."""
        return self.statistic in ("window", "grid", "sum", "share", "score", "precision", "recall")

    def on_tips(self) -> "Protocol":
        """Return what the protocol is on sets that label fingertips alone."""
        return replace(
            self,
            alignment=self.tips or self.alignment,
            average=self.tips_average or self.average,
            note=f"fingertips alone, laid on their {self.tips.replace('+', ' and mean ')}" if self.tips else self.note,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """One protocol's number for one set of samples, or why there is none."""

    value: float | None = None
    low: float | None = None  # 95 % interval over sequences; None where there is none: the note says why
    high: float | None = None
    labels: int = 0
    unpredicted: int = 0  # labels without a prediction: wrong in a share or area, left out of a mean
    samples: int = 0
    sequences: int = 0
    missing: str = ""
    note: str = ""
    thresholds: tuple[float, ...] = ()
