"""`manage.py stand_ins` as somebody without keys uses it."""

import json
import re
import socket
import urllib.error
import urllib.request
from contextlib import contextmanager

import pytest

from tests.server.programs import manage, running

pytestmark = pytest.mark.timeout(150)

HIDES_AIOHTTP = """import sys
sys.modules["aiohttp"] = None
"""


@contextmanager
def stand_ins(tmp_path, **environment):
    port = str(free_pair())
    words = ("stand_ins", "--port", port)
    with running(tmp_path / "stand_ins.log", *words, var_dir=tmp_path / "a", **environment) as it:
        yield it


def free_pair() -> int:
    """A port that is free, as is the next."""
    for _ in range(50):
        with socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
            try:
                other.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port
    raise AssertionError("no two ports are free")


def said_variables(log: str) -> dict[str, str]:
    return dict(re.findall(r"\b([A-Z_]+)=(\S+)", log))


def models(variables: dict[str, str]) -> dict[str, list[str]]:
    """What the lists of models say, asked for with the printed addresses and keys."""
    asked = {
        "openai": urllib.request.Request(
            f"{variables['OPENAI_BASE_URL']}/models",
            headers={"Authorization": f"Bearer {variables['OPENAI_API_KEY']}"},
        ),
        "elevenlabs": urllib.request.Request(
            f"{variables['ELEVENLABS_BASE_URL']}/v1/models",
            headers={"xi-api-key": variables["ELEVENLABS_API_KEY"]},
        ),
    }
    answers = {}
    for name, request in asked.items():
        with urllib.request.urlopen(request, timeout=10) as answer:
            answers[name] = json.load(answer)
    return {
        "openai": [model["id"] for model in answers["openai"]["data"]],
        "elevenlabs": [model["model_id"] for model in answers["elevenlabs"]],
    }


def patient_doctor(var_dir, variables):
    """Its patience is a caller's, which the offline ears of a busy machine may exceed."""
    for _ in range(3):
        done = manage("doctor", "--json", var_dir=var_dir, **variables)
        if done.returncode == 0:
            break
    return done


def test_what_it_prints_is_all_that_doctor_needs(tmp_path):
    with stand_ins(tmp_path) as program:
        variables = said_variables(program.says("Ctrl-C"))
        assert set(variables) == {
            *("OPENAI_API_KEY", "OPENAI_BASE_URL"),
            *("ELEVENLABS_API_KEY", "ELEVENLABS_BASE_URL"),
        }
        assert all(models(variables).values())
        done = patient_doctor(tmp_path / "b", variables)
        assert (done.returncode, done.stderr) == (0, "")
        results = json.loads(done.stdout)
        assert [result["fault"] for result in results] == [""] * len(results)
        hosted = [
            result for result in results if result["works"] and result["provider"] != "embedded"
        ]
        assert len(hosted) == 10
        heard = [result["result"] for result in hosted if result["stage"] == "stt"]
        assert heard == ["heard “what are your opening hours”"] * 4, "the offline ears, for real"
        assert program.interrupt() == 0
    assert "Traceback" not in program.log()
    assert program.log().rstrip().endswith("Stopped.")


def test_a_wrong_key_is_refused_there_too(tmp_path):
    with stand_ins(tmp_path) as program:
        variables = said_variables(program.says("Ctrl-C"))
        with pytest.raises(urllib.error.HTTPError, match="401"):
            models(variables | {"OPENAI_API_KEY": "another"})


def test_ctrl_c_ends_it_while_somebody_is_connected(tmp_path):
    with stand_ins(tmp_path) as program:
        variables = said_variables(program.says("Ctrl-C"))
        port = int(variables["OPENAI_BASE_URL"].split(":")[2].split("/")[0])
        with socket.create_connection(("127.0.0.1", port)):
            assert program.interrupt() == 0
    assert "Traceback" not in program.log()


@pytest.mark.parametrize("taken", [0, 1], ids=["OpenAI's", "ElevenLabs'"])
def test_a_port_in_use_is_one_clear_line(tmp_path, taken):
    port = free_pair()
    with socket.create_server(("127.0.0.1", port + taken)):
        done = manage("stand_ins", "--port", str(port), var_dir=tmp_path)
    [line] = done.stderr.strip().splitlines()
    assert done.returncode == 1
    assert str(port + taken) in line
    assert "in use" in line
    assert "Traceback" not in done.stdout


def test_without_the_development_requirements_it_says_what_to_do(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(HIDES_AIOHTTP)
    done = manage("stand_ins", var_dir=tmp_path, PYTHONPATH=str(tmp_path))
    [line] = done.stderr.strip().splitlines()
    assert done.returncode == 1
    assert "requirements-dev.txt" in line
    assert "aiohttp" in line
