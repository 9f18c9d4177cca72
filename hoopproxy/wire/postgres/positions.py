"""Where a place in a statement as it was sent lies in the statement as its client wrote it.

Knows neither messages nor why a statement was rewritten.
"""

from collections.abc import Sequence

from hoopproxy.events import Edit


def written(position: int, edits: Sequence[Edit]) -> int:
    """The position in the client's own text of the one at `position` in what was sent; both count characters from 1
    (manual, "Error and Notice Message Fields", P). What was put in lies where it was put."""
    grown = 0
    for edit in edits:
        begin = edit.at + grown
        if position - 1 < begin:
            break
        if position - 1 < begin + len(edit.put):
            return edit.at + 1
        grown += len(edit.put) - edit.removed
    return position - grown
