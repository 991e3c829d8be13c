"""The tables that rowferry/tables.py declares, by name, parents first."""

import re
from collections.abc import Mapping, Sequence

from pydantic import BaseModel

from rowferry import tables
from rowferry.declare.definition import TableDefinition
from rowferry.declare.table import read_models
from rowferry.declare.table_class import Table
from rowferry.errors import UnknownTable

TABLES: Mapping[str, TableDefinition] = read_models(
    dict.fromkeys(  # a class may have two names
        found
        for found in vars(tables).values()
        if isinstance(found, type) and issubclass(found, BaseModel) and found not in (BaseModel, Table)
    )
)
"""The order in which tables are created."""


def table_named(name: str) -> TableDefinition:
    """Raises: UnknownTable, with the names that are known."""
    try:
        return TABLES[name]
    except KeyError:
        raise UnknownTable(f"there is no table {name!r}; the tables are {', '.join(TABLES)}") from None


def table_of_path(path: str) -> TableDefinition | None:
    """The table of a file by its path below `raw/`, as `tables_of_path`; None where it is not exactly one."""
    found = tables_of_path(path)
    return found[0] if len(found) == 1 else None


def tables_of_path(path: str) -> Sequence[TableDefinition]:
    """The tables that a path below `raw/` fits equally well; upper and lower case are the same.

    The longest name with which the file's own name begins, `-` `_` `.` space `(` or nothing behind it, and the nearest
    folder of a table's name. A file without the ending .csv or .csv.gz has none and lies in such a folder.
    """
    *folders, name = path.casefold().split("/")
    bare = _ENDINGS.sub("", name)
    is_csv = bare != name
    if not is_csv and "." in name:
        return []
    fitting = [table for table in TABLES.values() if is_csv and _begins(bare, table.name.casefold())]
    longest = max((len(table.name) for table in fitting), default=0)
    found = [table for table in fitting if len(table.name) == longest]
    for folder in reversed(folders):
        if below := [table for table in TABLES.values() if table.name.casefold() == folder]:
            return found + [table for table in below if table not in found]
    return found


_ENDINGS = re.compile(r"(?:\.csv|\.csv\.gz)+$")


def _begins(name: str, table: str) -> bool:
    return name.startswith(table) and name[len(table) : len(table) + 1] in ("", *"-_. (")
