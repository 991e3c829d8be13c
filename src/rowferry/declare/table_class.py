"""What a declaration is written with beside its types: `Table`, and the marks of keys and references."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict

from rowferry.declare.csv_format import CsvFormat
from rowferry.declare.types import Integer


class Table(BaseModel):
    """The base of each declared table: `class Order(Table, name="orders", csv=CsvFormat(...))`.

    Its fields are the columns, in their order. A column that Python can't name (`class`) has its name as the field's
    alias: `Field(alias="class")`.
    """

    model_config = ConfigDict(protected_namespaces=())

    __table_name__: ClassVar[str] = ""
    __csv_format__: ClassVar[CsvFormat] = CsvFormat()

    def __init_subclass__(cls, *, name: str = "", csv: CsvFormat | None = None, **given: Any) -> None:
        super().__init_subclass__(**given)
        cls.__table_name__ = name
        cls.__csv_format__ = csv or CsvFormat()
        cls.model_config["title"] = name

    @classmethod
    def __pydantic_init_subclass__(cls, *, name: str = "", csv: CsvFormat | None = None, **given: Any) -> None:
        """Takes what `__init_subclass__` has read already."""
        super().__pydantic_init_subclass__(**given)


@dataclass(frozen=True)
class Key:
    """Marks a column of the primary key."""


@dataclass(frozen=True)
class References:
    """Marks a column that holds keys of another table; `column` of its key, where that has several.

    The columns of one class that refer to the same table with the same `name` are one reference.
    """

    table: type[BaseModel]
    column: str | None = None
    name: str | None = None


Id = Annotated[int, Integer(minimum=1), Key()]
"""The most common key: an INT from 1."""


def table_name(model: type[BaseModel]) -> str:
    """The name that a class declares; empty where it declares none."""
    if issubclass(model, Table):
        return model.__table_name__
    return model.model_config.get("title") or model.__name__
