"""What can't be read in one way alone, and so can't be masked: why, and how that is said."""

from hoopproxy.wire.http.reading import Shown


class Unreadable(ValueError):
    """The text says why, as the end of "…, because": for people, and without a part of what was read."""

    @property
    def sentence(self) -> str:
        """For the client."""
        return f"The gateway masks what this target answers, and withholds this, because {self}."


def refused(why: Unreadable) -> Shown:
    """What becomes of a body that can't be read."""
    return Shown(refusal=why.sentence)
