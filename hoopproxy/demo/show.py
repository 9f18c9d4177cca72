"""How the tour looks: coloured on a terminal, plain elsewhere. Knows nothing of what is shown."""

import sys

from rich.console import Console
from rich.rule import Rule
from rich.text import Text


class Show:
    """Prints the tour's stops, the commands with their output, and whether each showed what it must."""

    def __init__(self) -> None:
        self._out = Console(highlight=False, soft_wrap=not sys.stdout.isatty())

    def say(self, text: str, style: str = "") -> None:
        """A sentence or two."""
        self._out.print(Text(text, style))

    def title(self, text: str) -> None:
        """A stop begins."""
        self._out.print()
        if self._out.is_terminal:
            self._out.print(Rule(Text(text, "bold cyan"), align="left"))
        else:
            self._out.print(Text(f"== {text}"))

    def command(self, line: str) -> None:
        """What is run, in one line that can be copied: never wrapped by us."""
        self._out.print(Text.assemble(("$ ", "dim"), (line, "bold")), soft_wrap=True)

    def output(self, text: str) -> None:
        """What it said, indented, each line as it is."""
        if text.strip():
            for line in text.strip("\n").splitlines():
                self._out.print(Text.assemble("  ", Text.from_ansi(line)), soft_wrap=True)

    def verdict(self, problems: list[str]) -> None:
        """Whether the stop showed what it must."""
        if not problems:
            self._out.print(Text("✓ as it must be", "green"))
        for problem in problems:
            self._out.print(Text(f"✗ {problem}", "bold red"))
