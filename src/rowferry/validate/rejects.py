"""Codes and words of faults that only the whole file or the database shows."""

from collections.abc import Mapping, Sequence

from rowferry.declare.table import Table
from rowferry.validate.reading import Fault


def no_parent(table: Table, lost: Mapping[str, int]) -> Sequence[Fault]:
    """Of a row whose parents are not there; `lost`: by the reference's column, the value."""
    parents = {column.name: column.parent for column in table.references}
    return [("no_parent", f"{name} {value} is not in {parents[name]}") for name, value in lost.items()]


def duplicate_in_file(table: Table, key: int, winner: int) -> Fault:
    """Of a row whose key stands in the file again, on the line that wins."""
    words = f"{table.key} {key} stands in the file again on line {winner}, which was taken instead"
    return "duplicate_in_file", words


def key_exists(table: Table, key: int) -> Fault:
    """Of a row whose key is in the table with other values, where such rows are not taken."""
    return "key_exists", f"{table.key} {key} is already in {table.name} with other values"


def not_unique(index: str, other: str) -> Fault:
    """Of a row whose values in a unique index `other` has."""
    return "not_unique", f"by the unique index {index} it is the same as {other}"


def breaks(code: str, constraint: str) -> Fault:
    """Of a row that MySQL does not take, for a constraint of which no more than its name is known."""
    return code, f"the table's constraint {constraint or '(its name is not shown to this user)'} does not allow it"
