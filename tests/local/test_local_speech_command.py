"""`manage.py local_speech` against a real web server with switchable faults."""

import hashlib
import io
import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from calls.providers.local.catalogue import BUILT_IN, catalogue_read
from calls.providers.local.errors import LocalModelError
from calls.providers.local.shelf import Shelf
from tests.doubles.file_server import FileServer, file_server

MODEL = bytes(range(256)) * 4_000
CONFIG = b'{"rate": 22050}'
FILES = {"/voice.onnx": MODEL, "/voice.onnx.json": CONFIG}
ROOT = Path(__file__).parents[2]


@pytest.fixture
def server() -> Iterator[FileServer]:
    with file_server(dict(FILES)) as running:
        yield running


@pytest.fixture
def models(settings, tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    settings.CALLS = settings.CALLS | {"LOCAL_MODELS_DIR": folder}
    return folder


@pytest.fixture
def catalogue(server: FileServer, tmp_path: Path) -> Callable[..., Path]:
    def write(*, known: bool = True, sha256: str = "", url: str = "", **fields) -> Path:
        files = [
            {
                "name": path[1:],
                "url": (url or server.url("")) + path,
                "size_bytes": len(body),
                "sha256": (sha256 or hashlib.sha256(body).hexdigest()) if known else None,
            }
            for path, body in FILES.items()
        ]
        entry = {
            "name": "tone",
            "engine": "piper",
            "about": "Voice, made up",
            "languages": ["en-US"],
            "packages": ["no-such-package", "django"],
            "licence": "CC0",
            "licence_url": "https://example.org/licence",
            "files": files,
        }
        path = tmp_path / "catalogue.json"
        path.write_text(json.dumps({"models": [entry | fields]}))
        return path

    return write


def run(*words: object) -> str:
    said = io.StringIO()
    call_command("local_speech", *map(str, words), stdout=said)
    return said.getvalue()


def install(catalogue: Path, *more: object) -> str:
    return run("install", "tone", "--yes", "--catalogue", catalogue, *more)


def refusal(*words: object) -> str:
    with pytest.raises(CommandError) as refused:
        run(*words)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def install_refusal(catalogue: Path, *more: object) -> str:
    return refusal("install", "tone", "--yes", "--catalogue", catalogue, *more)


def test_a_model_is_downloaded_verified_and_listed(models: Path, catalogue):
    said = install(catalogue())
    assert f"tone is installed in {models / 'tone'}." in said
    assert (models / "tone/voice.onnx").read_bytes() == MODEL
    assert (models / "tone/voice.onnx.json").read_bytes() == CONFIG
    assert not list(models.glob("**/*.part*"))
    assert Shelf(models).installed_of("piper") == {"tone": ("en-US",)}
    assert Shelf(models).installed_of("whisper") == {}
    listed = run("list", "--catalogue", catalogue())
    assert "tone  [installed]" in listed
    assert "whisper-base  [not installed]" in listed


def test_what_is_listed_says_size_licence_languages_and_packages(models: Path, catalogue):
    listed = run("list", "--catalogue", catalogue())
    assert "Voice, made up; about 1 MB" in listed
    assert "licence: CC0 (https://example.org/licence)" in listed
    assert "languages: en-US" in listed
    assert "no-such-package (not installed), django (installed: " in listed
    assert not models.exists()


@pytest.mark.parametrize(("answer", "taken"), [("y\n", True), ("n\n", False), ("\n", False)])
def test_nothing_is_downloaded_without_consent(
    models: Path, catalogue, server, monkeypatch, answer: str, taken: bool
):
    monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
    said = run("install", "tone", "--catalogue", catalogue())
    assert (models / "tone/voice.onnx").exists() is taken
    assert bool(server.asked) is taken
    assert ("Nothing was downloaded." in said) is not taken


def test_where_nobody_can_be_asked_nothing_is_downloaded(models, catalogue, server, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert "--yes" in refusal("install", "tone", "--catalogue", catalogue())
    assert not server.asked


def test_a_cut_download_goes_on_where_it_was_cut(models: Path, catalogue, server: FileServer):
    server.cut_after_bytes = 300_000
    assert "run the same command again" in install_refusal(catalogue())
    assert (models / "tone/voice.onnx.part").stat().st_size == 300_000
    assert "tone  [not installed]" in run("list", "--catalogue", catalogue())
    server.cut_after_bytes = None
    install(catalogue())
    assert ("/voice.onnx", "bytes=300000-", '"one"') in server.asked
    assert (models / "tone/voice.onnx").read_bytes() == MODEL


def test_a_file_that_changed_meanwhile_starts_over(models: Path, catalogue, server: FileServer):
    server.cut_after_bytes = 300_000
    install_refusal(catalogue(known=False), "--trust-first-download")
    server.cut_after_bytes, server.etag = None, '"two"'
    server.files["/voice.onnx"] = MODEL[::-1]
    install(catalogue(known=False), "--trust-first-download")
    assert (models / "tone/voice.onnx").read_bytes() == MODEL[::-1]


def test_without_checksum_and_without_the_servers_name_for_it_a_file_starts_over(
    models: Path, catalogue, server: FileServer
):
    server.cut_after_bytes, server.etag = 300_000, ""
    install_refusal(catalogue(known=False), "--trust-first-download")
    server.cut_after_bytes = None
    server.asked.clear()
    install(catalogue(known=False), "--trust-first-download")
    assert [wanted for path, wanted, _ in server.asked] == ["", ""]
    assert (models / "tone/voice.onnx").read_bytes() == MODEL


def test_a_server_without_ranges_starts_over(models: Path, catalogue, server: FileServer):
    server.cut_after_bytes = 300_000
    install_refusal(catalogue())
    server.cut_after_bytes, server.ranges = None, False
    install(catalogue())
    assert (models / "tone/voice.onnx").read_bytes() == MODEL


def test_a_download_that_was_complete_but_not_verified_is_not_fetched_again(
    models: Path, catalogue, server: FileServer
):
    (models / "tone").mkdir(parents=True)
    (models / "tone/voice.onnx.part").write_bytes(MODEL)
    install(catalogue())
    assert [path for path, _, _ in server.asked] == ["/voice.onnx", "/voice.onnx.json"]
    assert (models / "tone/voice.onnx").read_bytes() == MODEL


def test_a_wrong_checksum_removes_what_came(models: Path, catalogue):
    said = install_refusal(catalogue(sha256="0" * 64))
    assert said == "voice.onnx has the wrong checksum; what came was removed."
    assert not list(models.glob("tone/voice.onnx")) + list(models.glob("tone/*.part"))
    assert "tone  [not installed]" in run("list", "--catalogue", catalogue())


def test_a_file_that_is_not_there_says_so(models: Path, catalogue, server: FileServer):
    del server.files["/voice.onnx"]
    said = install_refusal(catalogue())
    assert said == f"The server answered 404 for {server.url('/voice.onnx')}."


def test_a_server_that_says_nothing_more_is_left(models: Path, catalogue, server: FileServer):
    server.stalls = True
    said = install_refusal(catalogue(), "--stall-seconds", "1")
    assert said.startswith("The server says nothing; voice.onnx can be gone on with")
    assert (models / "tone/voice.onnx.part").stat().st_size == len(MODEL) // 2


def test_a_server_that_never_ends_does_not_fill_the_disk(models, catalogue, server: FileServer):
    server.endless = True
    assert "far more than the catalogue says" in install_refusal(catalogue())
    assert (models / "tone/voice.onnx.part").stat().st_size == 0


def test_without_network_one_line_says_so(models: Path, catalogue):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    said = install_refusal(catalogue(url=f"http://127.0.0.1:{port}"))
    assert "cannot be reached" in said
    assert "Connection refused" in said


def test_a_disk_too_small_is_told_before_the_download(models, catalogue, server: FileServer):
    path = catalogue()
    entry = json.loads(path.read_text())
    entry["models"][0]["files"][0]["size_bytes"] = 10**15
    path.write_text(json.dumps(entry))
    assert "tone needs 1000000" in install_refusal(path)
    assert not server.asked


def test_a_disk_that_fills_up_is_told_and_gone_on_with(
    models: Path, catalogue, server: FileServer, tmp_path: Path
):
    path = catalogue()
    limited = (
        "import resource, sys; from pathlib import Path\n"
        "from calls.providers.local.catalogue import catalogue_read\n"
        "from calls.providers.local.shelf import Shelf\n"
        "model = catalogue_read(Path(sys.argv[1]))['tone']\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))\n"
        "Shelf(Path(sys.argv[2])).install(model, lambda file, got: None)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", limited, path, models],
        capture_output=True,
        cwd=ROOT,
        text=True,
        check=False,
        timeout=30,
    )
    assert ended.stderr.strip().endswith(
        "The disk is full; free some space and run the same command again (voice.onnx)."
    )
    assert 0 < (models / "tone/voice.onnx.part").stat().st_size <= 500_000
    install(path)
    assert any(wanted.startswith("bytes=") for _, wanted, _ in server.asked)
    assert (models / "tone/voice.onnx").read_bytes() == MODEL


def test_a_folder_that_cannot_be_made_is_told(models: Path, catalogue):
    models.write_text("in the way")
    assert "File exists" in install_refusal(catalogue())


def test_an_interrupted_install_is_told_in_one_line(models: Path, catalogue, monkeypatch):
    def interrupted(_prompt: str) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("builtins.input", interrupted)
    assert "Interrupted" in refusal("install", "tone", "--catalogue", catalogue())


def test_without_a_checksum_it_takes_an_explicit_word(models: Path, catalogue, server):
    said = install_refusal(catalogue(known=False))
    assert "--trust-first-download" in said
    assert not server.asked
    assert "needs --trust-first-download" in run("list", "--catalogue", catalogue(known=False))


def test_what_was_trusted_once_is_verified_ever_after(models: Path, catalogue, server: FileServer):
    install(catalogue(known=False), "--trust-first-download")
    run("remove", "tone")
    install(catalogue(known=False))
    run("remove", "tone")
    server.files["/voice.onnx"] = MODEL[::-1]
    said = install_refusal(catalogue(known=False), "--trust-first-download")
    assert "voice.onnx has the wrong checksum" in said


def test_a_file_that_was_damaged_on_disk_is_fetched_again(models: Path, catalogue, server):
    install(catalogue())
    server.asked.clear()
    (models / "tone/voice.onnx").write_bytes(b"damaged")
    install(catalogue())
    assert [path for path, _, _ in server.asked] == ["/voice.onnx"]
    assert (models / "tone/voice.onnx").read_bytes() == MODEL


def test_remove_deletes_the_model_and_nothing_else(models: Path, catalogue):
    install(catalogue())
    assert "tone is removed." in run("remove", "tone")
    assert not (models / "tone").exists()
    assert refusal("remove", "tone") == "tone is not installed."


@pytest.mark.parametrize("name", ["..", ".", "../models", "/etc", ""])
def test_remove_stays_in_its_folder(models: Path, catalogue, name: str):
    install(catalogue())
    assert "is not installed" in refusal("remove", name)
    assert (models / "tone/voice.onnx").exists()


def test_an_unknown_name_is_told_with_those_there_are(models: Path, catalogue):
    said = refusal("install", "tome", "--yes", "--catalogue", catalogue())
    assert said.startswith("Unknown: tome. There are: whisper-base, ")


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"name": "../tone"}, "not usable as the name of a file"),
        ({"engine": "radio"}, "an engine is one of piper, whisper"),
        ({"files": [{"name": "a"}]}, "'url' is missing"),
        ({"files": [{"name": "a", "url": "file:///a", "size_bytes": 1, "sha256": None}]}, "no web"),
        ({"files": [{"name": "a", "url": "http://a", "size_bytes": 1, "sha256": "1"}]}, "64 hex"),
    ],
)
def test_a_catalogue_that_is_none_says_where(models: Path, catalogue, fields, why: str):
    assert why in refusal("list", "--catalogue", catalogue(**fields))


def test_a_catalogue_that_is_missing_says_so(models: Path, tmp_path: Path):
    assert "cannot be read" in refusal("list", "--catalogue", tmp_path / "none.json")


def test_the_catalogue_that_comes_with_the_app_is_usable():
    models = catalogue_read()
    assert models["whisper-base"].engine == "whisper"
    assert all(file.url.startswith("https://") for m in models.values() for file in m.files)
    assert all(m.licence and m.size_bytes > 10**7 for m in models.values())
    with pytest.raises(LocalModelError):
        catalogue_read(BUILT_IN.parent)
