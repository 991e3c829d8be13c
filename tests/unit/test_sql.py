"""What goes into the text of a statement: names that tables.py declares and constants. Values are arguments, always.

Ruff's S608 flags each such statement; this says which parts were read and found to come from the code alone, so that a
new one is looked at.
"""

import ast
import re
from pathlib import Path

import pytest

CORE = Path(__file__).parents[2] / "src/rowferry"
SQL = re.compile(r"\b(SELECT|INSERT|UPDATE|DELETE|CREATE|ALTER|DROP|GRANT|REVOKE|USE|LOAD DATA|SET SESSION)\b")

OF_A_TABLE = {"table.name", "table.key", "parent.name", "parent.key", "column.name", "key", "names", "columns"}
"""Names of tables and columns, as tables.py declares them."""

MADE_OF_NAMES = ("columns_sql(", "same_key(", "key_words_sql(", "part.sql(")
"""Functions of declare/key_sql.py and a Range's condition, which write names that tables.py declares, and literals."""

REVIEWED = {
    "backup/export.py": {"table.name", "table.key", "record.line_sql(found, 't')"},
    "setup/views.py": {"name", "query"},  # constants
    "setup/bootstrap.py": {
        "_quoted(name)",  # the database's name, quoted
        "pattern",  # the same as GRANT takes it
        "account.rights",  # constants
        "means",  # a constant and a number
    },
    "steps/compare.py": OF_A_TABLE | {"own", "lock"},  # columns; FOR SHARE
    "declare/constraints.py": {"table.name", "name", "is_part"},
    "declare/information_schema.py": {"table", "marks"},  # %s for each value
    "storage/mysql.py": {
        "table",
        "', '.join((column if column.startswith('@') else f'`{column}`' for column in columns))",
    },
    "ledger/attempts.py": {"_NEXT"},
    "ledger/batch_rows.py": {"run", "names"},  # our own tables and columns
    "ledger/failures.py": {"UNCLAIMED", "has_batches('rowferry_runs')"},  # constants
    "ledger/history.py": {"', '.join((f'ANY_VALUE(r.{name}) AS {name}' for name in NAMES))"},  # our own columns
    "ledger/key_ranges.py": {
        *("LEASE_MINUTES // 2", "LEASE_MINUTES // 5", "RETRIED_MINUTES", "_LIVE", "_IN_PART", "_OUTDATED"),
        *(f"_end('{run}.{end}')" for run in ("mine", "other") for end in ("low", "high")),  # our own columns
        *("has_batches('other')", "has_batches('mine')", "lock"),  # FOR UPDATE or FOR SHARE
    },
    "declare/key_sql.py": {"name", "_shown(table, name, f'{alias}.`{name}`')", "between.join(words)"},
    "backup/key_range.py": set(),  # literals, hexadecimal where they hold text
    "ledger/migrations.py": {"table", "', '.join(changes)", "_LOCK", "LOCK_SECONDS", "name", "definition"},  # constants
    "ledger/runs.py": {
        *(
            "LEASE_MINUTES // 2",
            "LEASE_MINUTES // 5",
            "_LEASE",
            "_COLUMNS",
            "_DEAD",
            "UNCLAIMED",
            "_CLAIMED",
            "_HAS_RUN",
        ),
    },
    "backup/foreign_keys.py": {
        *("target.source", "target.shadow", "target.name", "target.table.key", "key"),
        *(
            "reference.column",
            "reference.parent",
            "reference.parent_column",
            "column",
            "parent",
            "child",
        ),  # as they are
        *(
            "order",
            "table",
            "sql_name(reference.child)",
            "sql_name(reference.parent)",
            "sql_name(parent)",
        ),  # without backticks
        *("_noted(reference)", "noted", "parents", "absent", "without", "values", "marks", "rest"),  # made of those
        *("these", "value", "part.sql(f'`{target.table.key}`')", "left"),  # a Range's numbers, and a number
    },
    "ledger/jobs.py": {"_LEASE", "LEASE_MINUTES", "_LOCK", "silent", "mine", "marks"},  # %s for each value
    "steps/load.py": OF_A_TABLE,
    "steps/merge.py": {
        *(
            "reference.parent_columns[0]",
            "reference.parent",
            "self._table.key[0]",
            "values",
            "parents",
            "order",
            "given",
        ),
        *("same", "words", "_one(line)"),  # a number, written with :d
        *(OF_A_TABLE | {"self._table.name", "self._table.key", "own", "column.kind.ddl"}),
        *("marks", "others", "staged", "same or 'TRUE'"),  # %s for each value; comparisons made of columns' names
        *("_one(key)", "sql"),  # a number, written with :d; a condition made of columns' names with %s for each value
    },
    "reports/metrics.py": {"_IN_YEAR", "quarters"},
    "steps/reconcile.py": OF_A_TABLE,
    "backup/restore.py": {"jobs.LEASE_MINUTES * 60 // 2"},
    "declare/ddl.py": {"table.name", "body"},
    "backup/staging.py": {
        *("first", "own", "key[0]", "Range(None, least).sql(columns)"),  # columns and literals
        *("target.name", "target.shadow", "target.changes", "target.table.key", "name", "key", "columns", "definition"),
        *(
            "record.checksum_sql(schema, 's')",
            "_same(target)",
            "changing",
            "which",
            "names",
            "theirs",
            "values",
            "rest",
        ),  # of columns
        *(
            "RANGE_ROWS - 1",
            "after",
            "where",
            "part.sql('k')",
            "part.sql('c.k')",
            "part.sql(f's.`{key}`')",
            "part.sql(f't.`{key}`')",
        ),
    },  # a Range holds numbers and writes them with :d
    "steps/violations.py": {
        *("self.table.name", "key", "table.key", "column", "parent_column", "marks"),
        *("sql_name(key.parent)", "condition", "short", "among", "value", "values"),  # of tables and columns
        *("value", "rest", "words", "', '.join(values)"),  # made of those
        *("definition", "prefix", "mark", "charset", "own", "name"),  # columns as the database has them
        "check.clause",  # a CHECK as SHOW CREATE TABLE gives it, which whoever owns the table wrote
    },
}


def parts_of_statements(code: str) -> set[str]:
    """The expressions within f-strings that look like SQL."""
    found = set[str]()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.JoinedStr):
            text = "".join(str(part.value) for part in node.values if isinstance(part, ast.Constant))
            if SQL.search(text):
                found |= {ast.unparse(part.value) for part in node.values if isinstance(part, ast.FormattedValue)}
    return {part for part in found if not part.startswith(MADE_OF_NAMES)}


@pytest.mark.parametrize("path", sorted(CORE.rglob("*.py")), ids=lambda path: path.name)
def test_no_statement_has_a_part_that_nobody_has_looked_at(path: Path) -> None:
    assert parts_of_statements(path.read_text()) - REVIEWED.get(str(path.relative_to(CORE)), set()) == set()


def test_a_value_in_a_statement_would_be_found() -> None:
    assert parts_of_statements("db.run(conn, f'DELETE FROM jobs WHERE name = {given}')") == {"given"}


def test_only_the_core_speaks_sql() -> None:
    others = [path for folder in ("functions", "api_ec2") for path in (CORE.parents[1] / folder).rglob("*.py")]
    speaking = [path.name for path in others if re.search(r"mysql\.(run|rows?|run_many|rows_in)\(", path.read_text())]
    assert speaking == ["deps.py"], "a session's time for a query"
