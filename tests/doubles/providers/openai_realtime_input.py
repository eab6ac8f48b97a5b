"""The input buffer of a realtime session: who ends a turn, and what was heard."""

import asyncio
from typing import TYPE_CHECKING, Any

from tests.doubles.providers.openai_realtime_config import EAGERNESS_MS, LIVE_MODELS
from tests.doubles.providers.openai_realtime_script import (
    BYTES_PER_MS,
    Hear,
    RejectedError,
    transcription_usage,
)

if TYPE_CHECKING:
    from tests.doubles.providers.openai_realtime_session import RealtimeSession

FRAME = 10 * BYTES_PER_MS
SMALLEST = 100 * BYTES_PER_MS
TRANSCRIPT = "conversation.item.input_audio_transcription"


class InputBuffer:
    """Audio since the last commit. With turn detection, any sample that is not zero is speech."""

    def __init__(self, session: "RealtimeSession") -> None:
        self._session = session
        self.pcm = bytearray()
        self._item_id = ""
        self._partials = 0
        self._total = 0
        self._speaking = False
        self._quiet_ms = 0
        self.heard: dict[str, asyncio.Future[str]] = {}

    @property
    def item_id(self) -> str:
        """Of the item that this audio will be."""
        self._item_id = self._item_id or self._session.new_id("item")
        return self._item_id

    def append(self, pcm: bytes) -> None:
        if len(pcm) % 2:
            raise RejectedError("invalid_value", "Half a sample.", "audio")
        turns = self._session.input["turn_detection"]
        for at in range(0, len(pcm), FRAME) if turns is not None else ():
            self._frame(pcm[at : at + FRAME], turns)
        if turns is None:
            self.pcm += pcm
            self._total += len(pcm)
            if pcm.strip(b"\0"):
                self._partial()

    def clear(self) -> None:
        self.pcm.clear()
        self._begin_anew()
        self._session.emit("input_audio_buffer.cleared")

    def commit(self) -> None:
        if len(self.pcm) < SMALLEST:
            message = (
                "Error committing input audio buffer: buffer too small. Expected at least 100ms "
                f"of audio, but buffer only has {len(self.pcm) / BYTES_PER_MS:.2f}ms of audio."
            )
            raise RejectedError("input_audio_buffer_commit_empty", message)
        session, pcm, item_id, sent = self._session, bytes(self.pcm), self.item_id, self._partials
        self.pcm.clear()
        self._begin_anew()
        item = {"id": item_id, "object": "realtime.item", "type": "message", "role": "user"}
        item |= {"status": "completed", "content": [{"type": "input_audio", "transcript": None}]}
        item["audio_ms"] = len(pcm) // BYTES_PER_MS
        previous = session.conversation.insert(item)
        session.conversation.audio[item_id] = session.appended_pcm[item_id] = pcm
        session.emit("input_audio_buffer.committed", item_id=item_id, previous_item_id=previous)
        session.emit_item("added", item, previous)
        session.emit_item("done", item, previous)
        self.heard[item_id] = asyncio.get_running_loop().create_future()
        session.start(self._transcribe(item, pcm, session.double.next_heard(), sent))

    def _begin_anew(self) -> None:
        self._item_id, self._partials, self._speaking, self._quiet_ms = "", 0, False, 0

    def _frame(self, frame: bytes, turns: dict[str, Any]) -> None:
        self.pcm += frame
        self._total += len(frame)
        if frame.strip(b"\0"):
            self._quiet_ms = 0
            if not self._speaking:
                self._started(turns, len(frame))
        elif self._speaking:
            self._quiet_ms += len(frame) // BYTES_PER_MS
            if self._quiet_ms >= _silence_ms(turns):
                self._stopped(turns)

    def _started(self, turns: dict[str, Any], size: int) -> None:
        self._speaking = True
        kept = min(len(self.pcm), turns.get("prefix_padding_ms", 300) * BYTES_PER_MS + size)
        del self.pcm[: len(self.pcm) - kept]
        start_ms = (self._total - kept) // BYTES_PER_MS
        started = "input_audio_buffer.speech_started"
        self._session.emit(started, audio_start_ms=start_ms, item_id=self.item_id)
        if turns["interrupt_response"]:
            self._session.responses.interrupt()

    def _stopped(self, turns: dict[str, Any]) -> None:
        end_ms = self._total // BYTES_PER_MS
        stopped = "input_audio_buffer.speech_stopped"
        self._session.emit(stopped, audio_end_ms=end_ms, item_id=self.item_id)
        self.commit()
        if turns["create_response"]:
            self._session.responses.create({})

    def _partial(self) -> None:
        transcription = self._session.input["transcription"] or {}
        hear = self._session.double.heard_next()
        if transcription.get("model") not in LIVE_MODELS or hear is None:
            return
        if self._partials < len(hear.partials):
            self._delta(self.item_id, hear.partials[self._partials])
            self._partials += 1

    def _delta(self, item_id: str, text: str) -> None:
        self._session.emit(f"{TRANSCRIPT}.delta", item_id=item_id, content_index=0, delta=text)

    async def _transcribe(
        self, item: dict[str, Any], pcm: bytes, hear: Hear | None, sent: int
    ) -> None:
        double, item_id = self._session.double, item["id"]
        transcription = self._session.input["transcription"]
        hear = hear or Hear(await double.transcribed(pcm))
        self.heard[item_id].set_result("" if hear.fails else hear.text)
        if transcription is None:
            return
        for partial in hear.partials[sent:] or ((hear.text,) if not hear.partials else ()):
            self._delta(item_id, partial)
        if hear.after is not None:
            await hear.after.wait()
        where: dict[str, Any] = {"item_id": item_id, "content_index": 0}
        if hear.fails:
            error = {"type": "transcription_error", "code": hear.fails, "message": "It failed."}
            self._session.emit(f"{TRANSCRIPT}.failed", **where, error=error | {"param": None})
            return
        item["content"][0]["transcript"] = hear.text
        by_duration = double.usage_by_duration or transcription["model"] == "whisper-1"
        usage = transcription_usage(item["audio_ms"], hear.text, by_duration=by_duration)
        self._session.emit(f"{TRANSCRIPT}.completed", **where, transcript=hear.text, usage=usage)


def _silence_ms(turns: dict[str, Any]) -> int:
    if turns["type"] == "semantic_vad":
        return EAGERNESS_MS[turns["eagerness"]]
    return int(turns["silence_duration_ms"])
