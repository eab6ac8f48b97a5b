"""A whole call by pipecat's OpenAI Realtime service: call.py <ws address> <key> <folder of sounds>.

Runs in an environment of its own. What happens is printed, a JSON object a line.
"""

import asyncio
import json
import sys
from pathlib import Path

from pipecat.adapters.schemas.function_schema import FunctionSchema
from pipecat.adapters.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import (
    ErrorFrame,
    InputAudioRawFrame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMRunFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    TTSTextFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.openai.realtime import events
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService
from pipecat.workers.runner import WorkerRunner

PATIENCE_S = 20
RATE_HZ = 24_000
FRAME_BYTES = 4_800


def say(kind, **fields):
    sys.stdout.write(json.dumps({"type": kind, **fields}) + "\n")
    sys.stdout.flush()


class Listener(FrameProcessor):
    """Stands behind the service, or before it, and tells what comes by."""

    def __init__(self):
        super().__init__()
        self.answers = asyncio.Queue()
        self.sound_bytes = 0
        self._text = ""

    async def process_frame(self, frame, direction):
        await super().process_frame(frame, direction)
        match frame:
            case ErrorFrame():
                say("error", what=frame.error)
            case TTSAudioRawFrame():
                self.sound_bytes += len(frame.audio)
            case TTSTextFrame():
                self._text += frame.text
            case InterruptionFrame() if direction is FrameDirection.DOWNSTREAM:
                say("interrupted")
            case LLMFullResponseEndFrame() if self._text:
                self.answers.put_nowait(self._text)
                self._text = ""
            case TranscriptionFrame():
                say("heard", transcript=frame.text)
        await self.push_frame(frame, direction)


class Call:
    def __init__(self, address, key, sounds):
        self.sounds = Path(sounds)
        self.kinds = set()
        self.llm = OpenAIRealtimeLLMService(
            api_key=key,
            base_url=address,
            settings=OpenAIRealtimeLLMService.Settings(
                model="front",
                system_instruction="Answer briefly.",
                session_properties=events.SessionProperties(
                    audio=events.AudioConfiguration(
                        input=events.AudioInput(
                            transcription=events.InputAudioTranscription(),
                            turn_detection=events.TurnDetection(silence_duration_ms=500),
                        )
                    )
                ),
            ),
        )
        self.llm.register_function("opening_hours", self._opening_hours)
        self.before, self.behind = Listener(), Listener()
        self.worker = self._worker()

    def _worker(self):
        tool = FunctionSchema(
            name="opening_hours",
            description="Say when the practice is open on a day of the week.",
            properties={"day": {"type": "string"}},
            required=["day"],
        )
        context = LLMContext(
            messages=[{"role": "user", "content": "What are your opening hours?"}],
            tools=ToolsSchema(standard_tools=[tool]),
        )
        self.context = context
        pair = LLMContextAggregatorPair(context)
        parts = [self.before, pair.user(), self.llm, self.behind, pair.assistant()]
        params = PipelineParams(audio_in_sample_rate=RATE_HZ, audio_out_sample_rate=RATE_HZ)
        return PipelineWorker(
            Pipeline(parts), params=params, cancel_on_idle_timeout=False, enable_rtvi=False
        )

    async def _opening_hours(self, params):
        say("tool", name=params.function_name, arguments=dict(params.arguments))
        day = params.arguments["day"]
        await params.result_callback({"day": day, "opens": "10:00", "closes": "14:00"})

    async def converse(self):
        await self.worker.queue_frame(LLMRunFrame())
        await self._answer()
        await self._speaks("hours")
        await self._answer()
        await self._speaks("friday")
        await self._answer()
        await asyncio.sleep(0.5)
        say("context", messages=self.context.messages)
        await self.worker.cancel()

    async def _answer(self):
        text = await asyncio.wait_for(self.behind.answers.get(), PATIENCE_S)
        say("answer", text=text, sound_ms=self.behind.sound_bytes * 1000 // (RATE_HZ * 2))

    async def _speaks(self, name):
        pcm = (self.sounds / f"{name}.pcm").read_bytes()
        for at in range(0, len(pcm), FRAME_BYTES):
            sound = pcm[at : at + FRAME_BYTES]
            await self.worker.queue_frame(InputAudioRawFrame(sound, RATE_HZ, 1))
            await asyncio.sleep(0.1)


async def main(address, key, sounds):
    call = Call(address, key, sounds)
    runner = WorkerRunner()
    await runner.add_workers(call.worker)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(runner.run())
        tasks.create_task(call.converse())


asyncio.run(main(*sys.argv[1:]))
