"""`rowferry backup`, `backups`, `restore`."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from cli.commands import confirm, history
from cli.options import shared

Tables = Annotated[list[str] | None, typer.Argument(metavar="TABLE", help="Tables. Default: all", show_default=False)]
OneTable = Annotated[str | None, typer.Argument(metavar="TABLE", help="All backups of this table", show_default=False)]
COUNTED = ("rows", "inserted", "updated", "deleted", "unchanged")
COLUMNS = ("table", "id", "snapshot_at", "rows", "bytes")


def backup(context: typer.Context, tables: Tables = None) -> None:
    """Back up tables to Avro files in the bucket, in one consistent snapshot.

    Examples:

      rowferry backup

      rowferry backup departments jobs
    """
    options = shared(context)
    told = history(options).back_up(tables or [])
    options.output.emit(told)
    options.output.say(f"backup {told.get('id')} is complete")
    _tell(options.output.say, told)


def backups(
    context: typer.Context,
    table: OneTable = None,
) -> None:
    """List backups: the newest of each table, or all of one table.

    Example:

      rowferry backups departments
    """
    options = shared(context)
    found = history(options).backups(table)
    if not found and not options.output.json:
        options.output.say("no backup yet: rowferry backup")
        return
    options.output.show(found, COLUMNS)


def restore(
    context: typer.Context,
    tables: Annotated[list[str], typer.Argument(metavar="TABLE", help="Tables, or `all`", show_default=False)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change. Writes nothing.")] = False,
    id: Annotated[str | None, typer.Option("--id", metavar="BACKUP", help="Default: the newest.")] = None,
    before: Annotated[
        str | None,
        typer.Option("--before", metavar="TIME", help="The newest until then, like 2026-11-30T12:00:00Z."),
    ] = None,
    into: Annotated[
        str | None, typer.Option("--into", metavar="TABLE", help="Restore into this table instead.")
    ] = None,
) -> None:
    """Restore tables from a backup, all at once or not at all. Only rows that differ are written.

    Examples:

      rowferry restore departments --dry-run

      rowferry restore all --before 2026-11-30T12:00:00Z --yes
    """
    options = shared(context)
    names = _all_tables() if tables == ["all"] else tables
    if not dry_run:
        confirm(options, f"Restore {', '.join(names)}? Rows that are newer than the backup are lost.")
    order = {name: value for name, value in {"id": id, "before": before, "into": into}.items() if value}
    told = history(options).restore(names, {**order, "dry_run": dry_run})
    options.output.emit(told)
    options.output.say("nothing was written; this is what a restore would do" if dry_run else "restored")
    _tell(options.output.say, told)


def _all_tables() -> list[str]:
    from rowferry.declare.catalog import TABLES

    return list(TABLES)


def _tell(say: Any, told: Mapping[str, Any]) -> None:
    """What was done to each table."""
    result = told.get("result") or told
    for one in (*result.get("backups", ()), *result.get("restored", ())):
        counts = [f"{one[name]:,} {name}" for name in COUNTED if name in one]
        say(f"  {one['table']}: {', '.join(counts)}" + (f" (backup {one['backup']})" if "backup" in one else ""))
