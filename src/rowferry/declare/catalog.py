"""The tables that rowferry/tables.py declares, by name, parents first."""

from collections.abc import Mapping

from pydantic import BaseModel

from rowferry import tables
from rowferry.declare.definition import TableDefinition
from rowferry.declare.table import read_models
from rowferry.errors import UnknownTable

TABLES: Mapping[str, TableDefinition] = read_models(
    [
        found
        for found in vars(tables).values()
        if isinstance(found, type) and issubclass(found, BaseModel) and found.model_fields
    ]
)
"""The order in which tables are created."""


def table_named(name: str) -> TableDefinition:
    """Raises: UnknownTable, with the names that are known."""
    try:
        return TABLES[name]
    except KeyError:
        raise UnknownTable(f"there is no table {name!r}; the tables are {', '.join(TABLES)}") from None


def table_of_path(path: str) -> TableDefinition | None:
    """The table of a file by its path below `raw/`: `t.csv`, `t-anything.csv`, `t/anything.csv`; also with .gz."""
    if not path.endswith((".csv", ".csv.gz")):
        return None
    for table in TABLES.values():
        rest = path.removeprefix(table.name)
        if rest != path and (rest in (".csv", ".csv.gz") or rest[0] in "-/"):
            return table
    return None
