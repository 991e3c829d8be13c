"""The same app on Lambda, through Mangum: behind an API Gateway HTTP API, which the template makes, or a function URL.

Three things are not possible on Lambda: an answer over 6 MB, work of more than 29 seconds, and work after the answer,
because Lambda stops the process after the answer. These requests get 501 with an explanation before Lambda or the
gateway would end them.
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qs

from mangum import Mangum

from api_ec2.bounds_on_lambda import AFTER_THE_ANSWER, INSTEAD, STATUS, in_words
from api_ec2.main import from_env

LARGEST = 6_291_556
"""Bytes of a function's answer, as JSON. The limit that Lambda's own error names for a larger answer."""

Event = Mapping[str, Any]
Answer = dict[str, Any]


@lru_cache
def _app() -> Mangum:
    return Mangum(from_env(), lifespan="off")


def handle(event: Event, context: Any) -> Answer:
    """Takes events of payload format 2.0.

    Raises: SettingError: no token is in the environment.
    """
    if wants_it_later(event):
        return refusal(AFTER_THE_ANSWER)
    answer: Answer = _app()(dict(event), context)
    size = len(json.dumps(answer))
    if size > LARGEST:
        return refusal(f"its answer has {size} bytes, and Lambda allows {LARGEST}", "request fewer rows")
    return answer


def wants_it_later(event: Event) -> bool:
    """Whether the request asks for an answer before its work is done."""
    return "false" in parse_qs(event.get("rawQueryString", "")).get("wait", [])


def refusal(reason: str, instead: str = INSTEAD) -> Answer:
    body = json.dumps({"detail": in_words(reason, instead)})
    headers = {"content-type": "application/json", "cache-control": "no-store"}
    return {"statusCode": STATUS, "headers": headers, "body": body, "isBase64Encoded": False}
