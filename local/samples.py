"""Sample files: made-up departments, jobs and hired employees, with a known number of bad rows of each kind.

The same seed gives the same files. A million rows take about two seconds and no memory to speak of.
"""

import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

DEPARTMENTS = (
    "Freight Planning", "Harbour Operations", "Ticketing", "Engine Room", "Catering", "Safety, Health & Environment",
    "Payroll", "Fleet Maintenance", "Überseehandel", "Legal", "Customer Care", "Research",
)  # fmt: skip
RANKS = ("Junior", "Senior", "Lead", "Deputy", "Chief", "Night-Shift", "Assistant", "Regional")
TRADES = (
    "Accountant", "Boatswain", "Cook", "Data Engineer", "Deckhand", "Electrician", "Mechanic", "Navigator", "Nurse",
    "Planner", "Purser", "Rigger", "Stevedore", "Translator", "Welder",
)  # fmt: skip
GIVEN = (
    "Ada", "Bram", "Chloé", "Dario", "Edda", "Femi", "Greta", "Hugo", "Imke", "Jonas", "Keiko", "Lars", "Mirela",
    "Nuno", "Oona", "Pavel", "Quinn", "Rosa", "Søren", "Tomás", "Ursel", "Viggo", "Wanda", "Ximena", "Yara", "Zoltan",
)  # fmt: skip
FAMILY = (
    "Abelmann", "Brandvik", "Castaño", "Dunmore", "Eklund", "Farrow", "Grünwald", "Hollis", "Ivarsson", "Jankel",
    "Kettering", "Lindqvist", "Marlowe", "Nakagawa", "O'Rourke", "Petrescu", "Quist", "Rasmussen", "Silveira",
    "Tamm", "Umarov", "Vance", "Wexford", "Yilmaz", "Zielinski",
)  # fmt: skip
FIRST_DAY, DAYS = date(2020, 1, 1), 1096
BLOCK = 10_000
"""Rows that are in memory at a time."""

Fields = tuple[str, str, str, str, str]


@dataclass(frozen=True)
class Samples:
    """What was written; `rejected` says how many rows of each reject code."""

    departments: Path
    jobs: Path
    hired_employees: Path
    records: dict[str, int]
    rejected: dict[str, int]


def write_samples(folder: Path, rows: int, seed: int = 1, bad_share: float = 0.02) -> Samples:
    """departments.csv (with a header), jobs.csv and hired_employees.csv (without); bad rows only in the last."""
    folder.mkdir(parents=True, exist_ok=True)
    departments, jobs, employees = (folder / f"{name}.csv" for name in ("departments", "jobs", "hired_employees"))
    job_names = [f"{rank} {trade}" for rank in RANKS for trade in TRADES]
    write_names(departments, ["id,name"], DEPARTMENTS)
    write_names(jobs, [], job_names)
    rejected = write_employees(employees, rows, len(job_names), random.Random(seed), bad_share)
    records = {"departments": len(DEPARTMENTS), "jobs": len(job_names), "hired_employees": rows}
    return Samples(departments, jobs, employees, records, dict(rejected))


def write_names(path: Path, header: list[str], names: tuple[str, ...] | list[str]) -> None:
    lines = [*header, *(f"{number},{quoted(name)}" for number, name in enumerate(names, 1))]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def quoted(text: str) -> str:
    return f'"{text}"' if "," in text else text


def write_employees(path: Path, rows: int, jobs: int, chance: random.Random, bad_share: float) -> Counter[str]:
    spoil = Spoiler(chance)
    with path.open("w", encoding="utf-8", newline="") as fp:
        for fields in blocks(rows, jobs, chance):
            bad = bad_places(len(fields), chance, bad_share)
            lines = [",".join(row) for row in fields]
            for place in bad:
                lines[place] = spoil(fields[place])
            fp.write("\n".join(lines) + "\n")
    return spoil.counts


def blocks(rows: int, jobs: int, chance: random.Random) -> Iterator[list[Fields]]:
    """Whole columns are drawn at once, which is several times as fast as row by row."""
    names = [f"{given} {family}" for given in GIVEN for family in FAMILY]
    names.append('"Vale, Otto"')
    days = [(FIRST_DAY + timedelta(days=day)).isoformat() for day in range(DAYS)]
    times = [f"T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}Z" for second in range(86_400)]
    moments = [days, times]
    departments = [str(number) for number in range(1, len(DEPARTMENTS) + 1)]
    job_numbers = [str(number) for number in range(1, jobs + 1)]
    for start in range(1, rows + 1, BLOCK):
        count = min(BLOCK, rows + 1 - start)
        day, moment = (chance.choices(values, k=count) for values in moments)
        yield list(
            zip(
                map(str, range(start, start + count)),
                chance.choices(names, k=count),
                map("".join, zip(day, moment, strict=True)),
                chance.choices(departments, k=count),
                chance.choices(job_numbers, k=count),
                strict=True,
            )
        )


def bad_places(count: int, chance: random.Random, share: float) -> list[int]:
    if share <= 0:
        return []
    return [place for place in range(count) if chance.random() < share]


class Spoiler:
    """Makes a good row bad, one kind after the other, and counts by the code that the validator should give."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.counts: Counter[str] = Counter()
        self.kinds = itertools.cycle(KINDS)

    def __call__(self, fields: Fields) -> str:
        code, spoil = next(self.kinds)
        self.counts[code] += 1
        return ",".join(spoil(fields, self.chance))


def without_a_field(row: Fields, chance: random.Random) -> list[str]:
    blank = chance.randrange(1, len(row))
    return ["" if place == blank else value for place, value in enumerate(row)]


def on_an_impossible_day(row: Fields, _: random.Random) -> list[str]:
    return [*row[:2], "2021-02-30T08:00:00Z", *row[3:]]


def in_an_unknown_department(row: Fields, _: random.Random) -> list[str]:
    return [*row[:3], str(len(DEPARTMENTS) + 987), row[4]]


def cut_short(row: Fields, _: random.Random) -> list[str]:
    return list(row[:3])


def with_letters_for_a_number(row: Fields, _: random.Random) -> list[str]:
    return [*row[:4], "n/a"]


KINDS: tuple[tuple[str, Callable[[Fields, random.Random], list[str]]], ...] = (
    ("missing", without_a_field),
    ("datetime_format", on_an_impossible_day),
    ("no_parent", in_an_unknown_department),
    ("field_count", cut_short),
    ("int_format", with_letters_for_a_number),
)
