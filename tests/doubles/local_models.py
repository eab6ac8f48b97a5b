"""Small made-up models that the real libraries load: a voice of tones, and ears that hear one text.

Their sound and words mean nothing; that they are loaded, run and cancelled does.
"""

import json
from pathlib import Path

VOICE_RATE_HZ = 22_050
TONE_SAMPLES = 1_000
"""For each phoneme id, at the normal pace."""

_INT64, _FLOAT = 7, 1


def install_note(folder: Path, engine: str, languages: list[str]) -> None:
    note = {"engine": engine, "languages": languages, "sha256": {}}
    (folder / "installed.json").write_text(json.dumps(note))


def make_piper_voice(folder: Path, language: str = "en-US") -> None:
    """A tone for each phoneme id: sin(id * t / 50), longer at a slower pace."""
    folder.mkdir(parents=True)
    (folder / "voice.onnx").write_bytes(_tone_model())
    phonemes = "_^$ abcdefghijklmnopqrstuvwxyzɪəɛæɑɔʊʌθðʃʒŋɹˈˌː.,?!"
    config = {
        "audio": {"sample_rate": VOICE_RATE_HZ},
        "espeak": {"voice": language.lower()},
        "inference": {"noise_scale": 0.0, "length_scale": 1.0, "noise_w": 0.0},
        "num_symbols": len(phonemes),
        "num_speakers": 1,
        "phoneme_id_map": {phoneme: [index] for index, phoneme in enumerate(phonemes)},
    }
    (folder / "voice.onnx.json").write_text(json.dumps(config))
    install_note(folder, "piper", [language])


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _field(number: int, value: int | str | bytes) -> bytes:
    """A field of a protocol buffer, the format of ONNX."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value % (1 << 64))
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _value(name: str, kind: int, dims: list[int | str]) -> bytes:
    shape = b"".join(
        _field(1, _field(1, dim) if isinstance(dim, int) else _field(2, dim)) for dim in dims
    )
    return _field(1, name) + _field(2, _field(1, _field(1, kind) + _field(2, shape)))


def _tensor(name: str, kind: int, dims: list[int], raw: bytes) -> bytes:
    head = b"".join(_field(1, dim) for dim in dims)
    return head + _field(2, kind) + _field(8, name) + _field(9, raw)


def _node(op: str, inputs: list[str], output: str, attributes: dict[str, int] | None = None):
    body = b"".join(_field(1, name) for name in inputs) + _field(2, output) + _field(4, op)
    for name, number in (attributes or {}).items():
        body += _field(5, _field(1, name) + _field(3, number) + _field(20, 2))
    return body


def _tone_model() -> bytes:
    import numpy as np

    def floats(name, number):
        return _tensor(name, _FLOAT, [], np.float32(number).tobytes())

    def shape(name, *dims):
        return _tensor(name, _INT64, [len(dims)], np.array(dims, np.int64).tobytes())

    nodes = [
        _node("Cast", ["input"], "ids", {"to": _FLOAT}),
        _node("Reshape", ["ids", "column"], "each"),
        _node("Gather", ["scales", "one"], "pace"),
        _node("Mul", ["pace", "samples"], "end"),
        _node("Range", ["zero", "end", "step"], "time"),
        _node("Mul", ["each", "time"], "phase"),
        _node("Sin", ["phase"], "tones"),
        _node("Reshape", ["tones", "flat"], "output"),
    ]
    constants = [
        shape("column", -1, 1),
        shape("flat", 1, 1, -1),
        _tensor("one", _INT64, [], np.int64(1).tobytes()),
        floats("samples", TONE_SAMPLES / 50),
        floats("zero", 0),
        floats("step", 1 / 50),
    ]
    inputs = [
        _value("input", _INT64, [1, "phonemes"]),
        _value("input_lengths", _INT64, [1]),
        _value("scales", _FLOAT, [3]),
    ]
    graph = b"".join(_field(1, node) for node in nodes) + _field(2, "tones")
    graph += b"".join(_field(5, constant) for constant in constants)
    graph += b"".join(_field(11, each) for each in inputs)
    graph += _field(12, _value("output", _FLOAT, [1, 1, "samples"]))
    return _field(1, 8) + _field(8, _field(1, "") + _field(2, 13)) + _field(7, graph)


HEARD = "hello from the model"
_TEXT_END, _FIRST_WORD = 50_257, 100
_SIZE, _WIDTH = 51_864, 64
_SPECIAL = {
    "<|endoftext|>": _TEXT_END,
    "<|startoftranscript|>": 50_258,
    "<|translate|>": 50_358,
    "<|transcribe|>": 50_359,
    "<|startoflm|>": 50_360,
    "<|startofprev|>": 50_361,
    "<|nospeech|>": 50_362,
    "<|notimestamps|>": 50_363,
}
_PROMPT_TOKENS = 2


def make_whisper_model(folder: Path) -> None:
    """English Whisper with one layer and no weights, that answers every sound with `HEARD`.

    Its decoder sees positions alone: each one calls for the next word of the text.
    """
    folder.mkdir(parents=True)
    tokens = [f"<{number}>" for number in range(_SIZE)]
    for token, number in _SPECIAL.items():
        tokens[number] = token
    words = HEARD.split()
    tokens[_FIRST_WORD : _FIRST_WORD + len(words)] = words
    _save_weights(folder, tokens, len(words))
    vocabulary = {token: number for number, token in enumerate(tokens)}
    model = {"type": "WordLevel", "vocab": vocabulary, "unk_token": tokens[0]}
    (folder / "tokenizer.json").write_text(json.dumps({"version": "1.0", "model": model}))
    install_note(folder, "whisper", ["many"])


def _save_weights(folder: Path, tokens: list[str], words: int) -> None:
    import numpy as np
    from ctranslate2.specs import WhisperSpec

    spec = WhisperSpec(1, 1, 1, 1)
    shapes = _shapes()
    for name, shape in shapes.items():
        value = np.ones if name.endswith("gamma") else np.zeros
        _set(spec, name, value(shape, np.float32))
    positions = np.zeros((448, _WIDTH), np.float32)
    projection = np.zeros((_SIZE, _WIDTH), np.float32)
    for step in range(_WIDTH):
        positions[step, step] = 1.0
        word = step - _PROMPT_TOKENS + 1
        projection[_FIRST_WORD + word if 0 <= word < words else _TEXT_END, step] = 10.0
    _set(spec, "decoder/position_encodings/encodings", positions)
    _set(spec, "decoder/projection/weight", projection)
    spec.register_vocabulary(tokens)
    spec.config.suppress_ids = []
    spec.config.suppress_ids_begin = []
    spec.config.alignment_heads = [(0, 0)]
    spec.validate()
    spec.save(str(folder))


def _set(spec, path: str, value) -> None:
    *scopes, name = path.split("/")
    for scope in scopes:
        whole, _, index = scope.rpartition("_")
        listed = None if hasattr(spec, scope) else getattr(spec, whole)[int(index)]
        spec = getattr(spec, scope) if listed is None else listed
    setattr(spec, name, value)


def _shapes() -> dict[str, tuple[int, ...]]:
    d = _WIDTH
    shapes: dict[str, tuple[int, ...]] = {
        "encoder/conv1/weight": (d, 80, 3),
        "encoder/conv1/bias": (d,),
        "encoder/conv2/weight": (d, d, 3),
        "encoder/conv2/bias": (d,),
        "encoder/position_encodings/encodings": (1500, d),
        "decoder/embeddings/weight": (_SIZE, d),
    }
    for side, attentions in (
        ("encoder", ("self_attention",)),
        ("decoder", ("self_attention", "attention")),
    ):
        norms = [f"{side}/layer_norm", f"{side}/layer_0/ffn/layer_norm"]
        linears = {"ffn/linear_0": (4 * d, d), "ffn/linear_1": (d, 4 * d)}
        for attention in attentions:
            norms.append(f"{side}/layer_0/{attention}/layer_norm")
            rows = (3 * d, d) if attention == "self_attention" else (d, 2 * d, d)
            linears |= {f"{attention}/linear_{n}": (r, d) for n, r in enumerate(rows)}
        for name, (rows_, columns) in linears.items():
            shapes[f"{side}/layer_0/{name}/weight"] = (rows_, columns)
            shapes[f"{side}/layer_0/{name}/bias"] = (rows_,)
        for norm in norms:
            shapes |= {f"{norm}/gamma": (d,), f"{norm}/beta": (d,)}
    return shapes
