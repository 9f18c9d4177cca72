"""One connection's recording as the relay uses it: every call of the recorder bounded, checked and blamed on it.

What is recorded is shown to those who watch. Knows neither where recordings lie nor what is in them.
"""

from collections.abc import Callable, Sequence
from functools import partial

from hoopproxy.asking import Asking, a, at_once
from hoopproxy.events import Record
from hoopproxy.interfaces import IRecorder, IRecording
from hoopproxy.model import Manifest, Passage, Tally
from hoopproxy.relay.gallery import Gallery, Showing


class Tape:
    """A recording that is running."""

    def __init__(self, recorder: IRecorder, recording: IRecording, ask: Asking, show: Callable[[], Showing]) -> None:
        self._recorder, self._recording, self._ask = recorder, recording, ask
        self.rows_max = at_once(recorder, "rows_max", lambda: recording.rows_max, a(int))
        self.strict = at_once(recorder, "strict", lambda: recording.strict, a(bool))
        self._showing = show()  # last: from here on it has to be closed

    def record(self, at_s: float, events: Sequence[Record], shown: bytes) -> int:
        """Keep events and count what is shown; the credit left in bytes. @raise AddonFailure, EvidenceUnavailable."""
        credit = at_once(self._recorder, "record", partial(self._recording.record, at_s, events, shown), a(int))
        self._showing.saw(at_s, events)
        return credit

    async def settle(self) -> None:
        """Returns when all recorded so far is durable. @raise AddonFailure, EvidenceUnavailable."""
        await self._ask(self._recorder, "settle", self._recording.settle, a(type(None)))

    async def close(self, tally: Tally, reason: str) -> Manifest:
        """The end of the recording, durable. @raise AddonFailure, EvidenceUnavailable."""
        self._showing.over(tally, reason)
        return await self._ask(self._recorder, "close", partial(self._recording.close, tally, reason), a(Manifest))


async def start(recorder: IRecorder, passage: Passage, ask: Asking, gallery: Gallery) -> Tape:
    """A recording of one connection, its header durable. @raise AddonFailure, EvidenceUnavailable."""
    recording = await ask(recorder, "open", partial(recorder.open, passage), _recording)
    return Tape(recorder, recording, ask, partial(gallery.show, passage))


def _recording(answer: object) -> IRecording:
    if not IRecording.providedBy(answer):
        raise TypeError(f"it answered {type(answer).__name__}, which is no IRecording")
    return answer
