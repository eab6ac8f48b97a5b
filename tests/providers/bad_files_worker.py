"""A decoder of files that a hostile file has got the better of; within its limits all the same."""

import os
import sys

from calls.providers.containers.worker import decoding
from calls.providers.embedded.worker import run


def hungry():
    decode = decoding()

    def eat(line, job):
        if job.payload.startswith(b"all"):
            return bytes(len(bytearray(2 << 30)))
        return decode(line, job)

    return eat


def endless():
    decoding()

    def compute(_line, _job):
        while True:
            pass

    return compute


def thorough():
    """Dies of every file, as a decoder with a fault of memory does."""
    decoding()
    return lambda _line, _job: os.abort()


if __name__ == "__main__":
    run({f.__name__: f for f in (hungry, endless, thorough)}[sys.argv[1]], int(sys.argv[2]))
