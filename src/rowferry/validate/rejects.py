"""Codes and words of faults that only the whole file or the database shows."""

from collections.abc import Sequence

from rowferry.declare import key
from rowferry.declare.definition import Reference, TableDefinition
from rowferry.validate.reading import Fault

Fields = Sequence[bytes]
"""Some columns of a row, in normal form."""


def no_parent(table: TableDefinition, reference: Reference, fields: Fields) -> Fault:
    """Of a row whose parent is not there; `fields`: what it refers to."""
    columns = [table.column(name) for name in reference.columns]
    return "no_parent", f"{key.words(columns, fields)} is not in {reference.parent}"


def key_words(table: TableDefinition, fields: Fields) -> str:
    """A row's key for people."""
    return key.words([table.column(name) for name in table.key], fields)


def duplicate_in_file(table: TableDefinition, fields: Fields, winner: int) -> Fault:
    """Of a row whose key stands in the file again, on the line that wins."""
    return duplicate_words(key_words(table, fields), winner)


def duplicate_words(words: str, winner: int) -> Fault:
    """`duplicate_in_file` of a key that is in words already."""
    return "duplicate_in_file", f"{words} stands in the file again on line {winner}, which was taken instead"


def key_exists(table: TableDefinition, fields: Fields) -> Fault:
    """Of a row whose key is in the table with other values, where such rows are not taken."""
    return "key_exists", f"{key_words(table, fields)} is already in {table.name} with other values"


def not_unique(index: str, other: str) -> Fault:
    """Of a row whose values in a unique index `other` has."""
    return "not_unique", f"by the unique index {index} it is the same as {other}"


def breaks(code: str, constraint: str) -> Fault:
    """Of a row that MySQL does not take, for a constraint of which no more than its name is known."""
    return code, f"the table's constraint {constraint or '(its name is not shown to this user)'} does not allow it"
