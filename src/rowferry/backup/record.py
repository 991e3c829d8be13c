"""A table's row as a record: its Avro schema, and its text in one field.

The text is a line as LOAD DATA reads it: fields between tabs, NULL as `\\N`, a TIMESTAMP as seconds since 1970, other
times with six digits behind the point, bytes as hexadecimal digits. In a text a backslash, a tab and a line feed are
escaped. MySQL writes the line with one expression (`line_sql`), of the table and of a staging table alike, so the
checksum of these lines is the same in the table, on the way and in the staging table.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rowferry.declare.types import DECIMAL_DIGITS, DECIMAL_SCALE
from rowferry.errors import BackupDamaged

DECIMALS: Mapping[str, tuple[int, int]] = {
    f"decimal({precision},{scale})": (precision, scale)
    for precision in range(1, DECIMAL_DIGITS + 1)
    for scale in range(min(precision, DECIMAL_SCALE) + 1)
}
"""By name: how many digits, and how many of them behind the point."""

TYPES: Mapping[str, Any] = {
    "int": "int",
    "long": "long",
    "string": "string",
    "double": "double",
    "boolean": "boolean",
    "bytes": "bytes",
    "uuid": {"type": "string", "logicalType": "uuid"},
    "date": {"type": "int", "logicalType": "date"},
    "time-micros": {"type": "long", "logicalType": "time-micros"},
    "timestamp-millis": {"type": "long", "logicalType": "timestamp-millis"},
    "timestamp-micros": {"type": "long", "logicalType": "timestamp-micros"},
    "local-timestamp-micros": {"type": "long", "logicalType": "local-timestamp-micros"},
    **{
        name: {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}
        for name, (precision, scale) in DECIMALS.items()
    },
}
"""By the name that a `Kind` gives it, a type as a schema spells it."""

WIDENED = {("int", "long"), ("timestamp-millis", "timestamp-micros")}
"""The pairs of our types where one can be taken for the other without losing anything.

The second is that of older backups.

Decimals are not among them: Avro takes one for another only where precision and scale are the same.
"""


@dataclass(frozen=True)
class Field:
    """One field. `type` is a key of TYPES; a field that may be null is a union of null and it."""

    name: str
    type: str
    nullable: bool = False

    def as_json(self) -> dict[str, Any]:
        spelt = TYPES[self.type]
        return {"name": self.name, "type": ["null", spelt] if self.nullable else spelt}

    @property
    def words(self) -> str:
        return f"{self.type}{' or null' if self.nullable else ''}"


@dataclass(frozen=True)
class Schema:
    """The record of a table's row."""

    name: str
    fields: tuple[Field, ...]

    def as_json(self) -> dict[str, Any]:
        return {"type": "record", "name": self.name, "fields": [field.as_json() for field in self.fields]}

    @classmethod
    def of_json(cls, found: Any) -> "Schema":
        """Raises: BackupDamaged where Rowferry does not write such a schema."""
        try:
            return cls(str(found["name"]), tuple(map(_field, found["fields"])))
        except (KeyError, TypeError, ValueError) as error:
            raise BackupDamaged("Rowferry does not write such a schema") from error

    @property
    def fingerprint(self) -> str:
        """SHA-256 of Avro's parsing canonical form, which leaves logical types out."""
        fields = [{"name": field.name, "type": _canonical(field)} for field in self.fields]
        form = {"name": self.name, "type": "record", "fields": fields}
        return hashlib.sha256(json.dumps(form, separators=(",", ":")).encode()).hexdigest()


def _canonical(field: Field) -> Any:
    spelt = TYPES[field.type]
    plain = spelt if isinstance(spelt, str) else spelt["type"]
    return ["null", plain] if field.nullable else plain


def _field(found: Any) -> Field:
    name, spelt = str(found["name"]), found["type"]
    nullable = isinstance(spelt, list)
    if nullable:
        null, spelt = spelt
        if null != "null":
            raise ValueError(name)
    (type,) = [type for type, known in TYPES.items() if known == spelt]  # ValueError where no type is spelt like that
    return Field(name, type, nullable)


def differences(file: Schema, table: Schema) -> list[str]:
    """In words, why a file's records can't become a table's rows without losing something; nothing where they can.

    They can where fields are the same, or an int has become a long, or a field may now be null, or a new one may be.
    """
    in_table = {field.name: field for field in table.fields}
    in_file = {field.name for field in file.fields}
    words = []
    for field in file.fields:
        now = in_table.get(field.name)
        if now is None:
            words.append(f"{field.name} is in the backup, and the table has no such column")
        elif field.type != now.type and (field.type, now.type) not in WIDENED:
            words.append(f"{field.name} is {field.words} in the backup, {now.words} in the table")
        elif field.nullable and not now.nullable:
            words.append(f"{field.name} may be null in the backup, not in the table")
    words += [
        f"{field.name} is not in the backup, and may not be null in the table"
        for field in table.fields
        if field.name not in in_file and not field.nullable
    ]
    return words


# --- a row's line, written by MySQL ----------------------------------------------------------------------------------


def line_sql(schema: Schema, alias: str) -> str:
    """An expression of a row's line without its line feed, as bytes; NULL where a value is a zero date."""
    fields = [_field_sql(field, f"{alias}.`{field.name}`") for field in schema.fields]
    tab = ", '\\t', "
    return f"CONCAT({tab.join(fields)})"


def checksum_sql(schema: Schema, alias: str) -> str:
    """An aggregate of rows in any order: the XOR of their lines' SHA-256, as hexadecimal digits."""
    return f"LOWER(HEX(BIT_XOR(UNHEX(SHA2({line_sql(schema, alias)}, 256)))))"


def _field_sql(field: Field, column: str) -> str:
    text = _SQL.get(field.type, _text_sql)(column)
    return f"IF({column} IS NULL, _binary '\\\\N', {text})" if field.nullable else text


def _text_sql(column: str) -> str:
    """Of a number: as MySQL prints it, with all decimal places of its column."""
    return f"CAST({column} AS BINARY)"


def _string_sql(column: str) -> str:
    escaped = f"CAST({column} AS BINARY)"
    for character, escape in (("\\\\", "\\\\\\\\"), ("\\t", "\\\\t"), ("\\n", "\\\\n")):
        escaped = f"REPLACE({escaped}, '{character}', '{escape}')"
    return escaped


def _seconds_sql(column: str) -> str:
    """UNIX_TIMESTAMP of a TIMESTAMP column is what is stored, whatever the session's time zone; 0 for a zero date."""
    return f"CAST(NULLIF(UNIX_TIMESTAMP({column}), 0) AS BINARY)"


def _micros_sql(column: str) -> str:
    return f"CAST(NULLIF(CAST(UNIX_TIMESTAMP({column}) AS DECIMAL(20,6)), 0) AS BINARY)"


def _datetime_sql(column: str) -> str:
    """With six digits behind the point; NULL for a zero date, or a day or month of zero."""
    return f"CAST(IF(DAYOFYEAR({column}) IS NULL, NULL, DATE_FORMAT({column}, '%Y-%m-%d %H:%i:%s.%f')) AS BINARY)"


def _date_sql(column: str) -> str:
    return f"CAST(IF(DAYOFYEAR({column}) IS NULL, NULL, DATE_FORMAT({column}, '%Y-%m-%d')) AS BINARY)"


def _time_sql(column: str) -> str:
    return f"CAST(TIME_FORMAT({column}, '%H:%i:%s.%f') AS BINARY)"


def _hex_sql(column: str) -> str:
    return f"CAST(LOWER(HEX({column})) AS BINARY)"


_SQL: Mapping[str, Callable[[str], str]] = {
    "string": _string_sql,
    "uuid": _string_sql,
    "bytes": _hex_sql,
    "date": _date_sql,
    "time-micros": _time_sql,
    "timestamp-millis": _seconds_sql,
    "timestamp-micros": _micros_sql,
    "local-timestamp-micros": _datetime_sql,
}


class Checksum:
    """Of lines that go by: how many they are, and the XOR of their SHA-256, whatever their order."""

    def __init__(self) -> None:
        self.rows = 0
        self._sum = 0

    def add(self, lines: Iterable[bytes]) -> None:
        """Lines without their line feed."""
        sum = self._sum
        for line in lines:
            sum ^= int.from_bytes(hashlib.sha256(line).digest())
            self.rows += 1
        self._sum = sum

    @property
    def digits(self) -> str:
        """64 hexadecimal digits, as `checksum_sql` gives them."""
        return f"{self._sum:064x}"


def columns(lines: Sequence[bytes], count: int) -> Sequence[Sequence[str]]:
    """Lines' fields in so many columns, still escaped."""
    fields = b"\t".join(lines).decode().split("\t")
    if len(fields) != count * len(lines):
        raise ValueError(f"{len(fields)} fields are not {len(lines)} lines of {count}")
    return [fields[place::count] for place in range(count)]
