"""A worker for downloaded models: `python -m calls.providers.local.worker piper|whisper <ms>`.

Speaks the protocol of the embedded workers. A model is loaded by the first job that asks for it.
"""

import os
import sys

from calls.providers.embedded.messages import Kind, Message, pack_sound, unpack_fields
from calls.providers.embedded.worker import Line, Work, run
from calls.providers.local.jobs import unpack_utterance


def recognition() -> Work:
    from calls.providers.local.whisper import Whisper

    whisper = Whisper()

    def recognise(_line: Line, job: Message) -> bytes:
        folder, language, pcm = unpack_utterance(job.payload)
        return whisper.transcribe(folder, language, pcm).encode()

    return recognise


def synthesis() -> Work:
    from calls.providers.local.piper_voice import Piper

    piper = Piper()

    def synthesise(line: Line, job: Message) -> bytes:
        asked = unpack_fields(job.payload)
        for pcm in piper.speak(asked["folder"], asked["text"], asked["speed"]):
            line.send(Message(Kind.CHUNK, job.job, pack_sound(pcm, ())))
            if line.cancelled(job.job):
                break
        return b""

    return synthesise


WORK = {"whisper": recognition, "piper": synthesis}

if __name__ == "__main__":
    try:
        run(WORK[sys.argv[1]], int(sys.argv[2]))
    except BrokenPipeError:
        os._exit(0)
