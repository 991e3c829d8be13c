"""A run's verdict as its row holds it: a JSON document, and the code in a column of its own.

In the document the reason begins with the code (`too_large: the file has ...`): earlier releases read it there, and may
work on the same run during a deploy or after a rollback. Rows that they wrote have no code in the column.
"""

import json
from dataclasses import asdict

from rowferry.declare.key import encoded_integer, high_end, low_end
from rowferry.ledger.model import Verdict, Would

_ALL_NUMBERS = (-(2**63), 2**63 - 1)
"""While a deploy is under way, code of an earlier release, which knows numbers only, lets nothing pass."""


def to_columns(verdict: Verdict) -> tuple[str, str | None]:
    """The values of the columns `verdict` and `verdict_code`."""
    document = asdict(verdict)
    code = document.pop("code")
    if code:
        document["reason"] = f"{code}: {verdict.reason}"
    return json.dumps(document), code


def of_columns(document: str | None, code: str | None) -> Verdict | None:
    """From the values of the columns `verdict` and `verdict_code`; None where nothing was decided yet."""
    if not document:
        return None
    stored = json.loads(document)
    batches = {int(batch): int(count) for batch, count in stored.pop("batches").items()}
    would = {int(batch): Would(**counts) for batch, counts in stored.pop("would").items()}
    code, reason = _code_and_reason(code, stored.pop("reason"))
    return Verdict(**stored, code=code, reason=reason, batches=batches, would=would)


def _code_and_reason(code: str | None, text: str | None) -> tuple[str | None, str | None]:
    """An earlier release may have written the document alone, also after the column had a value."""
    if not text:
        return None, None
    if code and text.startswith(f"{code}: "):
        return code, text.removeprefix(f"{code}: ")
    found, _, reason = text.partition(": ")
    return found, reason


def key_range(verdict: Verdict) -> tuple[int | bytes | None, ...]:
    """The values of the columns `low_key`, `high_key`, `low_range` and `high_range`."""
    low, high = verdict.low_key, verdict.high_key
    if low is None or high is None:
        return (None,) * 4
    return (*_ALL_NUMBERS, low_end(_encoded(low)), high_end(_encoded(high)))


def _encoded(end: str | int) -> bytes:
    return encoded_integer(end) if isinstance(end, int) else bytes.fromhex(end)
