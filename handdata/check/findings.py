"""What a check says: each check ran, or why it could not, and each fault it found, with the samples it was found in."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

MAX_EXAMPLES = 5  # printed
MAX_KEPT = 1000  # for who looks at them, as `handdata browse` does


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault.

    Attributes:
        check: name of the check that found it.
        where: file, sequence, camera or dataset it was found in.
        what: the fault by its name, and the evidence.
        count: samples (or files) affected; 0 where it is the dataset as a whole.
        total: of how many.
        examples: sample ids or files, up to MAX_KEPT; equal samples side by side.
    """

    check: str
    where: str
    what: str
    count: int = 0
    total: int = 0
    examples: tuple[str, ...] = ()


@dataclass(slots=True)
class Report:
    """All that one `verify` did.

    Attributes:
        path: what was looked at.
        dataset: its name; "" if that could not be read.
        mode: "quick" or "full".
        num_samples: as the index says.
        num_looked_at: whose labels were looked at.
        checks: name -> "ok", "found" or "not checked: why", in the order they ran.
        findings: the faults.
    """

    path: str
    mode: str
    dataset: str = ""
    num_samples: int = 0
    num_looked_at: int = 0
    checks: dict[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def __repr__(self) -> str:
        found = "".join(f"\n  {one.check}, {one.where}: {one.what} ({one.count})" for one in self.findings)
        return f"<Report of {self.dataset or self.path}, {self.mode}: {len(self.findings)} findings>{found}"

    def to_pandas(self) -> "pd.DataFrame":
        """Return the findings as a table, one row each: check, where, what, count, total, examples (sample ids)."""
        import pandas as pd  # noqa: PLC0415  # half a second

        return pd.DataFrame([asdict(one) for one in self.findings], columns=[one.name for one in fields(Finding)])

    def record(self, check: str, findings: Iterable[Finding]) -> None:
        """Note that a check ran, and what it found."""
        found = list(findings)
        self.findings += found
        if self.checks.get(check) != "found":
            self.checks[check] = "found" if found else "ok"

    def leave_out(self, check: str, why: str) -> None:
        """Note that a check could not run."""
        self.checks[check] = f"not checked: {why}"

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain data, with the first few examples of each finding."""
        cut = [asdict(finding) | {"examples": finding.examples[:MAX_EXAMPLES]} for finding in self.findings]
        return asdict(self) | {"findings": cut, "ok": not self.findings}


def joined(reports: Sequence[Report]) -> Report:
    """Return several reports as one; `where` of a finding then begins with its dataset."""
    if len(reports) == 1:
        return reports[0]
    both = Report(
        path=", ".join(one.path for one in reports),
        mode=reports[0].mode,
        dataset=" + ".join(dict.fromkeys(one.dataset for one in reports)),
        num_samples=sum(one.num_samples for one in reports),
        num_looked_at=sum(one.num_looked_at for one in reports),
    )
    for one in reports:
        name = one.dataset or one.path
        both.findings += [replace(finding, where=f"{name}: {finding.where}") for finding in one.findings]
        for check, state in one.checks.items():
            both.checks[check] = max(state, both.checks.get(check, "ok"), key=_weight)
    return both


def _weight(state: str) -> int:
    """Order the states of a check: the one that matters most is the largest."""
    return {"found": 2, "ok": 0}.get(state, 1)


def examples(items: Sequence[Any] | NDArray[Any]) -> tuple[str, ...]:
    """Keep the first ones, as text."""
    return tuple(item.decode(errors="replace") if isinstance(item, bytes) else str(item) for item in items[:MAX_KEPT])
