"""The tables of this deployment. To add a table, add a class; nothing else has to be changed."""

import datetime as dt
from typing import Annotated

from pydantic import Field

from rowferry.declare import Integer, Key, References, Table, Text, Timestamp


class Department(Table, name="departments"):
    """A department of the company."""

    id: Annotated[int, Integer(minimum=1), Key()] = Field(examples=["1"])
    name: Annotated[str, Text()] = Field(examples=["Product Management"])


class Job(Table, name="jobs"):
    """A job that somebody can be hired for."""

    id: Annotated[int, Integer(minimum=1), Key()] = Field(examples=["96"])
    name: Annotated[str, Text()] = Field(examples=["Marketing Assistant"])


class HiredEmployee(Table, name="hired_employees"):
    """Somebody who was hired: when, for which job, in which department."""

    id: Annotated[int, Integer(minimum=1), Key()] = Field(examples=["1"])
    name: Annotated[str, Text()] = Field(examples=["Harold Vogt"])
    datetime: Annotated[dt.datetime, Timestamp()] = Field(examples=["2021-11-07T02:48:42Z"])
    department_id: Annotated[int, Integer(minimum=1), References(Department)] = Field(examples=["2"])
    job_id: Annotated[int, Integer(minimum=1), References(Job)] = Field(examples=["96"])
