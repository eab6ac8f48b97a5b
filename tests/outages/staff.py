"""Somebody of the staff, in the admin of one of the servers."""

import re
import time

import httpx

_TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="(\w+)"')


class Staff:
    """Logged in as the administrator; may end calls."""

    def __init__(self, url: str, name: str = "admin", password: str = "admin") -> None:
        self._client = httpx.Client(base_url=url, trust_env=False, timeout=20)
        login = "/admin/login/"
        data = {"username": name, "password": password, "next": "/admin/"}
        answer = self._post(login, self._token(login), data)
        assert answer.status_code == 302, answer.text[-2_000:]

    def close(self) -> None:
        self._client.close()

    def ends(self, call_id: str) -> float:
        """End a call from its page; when, by the monotonic clock."""
        page = f"/admin/calls/conversation/{call_id}"
        token = self._token(f"{page}/change/")
        at_s = time.monotonic()
        assert self._post(f"{page}/end/", token, {}).status_code == 302
        return at_s

    def _token(self, path: str) -> str:
        found = _TOKEN.search(self._client.get(path).text)
        assert found, "the page has no form"
        return found[1]

    def _post(self, path: str, token: str, data: dict[str, str]) -> httpx.Response:
        return self._client.post(path, data={**data, "csrfmiddlewaretoken": token})
