"""How `--help` looks: whatever the terminal's width, no line is longer, and no word is cut."""

import re
from argparse import Action, RawDescriptionHelpFormatter

from client.cli.folding import folded

_COLUMNS = re.compile(r" *\S+(?: \S+)* {2,}(?=\S)")
"""What stands before the text of a line that has two columns."""

_COMMAND = re.compile(r" +(?:shiftwork|eval) ")
_WORD = re.compile(r"(?:--[\w-]+ (?=[^\s-]))?(?:'[^']*'|\"[^\"]*\"|[^\s'\"])+")
"""A word as shells take it, after the option that it belongs to."""
_GOES_ON = " \\"
_HANG = 6


class HelpFormatter(RawDescriptionHelpFormatter):
    """Keeps lines of descriptions and examples apart, and folds those that are too long."""

    def add_argument(self, action: Action) -> None:
        """Have the column of names be wide enough for commands, too, which stand further in."""
        super().add_argument(action)
        for command in self._iter_indented_subactions(action):
            length = len(self._format_action_invocation(command)) + self._current_indent
            self._action_max_length = max(self._action_max_length, length)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n".join(_fitted(f"{indent}{line}", width) for line in text.splitlines())


def _fitted(line: str, width: int) -> str:
    if len(line) <= width:
        return line
    if _COMMAND.match(line):
        return _command(line, width)
    columns = _COLUMNS.match(line)
    return folded(line, width=width, hang=len(columns[0]) if columns else len(line) - len(line.lstrip()))


def _command(line: str, width: int) -> str:
    """A command line that goes on in the next line, so that it can be copied as it is."""
    lines = [line[: len(line) - len(line.lstrip())]]
    for word in _WORD.findall(line):
        longer = f"{lines[-1]} {word}" if lines[-1].strip() else f"{lines[-1]}{word}"
        if len(longer) + len(_GOES_ON) <= width or not lines[-1].strip():
            lines[-1] = longer
        else:
            lines[-1] += _GOES_ON
            lines.append(f"{'':{_HANG}}{word}")
    return "\n".join(lines)
