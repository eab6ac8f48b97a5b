"""A whole call by `livekit-plugins-openai`: call.py <base url> <key> <folder of sounds> <ms heard>.

Runs in an environment of its own. What happens is printed, a JSON object a line.
"""

import asyncio
import json
import sys
from pathlib import Path

import aiohttp
from livekit import rtc
from livekit.agents import llm
from livekit.agents.llm import function_tool
from livekit.plugins.openai import realtime

PATIENCE_S = 20
RATE_HZ = 24_000
FRAME_BYTES = 4_800


def say(kind, **fields):
    sys.stdout.write(json.dumps({"type": kind, **fields}) + "\n")
    sys.stdout.flush()


@function_tool
async def opening_hours(day: str) -> str:
    """Say when the practice is open on a day of the week."""
    return json.dumps({"day": day, "opens": "10:00", "closes": "14:00"})


class Answer:
    """What one generation came to."""

    def __init__(self):
        self.text = ""
        self.sound_ms = 0
        self.item_id = ""
        self.calls = []

    async def taken(self, generation):
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(self._messages(generation), self._calls(generation))
        return self

    async def _messages(self, generation):
        async for message in generation.message_stream:
            self.item_id = message.message_id
            await asyncio.gather(self._text(message), self._sound(message))

    async def _text(self, message):
        async for text in message.text_stream:
            self.text += str(text)

    async def _sound(self, message):
        async for frame in message.audio_stream:
            self.sound_ms += frame.samples_per_channel * 1000 // frame.sample_rate

    async def _calls(self, generation):
        async for call in generation.function_stream:
            self.calls.append(call)


class Call:
    def __init__(self, session, sounds):
        self.session = session
        self.sounds = sounds
        self.generations = asyncio.Queue()
        self.transcripts = asyncio.Queue()
        session.on("generation_created", self._created)
        session.on("input_audio_transcription_completed", self._heard)
        session.on("error", lambda error: say("error", what=str(error)))
        session.on("input_speech_started", lambda _: say("speech_started"))
        session.on("openai_server_event_received", self._event)
        self.kinds = set()

    def _event(self, event):
        self.kinds.add(event["type"])
        if event["type"] == "error":
            say("server_error", error=event["error"])

    def _created(self, event):
        if not event.user_initiated:
            self.generations.put_nowait(event)

    def _heard(self, event):
        if event.is_final:
            self.transcripts.put_nowait(event.transcript)

    async def asks(self, text):
        """Add it to the conversation and have it answered, tools included."""
        context = self.session.chat_ctx.copy()
        context.add_message(role="user", content=text)
        await self.session.update_chat_ctx(context)
        return await self.answered(await self.session.generate_reply())

    async def answered(self, generation):
        answer = await Answer().taken(generation)
        if not answer.calls:
            return answer
        context = self.session.chat_ctx.copy()
        for call in answer.calls:
            say("tool", name=call.name, arguments=json.loads(call.arguments))
            output = await opening_hours(**json.loads(call.arguments))
            context.items.append(
                llm.FunctionCallOutput(
                    call_id=call.call_id, name=call.name, output=output, is_error=False
                )
            )
        await self.session.update_chat_ctx(context)
        return await self.answered(await self.session.generate_reply())

    async def speaks(self, name):
        pcm = (self.sounds / f"{name}.pcm").read_bytes()
        for at in range(0, len(pcm), FRAME_BYTES):
            data = pcm[at : at + FRAME_BYTES]
            frame = rtc.AudioFrame(data, RATE_HZ, 1, len(data) // 2)
            self.session.push_audio(frame)
            await asyncio.sleep(0.1)


async def main(base_url, key, sounds, heard_ms):
    async with aiohttp.ClientSession() as http:
        model = realtime.RealtimeModel(
            base_url=base_url, api_key=key, model="front", http_session=http
        )
        call = Call(model.session(), Path(sounds))
        await call.session.update_instructions("Answer briefly.")
        await call.session.update_tools([opening_hours])

        greeting = await call.answered(await call.session.generate_reply())
        say("greeting", text=greeting.text)
        for text in ("What are your opening hours?", "What are your opening hours on Friday?"):
            answer = await call.asks(text)
            say("answer", text=answer.text, sound_ms=answer.sound_ms)

        await asyncio.sleep(0.5)
        await call.speaks("hours")
        generation = await asyncio.wait_for(call.generations.get(), PATIENCE_S)
        answer = await call.answered(generation)
        say("heard", transcript=await asyncio.wait_for(call.transcripts.get(), PATIENCE_S))
        say("answer", text=answer.text)

        answer = await call.asks("How can I get to your office by bus?")
        call.session.truncate(
            message_id=answer.item_id, modalities=["audio"], audio_end_ms=int(heard_ms)
        )
        await asyncio.sleep(1)
        say(
            "history",
            items=[item.model_dump(mode="json") for item in call.session.chat_ctx.items],
        )
        say("events", types=sorted(call.kinds))
        await call.session.aclose()


asyncio.run(main(*sys.argv[1:]))
