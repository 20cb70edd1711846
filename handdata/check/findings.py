"""What a check says: each check ran, or why it could not, and each fault it found, with the samples it was found in."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from numpy.typing import NDArray

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


def examples(items: Sequence[Any] | NDArray[Any]) -> tuple[str, ...]:
    """Keep the first ones, as text."""
    return tuple(item.decode(errors="replace") if isinstance(item, bytes) else str(item) for item in items[:MAX_KEPT])
