"""The same app on Lambda, through Mangum: behind an API Gateway HTTP API, which the template makes, or a function URL.

What Lambda does not bear is answered alike, by 501 and words, before Lambda or the gateway would break it off: an
answer over 6 MB, work of more than 29 seconds, and work after the answer, since Lambda stops the process with it.
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
"""Bytes of a function's answer, as JSON. The limit that Lambda itself names where one is larger."""

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
        return refusal(f"its answer has {size} bytes, and Lambda passes {LARGEST} on", "ask for less")
    return answer


def wants_it_later(event: Event) -> bool:
    """Whether the request asks for an answer now and the work after it."""
    return "false" in parse_qs(event.get("rawQueryString", "")).get("wait", [])


def refusal(reason: str, instead: str = INSTEAD) -> Answer:
    body = json.dumps({"detail": in_words(reason, instead)})
    headers = {"content-type": "application/json", "cache-control": "no-store"}
    return {"statusCode": STATUS, "headers": headers, "body": body, "isBase64Encoded": False}
