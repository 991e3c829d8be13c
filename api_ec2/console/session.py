"""Who is signed in to the console: a signed cookie, made from an operator's token and checked without a database.

The cookie's value is `<seconds since 1970>.<random>.<HMAC>`. It ends after 12 hours, and at once when the token is
replaced.
"""

import hashlib
import hmac
import secrets
import time
from http.cookies import CookieError, SimpleCookie

from api_ec2.access import Access

COOKIE = "rowferry-session"
PATH = "/console"
SECONDS = 12 * 3600


def begin(token: str) -> str:
    """A session's cookie value for a valid operator's token."""
    head = f"{int(time.time())}.{secrets.token_hex(16)}"
    return f"{head}.{_mac(token, 'session', head)}"


def is_operator(access: Access, token: str) -> bool:
    return access.role(f"Bearer {token}") == "operator"


def current(access: Access, cookies: str) -> str | None:
    """The valid session's value in a Cookie header; empty where the API is open; None if nobody is signed in."""
    value = _value(cookies)
    if value and _token_of(access, value):
        return value
    return "" if access.open else None


def csrf(access: Access, value: str) -> str:
    """What a form of this session must send back. Empty where the API is open: then only the origin is checked."""
    token = _token_of(access, value)
    return _mac(token, "csrf", value) if token else ""


def _token_of(access: Access, value: str) -> str | None:
    """The token that a session was made from."""
    head, _, mac = value.rpartition(".")
    issued = head.partition(".")[0]
    if not issued.isascii() or not issued.isdigit() or len(issued) > 12 or not mac.isascii():
        return None
    if not 0 <= time.time() - int(issued) < SECONDS:
        return None
    return next((token for token in access.tokens if hmac.compare_digest(mac, _mac(token, "session", head))), None)


def _mac(token: str, purpose: str, text: str) -> str:
    return hmac.new(token.encode(), f"rowferry console {purpose}:{text}".encode(), hashlib.sha256).hexdigest()


def _value(cookies: str) -> str:
    try:
        found = SimpleCookie(cookies).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found else ""
