"""The same app on Lambda, through Mangum: behind an API Gateway HTTP API, which the template makes, or a function URL.

What Lambda does not bear is answered in words, before Lambda or the gateway would break it off: an answer over 6 MB,
and work that goes on after the answer, since Lambda stops the process with it.
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qs

from mangum import Mangum

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
        words = (
            "there is no work after the answer on Lambda: leave wait=false out, ask the API on its instance, or invoke"
        )
        words += " the stack's BackupFunction or RestoreFunction"
        return refusal(501, words)
    answer: Answer = _app()(dict(event), context)
    size = len(json.dumps(answer))
    if size > LARGEST:
        return refusal(413, f"the answer has {size} bytes, more than the {LARGEST} that Lambda passes on: ask for less")
    return answer


def wants_it_later(event: Event) -> bool:
    """Whether the request asks for an answer now and the work after it."""
    return "false" in parse_qs(event.get("rawQueryString", "")).get("wait", [])


def refusal(status: int, words: str) -> Answer:
    headers = {"content-type": "application/json", "cache-control": "no-store"}
    return {"statusCode": status, "headers": headers, "body": json.dumps({"detail": words}), "isBase64Encoded": False}
