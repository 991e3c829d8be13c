"""The references of a class: which of its columns hold together the key of which other table."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel

from rowferry.declare.definition import Column, Reference, TableDefinition
from rowferry.declare.table_class import References, table_name


@dataclass(frozen=True)
class Marked:
    """A column, and one of its marks."""

    column: Column
    mark: References


def read_references(
    marked: Iterable[Marked], known: Mapping[str, TableDefinition], broken: Sequence[type[BaseModel]]
) -> tuple[tuple[Reference, ...], list[str]]:
    """The references, and in words what can't be. Of tables that are `broken` themselves nothing is said."""
    groups: dict[tuple[type[BaseModel], str | None, str | None], list[Marked]] = {}
    problems = list[str]()
    for one in marked:
        parent = _parent(one.mark, known)
        if one.mark.table in broken:
            continue
        if parent is None:
            name = table_name(one.mark.table) or one.mark.table.__name__
            problems.append(f".{one.column.name} refers to {name}, which must be declared above it")
            continue
        alone = one.column.name if len(parent.key) == 1 else None
        groups.setdefault((one.mark.table, one.mark.name, alone), []).append(one)
    references = list[Reference]()
    for (table, _, _), group in groups.items():
        parent = known[table_name(table)]
        if found := [*_problems(group, parent)]:
            problems += found
        else:
            by_parent = {_parent_column(one.mark, parent): one.column.name for one in group}
            references.append(Reference(tuple(by_parent[name] for name in parent.key), parent.name, parent.key))
    return tuple(references), problems


def _parent(mark: References, known: Mapping[str, TableDefinition]) -> TableDefinition | None:
    found = known.get(table_name(mark.table))
    return found if found is not None and found.model is mark.table else None


def _parent_column(mark: References, parent: TableDefinition) -> str:
    """Empty where the mark does not say which, and the parent has several."""
    return mark.column or (parent.key[0] if len(parent.key) == 1 else "")


def _problems(group: Sequence[Marked], parent: TableDefinition) -> Iterator[str]:
    taken = dict[str, str]()
    for one in group:
        name, theirs = one.column.name, _parent_column(one.mark, parent)
        if theirs not in parent.key:
            yield f".{name}: {_which(one.mark, parent)}"
            continue
        other = parent.column(theirs)
        if one.column.kind.ddl != other.kind.ddl:
            is_now, needed = one.column.kind.ddl, other.kind.ddl
            yield f".{name} is {is_now}, but {parent.name}.{theirs}, to which it refers, is {needed}"
        if theirs in taken:
            yield (
                f".{name} and {taken[theirs]} both refer to {parent.name}.{theirs}: if they are two references, give"
                f' each a name, as in References({parent.model.__name__}, "{theirs}", name="first")'
            )
        taken.setdefault(theirs, name)
    missing = [name for name in parent.key if name not in taken]
    if taken and missing:
        yield (
            f".{group[0].column.name} refers to only a part of the key of {parent.name} ({', '.join(parent.key)}): no"
            f" column refers to {', '.join(missing)}"
        )


def _which(mark: References, parent: TableDefinition) -> str:
    of = parent.model.__name__
    if mark.column is None:
        return (
            f"the key of {parent.name} has several columns ({', '.join(parent.key)}): say which one it is, as in"
            f' References({of}, "{parent.key[0]}")'
        )
    return f'References({of}, "{mark.column}") names no column of the key of {parent.name} ({", ".join(parent.key)})'
