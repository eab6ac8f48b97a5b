"""How a review words its figures."""

import re
from collections.abc import Mapping

_TOKEN_PARTS = {
    "cached_tokens": "cached",
    "reasoning_tokens": "for thinking",
    "input_audio_tokens": "of sound in",
    "cached_audio_tokens": "of sound cached",
    "output_audio_tokens": "of sound out",
}
_TOKENS = ("input_tokens", "output_tokens")
_COUNTED = {"characters": "character", "character_cost": "charged character"}
_LASTING = {"audio_ms": "of sound", "spoken_ms": "spoken"}
_PROTOCOLS = {
    "browser": "Browser page",
    "micdrop": "micdrop",
    "avr": "AVR",
    "socketio": "Socket.IO",
    "openai-realtime": "OpenAI Realtime",
    "twilio": "Twilio",
}
_HEARD = {
    "reported": "The client told how far it had played each answer.",
    "paced": (
        "The server sent the sound no faster than it is played, so that it knows to within a"
        " fraction of a second what the caller had heard of an answer that was cut off."
    ),
    "assumed": (
        "The client keeps the sound and plays it by itself. It is taken to have been played at an"
        " even pace from its arrival on, unless the client said otherwise: of an answer that was"
        " cut off the caller may have heard a little more or less than is shown."
    ),
}
_WORDED = {*_TOKENS, *_TOKEN_PARTS, *_COUNTED, *_LASTING}


def clock(ms: int) -> str:
    """A place in the call: minutes and seconds, hours where there are any."""
    hours, seconds = divmod(ms // 1000, 3600)
    minutes, seconds = divmod(seconds, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def seconds(ms: int) -> str:
    """A wait, as exact as it is read."""
    return f"{ms / 1000:.2f} s" if ms >= 1000 else f"{ms} ms"


def counted(count: int, word: str) -> str:
    """So many of them, such as "1 request" and "1,200 requests"."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def cost_words(micros: int, currency: str) -> str:
    """Money, such as "0.0123 USD": to the hundredth of a cent, never less than there is."""
    ten_thousandths = -(-micros // 100)
    return f"{ten_thousandths // 10_000:,}.{ten_thousandths % 10_000:04} {currency}"


def usage_words(usage: Mapping[str, int]) -> str:
    """What was used, such as "412 + 38 tokens, 120 cached, 2.4 s of sound"; zeros are left out."""
    tokens = [usage[name] for name in _TOKENS if usage.get(name)]
    words = [f"{' + '.join(f'{figure:,}' for figure in tokens)} tokens"] if tokens else []
    words += [f"{usage[name]:,} {part}" for name, part in _TOKEN_PARTS.items() if usage.get(name)]
    words += [counted(usage[name], one) for name, one in _COUNTED.items() if usage.get(name)]
    words += [
        f"{usage[name] / 1000:,.1f} s {what}" for name, what in _LASTING.items() if usage.get(name)
    ]
    others = {name: figure for name, figure in usage.items() if figure and name not in _WORDED}
    words += [f"{figure:,} {re.sub('_+', ' ', name)}" for name, figure in others.items()]
    return ", ".join(words)


def protocols() -> Mapping[str, str]:
    """What people call the protocols of this app, by their names on the record."""
    return _PROTOCOLS


def protocol_name(protocol: str) -> str:
    """What people call it; one of a project's own keeps the name that it gave itself."""
    return _PROTOCOLS.get(protocol, protocol)


def heard_words(heard: str) -> str:
    """How far what is shown as heard can be relied on."""
    return _HEARD.get(heard, "")
