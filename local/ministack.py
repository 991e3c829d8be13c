"""Starts MiniStack and corrects one of its answers: a throttled call gets the error name that AWS gives it.

MiniStack tells a state machine that a throttled call failed with `Lambda.Unknown`, the name that AWS gives to a
function that was cut off. Our Retry lists try that five times, and `Lambda.TooManyRequestsException` for an hour.
"""

import importlib
from collections.abc import Callable
from typing import Any

THROTTLED = "Lambda.TooManyRequestsException"
"""What Step Functions calls it on AWS."""


def with_error_name(throttle_response: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    def answer(*args: Any, **kwargs: Any) -> dict[str, Any]:
        throttled = throttle_response(*args, **kwargs)
        throttled["body"].setdefault("errorType", THROTTLED)
        return throttled

    return answer


def main() -> None:
    """Raises: AttributeError where a later MiniStack makes its answer elsewhere."""
    functions: Any = importlib.import_module("ministack.services.lambda_svc")
    functions._throttle_response = with_error_name(functions._throttle_response)
    importlib.import_module("ministack.app").main()


if __name__ == "__main__":
    main()
