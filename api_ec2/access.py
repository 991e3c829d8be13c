"""Who may ask: one or two bearer tokens, both valid, so that one can be replaced while requests go on."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field

from rowferry.errors import SettingError

MIN_TOKEN = 16
"""Characters: shorter ones can be guessed."""


@dataclass(frozen=True)
class Access:
    """`tokens`: each of them opens. `open`: nobody needs one, which only a private machine may say."""

    tokens: tuple[str, ...] = field(default=(), repr=False)
    open: bool = False

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Access":
        """API_TOKEN, API_TOKEN_PREVIOUS, or API_OPEN=1.

        Raises: SettingError: no token is there, or one that can be guessed; the API does not start.
        """
        given = {name: environ.get(name, "").strip() for name in ("API_TOKEN", "API_TOKEN_PREVIOUS")}
        for name, token in given.items():
            if token and (len(token) < MIN_TOKEN or not token.isascii() or not token.isprintable()):
                raise SettingError(f"{name} is no token: {MIN_TOKEN} or more printable ASCII characters are")
        tokens = tuple(token for token in given.values() if token)
        if not tokens and environ.get("API_OPEN") != "1":
            raise SettingError("API_TOKEN is missing: without a token the API starts only where API_OPEN=1 says so")
        return cls(tokens, open=not tokens)

    def allows(self, authorization: str) -> bool:
        """Whether this Authorization header opens. Takes as long for each wrong token, and compares all."""
        scheme, _, token = authorization.partition(" ")
        given = token.strip().encode()
        found = [hmac.compare_digest(given, known.encode()) for known in self.tokens]
        return self.open or (scheme.lower() == "bearer" and any(found))
