"""The tables of this deployment. To add a table, add a class; nothing else has to be changed."""

from typing import Annotated, Any

from pydantic import BaseModel, Field

from rowferry.declare import Id, Integer, References, Text, Timestamp


class Department(BaseModel, title="departments"):
    """A department of the company."""

    id: Id = Field(examples=["1"])
    name: Annotated[str, Text()] = Field(examples=["Product Management"])


class Job(BaseModel, title="jobs"):
    """A job that somebody can be hired for."""

    id: Id = Field(examples=["96"])
    name: Annotated[str, Text()] = Field(examples=["Marketing Assistant"])


class HiredEmployee(BaseModel, title="hired_employees"):
    """Somebody who was hired: when, for which job, in which department."""

    id: Id = Field(examples=["1"])
    name: Annotated[str, Text()] = Field(examples=["Harold Vogt"])
    datetime: Annotated[Any, Timestamp()] = Field(examples=["2021-11-07T02:48:42Z"])
    department_id: Annotated[int, Integer(minimum=1), References(Department)] = Field(examples=["2"])
    job_id: Annotated[int, Integer(minimum=1), References(Job)] = Field(examples=["96"])
