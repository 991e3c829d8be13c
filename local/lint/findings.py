"""What linters find, and what of it is excepted."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Finding:
    """`place`: the resource and property, or the state; for checkov the resource alone."""

    rule: str
    place: str
    words: str

    def __str__(self) -> str:
        return f"{self.rule} {self.place}: {self.words}"


@dataclass(frozen=True)
class Exemption:
    """Findings of one rule that are not faults; `words` stand in the finding's text and narrow the exemption."""

    rule: str
    reason: str
    words: str = ""

    def covers(self, finding: Finding) -> bool:
        return finding.rule == self.rule and self.words in str(finding)


def complaints(found: Iterable[Finding], exemptions: Sequence[Exemption]) -> list[str]:
    """What is not exempted, and which exemptions cover nothing."""
    found = sorted(set(found))
    wrong = [str(finding) for finding in found if not any(one.covers(finding) for one in exemptions)]
    idle = [one for one in exemptions if not any(one.covers(finding) for finding in found)]
    return [*wrong, *(f"the exemption {one.rule} ({one.words or 'any'}) covers no finding; remove it" for one in idle)]
