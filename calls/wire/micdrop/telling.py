"""What the server tells a client: entries, sound, and whose turn it is."""

from collections.abc import Callable, Mapping
from typing import Any

from calls.domain import effects as do
from calls.domain.items import Item, Role
from calls.ports.client import AudioEnd, AudioFrame, Outgoing
from calls.wire.micdrop.speaking import Mp3Voice, PcmVoice, Sound, Voice
from calls.wire.micdrop.story import Story
from calls.wire.micdrop.versions import Version
from calls.wire.micdrop.words import WORDS, Frames, Words


class Telling:
    """The server's half of a socket.

    A client that has finished speaking shows that it waits, until sound comes or it is told that
    none will: it must not be left waiting.

    Args:
        query: of the address; says what the client wants beside the usual.

    Attributes:
        waited_for: the client waits for an answer; it does so from the beginning.
    """

    def __init__(self, query: Mapping[str, str], version: Version) -> None:
        self.waited_for = True
        self._query = query
        self._listening = False
        self._ended_id = 0
        """The latest answer of which all sound was sent."""
        self._story = Story()
        self._words: Words
        self._voice: Voice
        self.be(version)

    def be(self, version: Version) -> None:
        """Speak as this version does, from now on."""
        self._words = WORDS[version]
        self._streamed = False
        self._rounds = not version.camel
        if version is Version.V2:
            self._voice = PcmVoice()
        else:
            streams = version is Version.V1 and self._query.get("audio") == "stream"
            self._voice = Mp3Voice(streams=streams)
        self._streams = isinstance(self._voice, Mp3Voice) and self._voice.streams

    # The caller

    def started(self) -> None:
        """The caller speaks: it is not the agent's turn any more, nor that of waiting."""
        self.waited_for = self._listening = False

    def stopped(self) -> Frames:
        """The caller has finished, and waits; unless the call is not going to answer."""
        self.waited_for = True
        return self._settled()

    def skipped(self) -> Frames:
        """There will be no answer to what the client has just sent."""
        self.waited_for = False
        return self._words.skipped()

    # The call

    def write(self, message: Outgoing) -> Frames:
        """The frames that say it."""
        write = _WRITERS.get(type(message))
        if write is None:
            return ()
        frames = write(self, message)
        if any(isinstance(frame, bytes) for frame in frames) or self._words.cancel_user in frames:
            self.waited_for = False
        return frames + self._settled()

    def _settled(self) -> Frames:
        if self.waited_for and self._listening and not self._story.owes:
            return self.skipped()
        return ()

    def _sound(self, frame: AudioFrame) -> Frames:
        return self._audible(self._voice.feed(frame.response_id, frame.pcm))

    def _sound_end(self, end: AudioEnd) -> Frames:
        self._ended_id = max(self._ended_id, end.response_id)
        return self._audible(self._voice.rest(end.response_id))

    def _audible(self, sound: Sound) -> Frames:
        """Sound, and before the first of a stream that it is one."""
        if not sound or not self._streams or self._streamed:
            return sound
        self._streamed = True
        return (*self._words.streams(), *sound)

    def _clear(self, cleared: do.ClearAudio) -> Frames:
        """Words are taken back as long as there is sound of them that was not sent."""
        self._voice.clear(cleared.response_id)
        told = self._story.cut(cleared.response_id)
        if not told or cleared.response_id <= self._ended_id or not self._words.cancel_assistant:
            return ()
        self._story.take_back()
        return self._words.assistant_cancelled()

    def _text(self, piece: do.SendResponseText) -> Frames:
        so_far = self._story.add(piece.response_id, piece.text)
        return self._words.so_far(so_far) if self._query.get("partials") == "1" else ()

    def _made(self, made: do.SendResponseMade) -> Frames:
        if made.outcome is do.Outcome.TOOLS and self._rounds:
            frames = self._story.round_of(self._words, made.response_id)
            return frames + self._audible(self._voice.round(made.response_id))
        if made.outcome not in (do.Outcome.COMPLETE, do.Outcome.TOOLS):
            self._story.fail(made.response_id)
        return ()

    def _item(self, sent: do.SendItem) -> Frames:
        item = sent.item
        frames = self._story.item(self._words, item)
        if frames:
            frames += self._classification(item)
        if item.role is Role.AGENT and item.response_id is not None:
            frames += self._audible(self._voice.told(item.response_id))
        return frames

    def _classification(self, item: Item) -> Frames:
        found = item.metadata.get("classification")
        if isinstance(found, dict) and self._query.get("classification") == "1":
            return self._words.classified(found)
        return ()

    def _phase(self, sent: do.SendPhase) -> Frames:
        self._listening = sent.phase is do.Phase.LISTENING
        return ()


_WRITERS: Mapping[type, Callable[[Telling, Any], Frames]] = {
    AudioFrame: Telling._sound,
    AudioEnd: Telling._sound_end,
    do.ClearAudio: Telling._clear,
    do.SendResponseText: Telling._text,
    do.SendResponseMade: Telling._made,
    do.SendItem: Telling._item,
    do.SendPhase: Telling._phase,
    do.EndCall: lambda telling, _end: telling._words.ended(),
}
