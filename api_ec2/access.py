"""Which caller may use which route: bearer tokens of two roles. Several tokens of each role can be valid at the same
time, so that one can be replaced."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from rowferry.errors import SettingError

MIN_TOKEN = 16
"""Characters: shorter ones can be guessed."""

Role = Literal["operator", "validator"]
"""operator: people, every route. validator: functions, which send chunks to POST /upload_csv and nothing else."""

_VARIABLES: Mapping[Role, str] = {"operator": "API_OPERATOR_TOKEN", "validator": "API_VALIDATOR_TOKEN"}


@dataclass(frozen=True)
class Access:
    """`tokens`: each of them may do everything. `validators`: each of them may validate chunks.

    `open`: nobody needs a token and everybody is an operator. For private machines only.
    """

    tokens: tuple[str, ...] = field(default=(), repr=False)
    validators: tuple[str, ...] = field(default=(), repr=False)
    open: bool = False

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Access":
        """API_OPERATOR_TOKEN and API_VALIDATOR_TOKEN, each with former tokens, separated by spaces, as …_PREVIOUS; or
        API_OPEN=1.

        Raises: SettingError if the operator's token is missing, a token can be guessed, or a token has both roles. Then
        the API does not start.
        """
        operators, validators = (_tokens(environ, _VARIABLES[role]) for role in ("operator", "validator"))
        if not operators and (validators or environ.get("API_OPEN") != "1"):
            raise SettingError(
                "API_OPERATOR_TOKEN is missing: the API starts without a token only if API_OPEN=1 is set"
            )
        if set(operators) & set(validators):
            raise SettingError("API_VALIDATOR_TOKEN is an operator's token too: it must be another token")
        return cls(operators, validators, open=not operators)

    def role(self, authorization: str) -> Role | None:
        """The role that this Authorization header gives; None without a valid token."""
        scheme, _, token = authorization.partition(" ")
        given = token.strip().encode() if scheme.lower() == "bearer" else b""
        operates, validates = _is_one_of(given, self.tokens), _is_one_of(given, self.validators)
        if self.open or operates:
            return "operator"
        return "validator" if validates else None


def _tokens(environ: Mapping[str, str], variable: str) -> tuple[str, ...]:
    former = f"{variable}_PREVIOUS"
    given = [(variable, environ.get(variable, "").strip())]
    given += [(former, token) for token in environ.get(former, "").split()]
    for name, token in given:
        if token and (len(token) < MIN_TOKEN or not token.isascii() or not token.isprintable()):
            raise SettingError(f"{name} is no token: a token has {MIN_TOKEN} or more printable ASCII characters")
    return tuple(token for _, token in given if token)


def _is_one_of(given: bytes, tokens: tuple[str, ...]) -> bool:
    """Compares all tokens, so each wrong token takes the same time."""
    found = [hmac.compare_digest(given, known.encode()) for known in tokens]
    return any(found)
