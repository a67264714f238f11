"""Job ids are opaque: the spec says that they are strings, and no more."""

# ruff: noqa: D101, D102  (the summary given to `variant` is what is to be said of each)

from __future__ import annotations

from abc import ABC, abstractmethod

from harness.server.engine import Engine
from harness.server.variants.registry import variant


class _Counted(Engine, ABC):
    """Numbers its jobs, and goes on counting after a restart."""

    @abstractmethod
    def written(self, number: int) -> str:
        """Write the number of a job as its id."""

    def _new_id(self) -> str:
        self._number = getattr(self, "_number", self._order) + 1
        return self.written(self._number)


@variant("ids-decimal", "ids are short decimal numbers, counted up")
class Decimal(_Counted):
    def written(self, number: int) -> str:
        return str(number)


@variant("ids-long", "ids have 200 characters, of which only the last few differ")
class Long(_Counted):
    def written(self, number: int) -> str:
        return f"{'x' * 188}{number:012}"


@variant("ids-unprintable", "ids hold blanks, slashes, quotes, percent signs, line feeds and letters outside of ASCII")
class Unprintable(_Counted):
    def written(self, number: int) -> str:
        return f" jobs/\u2603 %2F {number}\n'\"\\{{}}$(id) \U0001f9ea "
