"""The project as `up` and `serve` start it: its door, its headers, its files."""

import json
import re
import socket
import subprocess
import sys
import time
from http.client import HTTPConnection
from shutil import copytree
from urllib.parse import urlencode

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.needs import as_deployed
from tests.servers import ROOT, RealServer


@pytest.fixture(scope="module")
def server(installation, tmp_path_factory):
    """One for all that only ask."""
    server = installation.start(tmp_path_factory.mktemp("server"), {})
    yield server
    server.kill()
    assert "Traceback" not in server.log(), server.log()


def request(server, path, *, body=None, method="GET", headers=None):
    connection = HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace"), answer.msg
    finally:
        connection.close()


def test_every_page_says_what_a_browser_may_do(server):
    for path in ("/", "/admin/login/", "/nowhere"):
        _, _, headers = request(server, path)
        policy = headers["Content-Security-Policy"]
        assert "unsafe" not in policy
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["Permissions-Policy"].startswith("microphone=(self)")
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["X-Content-Type-Options"] == "nosniff"


def test_a_page_needs_no_inline_script_or_style(server):
    for path in ("/", "/admin/login/"):
        _, page, _ = request(server, path)
        assert not re.search(r"<script(?![^>]*(src=|type=\"application/json\"))[^>]*>", page), path
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=", page), path


def test_the_printed_password_opens_the_admin(server, installation):
    _, page, headers = request(server, "/admin/login/")
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)[1]
    form = {"username": "admin", "password": installation.admin_password, "next": "/admin/"}
    status, _, answer = request(
        server,
        "/admin/login/",
        method="POST",
        body=urlencode(form | {"csrfmiddlewaretoken": token}),
        headers={
            "Content-Type": "application/x-www-form-urlencoded",
            "Cookie": headers["Set-Cookie"].partition(";")[0],
        },
    )
    assert (status, answer["Location"]) == (302, "/admin/")


def test_a_hashed_file_is_kept_for_ever_and_a_plain_one_is_asked_for_again(server, installation):
    manifest = json.loads((installation.template / "static" / "staticfiles.json").read_text())
    plain, hashed = next(
        (plain, hashed) for plain, hashed in manifest["paths"].items() if plain.endswith(".css")
    )
    _, _, kept = request(server, f"/static/{hashed}", headers={"Accept-Encoding": "gzip"})
    assert "immutable" in kept["Cache-Control"]
    assert kept["Content-Encoding"] == "gzip"
    status, _, asked = request(server, f"/static/{plain}")
    assert status == 200
    assert int(re.search(r"max-age=(\d+)", asked["Cache-Control"])[1]) <= 60


def test_modules_import_each_other_by_hashed_names(installation):
    static = installation.template / "static"
    manifest = json.loads((static / "staticfiles.json").read_text())["paths"]
    modules = {plain: hashed for plain, hashed in manifest.items() if "calls/js/" in plain}
    imports = [
        name
        for hashed in modules.values()
        for name in re.findall(r"from \"\./([^\"]+)\"", (static / hashed).read_text())
    ]
    known = {hashed.rpartition("/")[2] for hashed in modules.values()}
    assert imports
    assert set(imports) <= known


def test_what_modules_name_by_their_own_address_is_served_under_its_plain_name(
    server, installation
):
    """A worklet, for one: nothing rewrites its address, which is made in JavaScript."""
    static = installation.template / "static"
    found = [
        (module.parent / name).resolve().relative_to(static.resolve())
        for module in (static / "calls").rglob("*.js")
        for name in re.findall(r'new URL\("([^"]+)", import\.meta\.url\)', module.read_text())
    ]
    assert found
    for path in set(found):
        status, _, headers = request(server, f"/static/{path}")
        assert status == 200, path
        assert headers["Content-Type"].startswith("text/javascript"), path


@pytest.mark.parametrize("path", ["/ws/nowhere/", "/call/demo/", "/admin/"])
def test_a_socket_to_an_unknown_address_is_refused_without_a_trace(server, path):
    said = len(server.log())
    with pytest.raises(InvalidStatus) as refused:
        connect(f"{server.ws_url}{path}")
    assert refused.value.response.status_code == 403
    assert "Traceback" not in server.log()[said:]


@pytest.mark.parametrize("origin", ["http://example.com", "null", "http://127.0.0.1:1"])
def test_another_origin_opens_no_socket(server, origin):
    with pytest.raises(InvalidStatus) as refused:
        connect(f"{server.ws_url}/ws/call/", origin=origin)
    assert refused.value.response.status_code == 403


def test_our_own_page_opens_one(server):
    with connect(f"{server.ws_url}/ws/call/", origin=server.url):
        pass


def test_a_name_that_is_not_ours_gets_no_page(server):
    assert request(server, "/", headers={"Host": "evil.example"})[0] == 400


def manage(*words, **environment):
    return subprocess.run(
        [sys.executable, "manage.py", *words],
        cwd=ROOT,
        env=as_deployed(NO_BOOTSTRAP="1", **environment),
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def test_a_wrong_environment_is_said_without_a_traceback(tmp_path):
    said = manage("up", VAR_DIR=str(tmp_path), DEBUG="perhaps", LOCAL="2")
    assert said.returncode == 1
    assert sorted(said.stderr.splitlines()) == [
        "DEBUG: say true or false",
        "Environment variables:",
        "LOCAL: say true or false",
    ]


def test_a_place_that_cannot_be_written_is_said_in_one_line(tmp_path):
    (tmp_path / "file").touch()
    said = manage("up", "--port", "0", VAR_DIR=str(tmp_path / "file" / "var"))
    assert said.returncode == 1
    assert len(said.stderr.splitlines()) == 1
    assert "Not a directory" in said.stderr


def test_a_full_disk_is_said_in_one_line(tmp_path):
    script = (
        f"mount -t tmpfs -o size=200k none '{tmp_path}' && cd '{ROOT}' && "
        f"'{sys.executable}' manage.py up --port 0"
    )
    environment = as_deployed(NO_BOOTSTRAP="1", VAR_DIR=str(tmp_path))
    said = subprocess.run(
        ["unshare", "--mount", "--map-root-user", "sh", "-c", script],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if "unshare" in said.stderr or "mount" in said.stderr:
        pytest.skip("a small disk cannot be mounted here: needs unshare and user namespaces")
    assert said.returncode == 1
    assert "disk is full" in said.stderr
    assert len(said.stderr.splitlines()) == 1


@pytest.mark.parametrize("command", ["up", "serve"])
def test_a_busy_port_is_one_clear_line_and_nothing_else(tmp_path, command):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = manage(command, "--port", str(port), VAR_DIR=str(tmp_path / "var"))
    assert said.returncode == 1
    assert len(said.stderr.splitlines()) == 1
    assert f"port {port}" in said.stderr
    assert f"--port {port + 1}" in said.stderr
    assert not (tmp_path / "var" / "db.sqlite3").exists()


def test_the_production_profile_passes_djangos_own_check(tmp_path):
    said = manage(
        "check",
        "--deploy",
        "--fail-level=WARNING",
        VAR_DIR=str(tmp_path),
        ALLOWED_HOSTS="voice.example",
        SECRET_KEY="q" * 25 + "0123456789abcdefghijklmnopqrstuvwxyz",
    )
    assert said.returncode == 0, said.stderr


@pytest.mark.postgres
@pytest.mark.redis
def test_the_same_settings_serve_postgresql_and_redis(tmp_path):
    from tests.needs import POSTGRES_URL, REDIS_URL

    said = manage(
        "shell",
        "-c",
        "from django.db import connection; from channels.layers import get_channel_layer;"
        "cursor = connection.cursor(); cursor.execute('select 1');"
        "print(cursor.fetchone(), connection.vendor, type(get_channel_layer()).__name__)",
        VAR_DIR=str(tmp_path),
        DATABASE_URL=POSTGRES_URL,
        REDIS_URL=REDIS_URL,
    )
    assert "(1,) postgresql RedisPubSubChannelLayer" in said.stdout, said.stderr


def test_sqlite_waits_for_its_turn_and_writes_ahead(tmp_path):
    said = manage(
        "shell",
        "-c",
        "from django.db import connection as c; cursor = c.cursor();"
        "print(cursor.execute('pragma journal_mode').fetchone(), c.transaction_mode,"
        "cursor.execute('pragma busy_timeout').fetchone())",
        VAR_DIR=str(tmp_path),
    )
    assert "('wal',) IMMEDIATE (20000,)" in said.stdout, said.stderr


def test_up_says_and_does_everything_once(installation, tmp_path):
    copytree(installation.template, tmp_path, dirs_exist_ok=True)
    began_s = time.monotonic()
    again = RealServer(tmp_path, ("up",), {"STATIC_ROOT": str(installation.template / "static")})
    try:
        assert time.monotonic() - began_s < 10  # about one, when nothing else is going on
        assert again.terminate() == 0
        assert "password" not in again.log()
        assert not re.search(r"done +\d", again.log())
        assert f"{again.url}/admin/" in again.log()
    finally:
        again.kill()


def test_a_killed_server_starts_again_on_what_it_left(start_server):
    first = start_server()
    first.kill()
    again = start_server(var_dir=first.var_dir)
    assert request(again, "/livez")[0] == 200
