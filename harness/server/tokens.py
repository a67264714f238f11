"""Bearer tokens: who a caller is, and what they may do (SEC-01, OPT-04).

Decodes the tokens file and judges an `authorization` header; knows no transport. Pure. Times are seconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import yaml

from harness.errors import ConfigError
from harness.server.refusal import Code, Refusal
from harness.server.values import Caller


@dataclass(frozen=True, slots=True)
class Token:
    """One bearer token; `expires` is in seconds since the epoch, None for never."""

    token: str
    subject: str
    may_bypass: bool = False
    expires: float | None = None


def load_tokens(text: str, source: str) -> tuple[Token, ...]:
    """Decode a tokens file: YAML, a list of {token, subject, may_bypass_settings_protection, expires}.

    `source` names it in errors. Raises ConfigError naming the file and the key.
    """
    try:
        raw = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise ConfigError("is not YAML", source=source, line=mark.line + 1 if mark else None) from None
    return parse_tokens(raw, source=source)


def parse_tokens(raw: Any, *, source: str) -> tuple[Token, ...]:
    """Check the plain data of a tokens file; ConfigError on anything unexpected, an empty list included."""
    if not isinstance(raw, list) or not raw:
        raise ConfigError("must be a list of one or more tokens", source=source)
    tokens = tuple(_parse_token(entry, source, f"[{index}]") for index, entry in enumerate(raw))
    seen: set[str] = set()
    for index, token in enumerate(tokens):
        if token.token in seen:
            raise ConfigError("the same token twice", source=source, key=f"[{index}].token")
        seen.add(token.token)
    return tokens


_KEYS = ("token", "subject", "may_bypass_settings_protection", "expires")


def _parse_token(entry: Any, source: str, where: str) -> Token:
    if not isinstance(entry, dict):
        raise ConfigError("must be a mapping", source=source, key=where)
    for key in entry:
        if key not in _KEYS:
            raise ConfigError("unknown key", source=source, key=f"{where}.{key}", hint=f"known are {', '.join(_KEYS)}")
    for key in ("token", "subject"):
        value = entry.get(key)
        if not isinstance(value, str) or not value or value.split() != [value]:
            raise ConfigError("must be a text without spaces", source=source, key=f"{where}.{key}")
    bypass = entry.get("may_bypass_settings_protection", False)
    if not isinstance(bypass, bool):
        raise ConfigError("must be true or false", source=source, key=f"{where}.may_bypass_settings_protection")
    return Token(entry["token"], entry["subject"], bypass, _parse_expiry(entry.get("expires"), source, f"{where}.expires"))


def _parse_expiry(value: Any, source: str, key: str) -> float | None:
    if value is None:
        return None
    # YAML itself turns an unquoted time into a datetime (naive ones are UTC by its rules); quoted ones arrive as text.
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            value = None
    if not isinstance(value, datetime):
        raise ConfigError("must be an ISO 8601 time, for example 2030-01-31T12:00:00Z", source=source, key=key)
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()


class Access:
    """Decides who a caller is from the `authorization` header; with no tokens, everybody is the same anonymous caller."""

    def __init__(self, tokens: Iterable[Token], *, anonymous_may_bypass: bool) -> None:
        self._tokens: Mapping[str, Token] = {token.token: token for token in tokens}
        self._anonymous = Caller("anonymous", anonymous_may_bypass)

    def caller(self, authorization: str | None, now: float) -> Caller:
        """Return the caller; `now` in seconds since the epoch. Refuses with UNAUTHENTICATED."""
        if not self._tokens:
            return self._anonymous
        if authorization is None:
            raise Refusal(Code.UNAUTHENTICATED, "authorization: missing, expected a bearer token")
        scheme, _, credential = authorization.partition(" ")
        if scheme.lower() != "bearer" or not credential or credential.split() != [credential]:
            raise Refusal(Code.UNAUTHENTICATED, "authorization: malformed, expected a bearer token")
        token = self._tokens.get(credential)
        if token is None:
            raise Refusal(Code.UNAUTHENTICATED, "authorization: unknown token")
        if token.expires is not None and token.expires <= now:
            raise Refusal(Code.UNAUTHENTICATED, "authorization: the token has expired")
        return Caller(token.subject, token.may_bypass)
