"""The API on Lambda, called with events as API Gateway's HTTP APIs and function URLs send them."""

import asyncio
import base64
import importlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rowferry.config import Settings
from rowferry.errors import SettingError
from tests.support.pipeline import Pipeline
from tests.support.serving import TOKEN

REQUESTS = Path(__file__).with_name("requests")
Event = dict[str, Any]
Handle = Callable[[Event], dict[str, Any]]


@pytest.fixture(params=["http-api", "function-url"])
def door(request: pytest.FixtureRequest) -> str:
    """Where the request came in."""
    return str(request.param)


def event(door: str, name: str) -> Event:
    loaded = json.loads((REQUESTS / f"{door}-{name}.json").read_text())
    assert isinstance(loaded, dict)
    return loaded


@pytest.fixture
def handle(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Handle]:
    """The handler, fresh as after a cold start, with this test's environment."""
    for name in ("host", "port", "user", "password", "name", "tls_ca"):
        monkeypatch.setenv(f"DB_{name.upper()}", str(getattr(settings, f"db_{name}")))
    monkeypatch.setenv("API_OPERATOR_TOKEN", TOKEN)
    for name in [name for name in sys.modules if name.partition(".")[0] == "api_ec2"]:
        monkeypatch.delitem(sys.modules, name)
    module = importlib.import_module("api_ec2.on_lambda")
    loop = asyncio.new_event_loop()  # Mangum would make one and never close it
    asyncio.set_event_loop(loop)
    yield lambda event: dict(module.handle(event, None))
    asyncio.set_event_loop(None)
    loop.close()


def body(answer: dict[str, Any]) -> Any:
    text = base64.b64decode(answer["body"]).decode() if answer["isBase64Encoded"] else answer["body"]
    return json.loads(text)


def test_metrics_are_answered_from_the_database(handle: Handle, door: str, pipeline: Pipeline) -> None:
    pipeline.migrate("raw/departments.csv", "1,Sales\n2,Legal\n")
    pipeline.migrate("raw/jobs.csv", "1,Cook\n")
    pipeline.migrate("raw/hired_employees.csv", "1,a,2021-01-01T00:00:00Z,1,1\n")
    answer = handle(event(door, "metrics"))
    assert (answer["statusCode"], body(answer)) == (200, [{"id": 1, "department": "Sales", "hired": 1}])


def test_a_chunk_is_judged_as_text_and_as_a_form(handle: Handle, door: str) -> None:
    text = body(handle(event(door, "upload-text")))
    assert (text["read"], text["valid"], text["rejected"]) == (2, 1, 1)
    form = body(handle(event(door, "upload-form")))
    assert form["rows"] == [{"id": 1, "name": "Señor Engineer"}]
    assert [reject["message"] for reject in form["rejects"]] == ["line 3: name is empty"]


def test_the_functions_form_of_an_answer_comes_as_bytes(handle: Handle, door: str) -> None:
    asked = event(door, "upload-text")
    asked["headers"]["accept"] = "application/vnd.rowferry.chunk"
    answer = handle(asked)
    assert answer["isBase64Encoded"]
    assert base64.b64decode(answer["body"]).endswith(b"1\t1\tHarold Vogt\t2021-11-07 02:48:42\t2\t96\n")


def test_who_has_no_token_is_told_so(handle: Handle, door: str) -> None:
    answer = handle(event(door, "stranger"))
    assert (answer["statusCode"], answer["headers"]["www-authenticate"]) == (401, "Bearer")


def test_an_answer_says_that_it_comes_by_https_only(handle: Handle, door: str) -> None:
    answer = handle(event(door, "stranger"))
    assert answer["headers"]["strict-transport-security"] == "max-age=31536000"
    assert answer["headers"]["content-type"] == "application/json"


def test_strangers_of_one_address_are_slowed_down_and_those_of_another_are_not(handle: Handle, door: str) -> None:
    asked = event(door, "stranger")
    statuses = {handle(asked)["statusCode"] for _ in range(60)}
    assert statuses == {401, 429}
    asked["requestContext"]["http"]["sourceIp"] = "198.51.100.7"
    assert handle(asked)["statusCode"] == 401


def test_a_chunk_over_the_cap_is_refused_in_words(handle: Handle, door: str) -> None:
    asked = event(door, "upload-text")
    asked["body"] = "x" * (4 * 1024 * 1024 + 1)
    del asked["headers"]["content-length"]
    answer = handle(asked)
    assert (answer["statusCode"], body(answer)["detail"].endswith("nothing was validated")) == (413, True)


def test_the_largest_chunk_that_is_taken_fits_into_a_request(handle: Handle, door: str) -> None:
    """Binary bodies come to Lambda a third longer."""
    asked = event(door, "upload-text")
    asked["headers"]["content-type"] = "application/octet-stream"
    asked["body"] = base64.b64encode(b"1,a" + b"\n" * (4 * 1024 * 1024 - 3)).decode()
    asked["isBase64Encoded"] = True
    asked["headers"]["content-length"] = str(4 * 1024 * 1024)
    assert len(json.dumps(asked)) < 6_291_556
    answer = handle(asked)
    assert (answer["statusCode"], body(answer)["read"]) == (200, 1)


def test_an_answer_that_lambda_would_break_off_is_refused_in_words(handle: Handle, door: str) -> None:
    asked = event(door, "upload-text")
    asked["rawQueryString"] = "table=jobs"
    row = '{},"{}"\n'
    asked["body"] = "".join(row.format(i, '""' * 2_000) for i in range(1, 1001))
    asked["headers"]["content-length"] = str(len(asked["body"]))
    answer = handle(asked)
    assert answer["statusCode"] == 501
    assert body(answer)["detail"].startswith("the API on Lambda can't do this: its answer has ")
    assert len(json.dumps(answer)) < 6_291_556


def test_work_after_the_answer_is_refused_in_words(handle: Handle, door: str) -> None:
    asked = event(door, "metrics")
    asked |= {"rawPath": "/backup/jobs", "rawQueryString": "wait=false"}
    asked["requestContext"]["http"] |= {"method": "POST", "path": "/backup/jobs"}
    answer = handle(asked)
    assert answer["statusCode"] == 501
    detail = body(answer)["detail"]
    assert detail.startswith(
        "the API on Lambda can't do this: no work continues after the answer, so leave wait=false out"
    )


def test_a_database_that_is_down_is_503_with_a_time_to_come_back(
    handle: Handle, door: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DB_PORT", "1")
    answer = handle(event(door, "metrics"))
    assert (answer["statusCode"], answer["headers"]["retry-after"]) == (503, "5")


def test_without_a_token_in_its_environment_it_does_not_answer(
    handle: Handle, door: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("API_OPERATOR_TOKEN")
    with pytest.raises(SettingError, match="API_OPERATOR_TOKEN is missing"):
        handle(event(door, "stranger"))
