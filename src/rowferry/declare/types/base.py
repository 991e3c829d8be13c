"""What every type of a column has, and what their rules share."""

from collections.abc import Sequence
from typing import Any, Protocol

from pydantic_core import CoreSchema, PydanticCustomError, core_schema

VERDICT = "verdict"
"""Label of the choice whose error is the verdict: the last part but none of a Pydantic error's `loc`."""

ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n"})
"""For LOAD DATA."""

_SHOWN = 60


class Kind(Protocol):
    """A column's type: its rule, its DDL, its normal form."""

    @property
    def ddl(self) -> str:
        """The type in CREATE TABLE, as MySQL's information_schema.columns.column_type spells it."""

    @property
    def avro(self) -> str:
        """The type in a backup: an Avro primitive or logical type (`avro.TYPES`)."""

    def normalise(self, given: Sequence[str], values: Sequence[Any]) -> Sequence[str]:
        """A column of accepted fields as text that MySQL reads without changing it; of bytes, their hex digits."""

    def as_json(self, given: str, value: Any) -> str | int | float:
        """One accepted field as a JSON value."""

    def stored(self, value: Any) -> str:
        """A value that MySQL holds, in the form that `normalise` gives it."""


def shown(text: str) -> str:
    """A field as a message quotes it: at most 60 characters."""
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")


def with_verdict(fast: CoreSchema, verdict: core_schema.NoInfoValidatorFunction) -> CoreSchema:
    slow = core_schema.no_info_plain_validator_function(verdict)
    return core_schema.union_schema([(fast, "fast"), (slow, VERDICT)], mode="left_to_right")


def only_verdict(verdict: core_schema.NoInfoValidatorFunction) -> CoreSchema:
    """Of a type that has no fast choice."""
    slow = core_schema.no_info_plain_validator_function(verdict)
    return core_schema.union_schema([(slow, VERDICT)], mode="left_to_right", auto_collapse=False)


def present_text(value: object) -> str:
    """Raises: PydanticCustomError for what is no text, and for a blank one."""
    if not isinstance(value, str):
        raise PydanticCustomError("text_expected", "must be text, as a CSV field is")
    if not value or value.isspace():
        raise PydanticCustomError("missing", "is empty")
    return value


def escaped(texts: Sequence[str]) -> Sequence[str]:
    """For LOAD DATA."""
    joined = "".join(texts)
    if "\\" in joined or "\t" in joined or "\n" in joined:
        return [text.translate(ESCAPES) for text in texts]
    return texts
