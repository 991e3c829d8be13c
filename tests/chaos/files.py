"""Random files over the three tables, and what must become of them: an oracle without batches, SQL or our code."""

import csv
import io
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

AT = "2021-07-27T16:02:08Z"
NAMES = ("Ann", "ann", "Änn", "Zoë Ünal", 'A "B" C', "a,b", "line\nfeed", "Ωmega", "x" * 300, "=1+1")
Row = tuple[str, ...]
Fields = list[str]
Tables = dict[str, dict[int, Row]]
PARENTS = range(1, 21)
"""Ids of departments and jobs that are there from the beginning."""
NEVER = 9_999
"""An id that no department or job ever has."""


@dataclass
class File:
    """One upload: its key below raw/, its table and its records."""

    key: str
    table: str
    records: list[Fields]
    version: str = ""
    withdrawn: bool = False
    """Its version was deleted before anybody may have taken it: that it was never loaded is right, too."""

    def body(self) -> bytes:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(self.records)
        return text.getvalue().encode()

    def lines(self) -> list[int]:
        """Where each record begins."""
        at, found = 1, []
        for record in self.records:
            found.append(at)
            at += 1 + sum(field.count("\n") for field in record)
        return found


@dataclass
class Expected:
    """What a load of a file gives: how many of each, and the code of each line that is rejected."""

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    codes: dict[int, str] = field(default_factory=dict)


def load(tables: Tables, file: File) -> Expected:
    """Does to the tables what loading the file must do (OnConflict = update)."""
    expected, winners = Expected(), dict[int, tuple[int, Row]]()
    for line, record in zip(file.lines(), file.records, strict=True):
        if code := _fault(tables, file.table, record):
            expected.codes[line] = code
            continue
        key = int(record[0])
        if key in winners:
            expected.codes[winners[key][0]] = "duplicate_in_file"
        winners[key] = (line, _normal(file.table, record))
    table = tables[file.table]
    for key, (_, row) in winners.items():
        if key not in table:
            expected.inserted += 1
        elif table[key] == row:
            expected.unchanged += 1
        else:
            expected.updated += 1
        table[key] = row
    return expected


def _fault(tables: Tables, table: str, record: Fields) -> str | None:
    width = 5 if table == "hired_employees" else 2
    if len(record) != width:
        return "field_count"
    if record[0] == "x":
        return "int_format"
    if not record[1]:
        return "missing"
    if width == 5:
        if record[2] == "yesterday":
            return "datetime_format"
        if int(record[3]) not in tables["departments"] or int(record[4]) not in tables["jobs"]:
            return "no_parent"
    return None


def _normal(table: str, record: Fields) -> Row:
    if table != "hired_employees":
        return (record[1],)
    return (record[1], record[2].replace("T", " ").removesuffix("Z"), str(int(record[3])), str(int(record[4])))


class Writer:
    """Makes files; the same dice make the same files."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self._count = 0

    def first(self) -> Sequence[File]:
        return [
            File(f"{name}.csv", name, [[str(i), f"First {i}"] for i in PARENTS]) for name in ("departments", "jobs")
        ]

    def parents(self, table: str, new: int) -> File:
        """Changes some rows, and brings the row with the id `new`."""
        ids = self._dice.sample(PARENTS, self._dice.randint(1, len(PARENTS)))
        records = [self._parent(str(i)) for i in (*ids, new)]
        records[-1][1] = f"New {new}"
        records[0][0] = str((*ids, new)[0])  # a first record without one number is taken for a header, and refused
        return File(self._name(table), table, records)

    def children(self, rows: int, also: int | None = None) -> File:
        """Hired employees with some faults; some refer to the department `also`, whose file lies there already.

        One in twenty has orphans, for which a run waits until its file is a minute old.
        """
        begin = self._dice.randrange(1, 6_000)
        orphans = self._dice.random() < 1 / 20
        records = [self._child(i, also, orphans) for i in range(begin, begin + rows)]
        if self._dice.random() < 0.5:
            self._dice.shuffle(records)
        return File(self._name("hired_employees"), "hired_employees", records)

    def changed(self, file: File) -> File:
        """A newer file of the same key: all its rows anew and valid, so that nothing of the older one stays."""
        records = [self._valid_child(int(record[0])) for record in file.records if record[0] != "x"]
        return File(file.key, file.table, records)

    def _name(self, table: str) -> str:
        self._count += 1
        return f"{table}/{self._count:05}.csv"

    def _parent(self, id: str) -> Fields:
        dice = self._dice.random()
        if dice < 0.03:
            return [id, ""]
        return ["x", "No number"] if dice < 0.06 else [id, f"{self._dice.choice(NAMES)} {self._dice.randint(1, 9)}"]

    def _child(self, id: int, also: int | None, orphans: bool) -> Fields:
        dice, record = self._dice, self._valid_child(id)
        if also and dice.random() < 0.3:
            record[3] = str(also)
        fault = dice.random()
        if fault < 0.01:
            record[1] = ""
        elif fault < 0.02:
            record[2] = "yesterday"
        elif fault < 0.03 and orphans:
            record[3] = str(NEVER)
        elif fault < 0.04:
            record.append("one too many")
        elif fault < 0.05:
            record[0] = str(max(1, id - 1))  # the id of the line before it
        return record

    def _valid_child(self, id: int) -> Fields:
        dice = self._dice
        return [str(id), dice.choice(NAMES), AT, str(dice.choice(PARENTS)), str(dice.choice(PARENTS))]


def differences(expected: Mapping[int, Row], found: Mapping[int, Row], table: str) -> list[str]:
    """In words, the first few rows that are not as they must be."""
    wrong = [id for id in sorted(expected.keys() | found.keys()) if expected.get(id) != found.get(id)]
    return [f"{table} {id}: {found.get(id)!r} in place of {expected.get(id)!r}" for id in wrong[:5]] + (
        [f"{table}: {len(wrong)} rows differ"] if len(wrong) > 5 else []
    )
