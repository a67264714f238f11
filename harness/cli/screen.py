"""Standard output of a run: colours and a live display in a terminal, plain lines elsewhere."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape

from harness.cli.output import give_up, mute, visible


class Screen(Console):
    """A console that never ends a run because of what happens to it."""

    def say(self, markup: str) -> None:
        """Print a line, never wrapped. Does nothing when nobody reads; raises HarnessError when it cannot be written."""
        try:
            self.print(markup, soft_wrap=True, highlight=False)
        except OSError as error:
            self.quiet = True
            give_up(error)

    def on_broken_pipe(self) -> None:
        """Go on without a screen: the run is what counts."""
        self.quiet = True
        mute()


def plain(text: str) -> str:
    """Return text from outside as markup that shows it as it is, on one line, control characters made visible."""
    return escape(visible(text))
