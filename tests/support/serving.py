"""The API on a port of its own, in a thread of the test's process."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from api_ec2.access import Access
from api_ec2.deps import settings as api_settings
from api_ec2.limits import Limits, Rate
from api_ec2.main import create_app
from local.processes import chosen_port
from rowferry.config import Settings

TOKEN = "the-integration-tests-token"
VALIDATOR = "the-token-that-only-validates"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
_ANY = Rate(1e6, 10**6)
NO_LIMITS = Limits(chunks=_ANY, others=_ANY, strangers=_ANY, fresh=0)


@contextmanager
def served(settings: Settings, tokens: tuple[str, ...] = (TOKEN,), limits: Limits = NO_LIMITS) -> Iterator[str]:
    """Answers the base URL of an API with these settings."""
    app = create_app(Access(tokens, (VALIDATOR,)), limits)
    app.dependency_overrides[api_settings] = lambda: settings
    port = chosen_port("ROWFERRY_TEST_API_PORT")
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the API did not start"
        threading.Event().wait(0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)
