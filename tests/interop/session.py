"""A person's session with a program's HTTP API."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from http.cookiejar import CookieJar
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, ProxyHandler, Request, build_opener

ANSWER_S = 60


class Session:
    """Requests to one server on loopback, with the cookies that it sets; an answer that is no success is an error."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.headers: dict[str, str] = {}
        self._cookies = CookieJar()
        self._opener = build_opener(ProxyHandler({}), HTTPCookieProcessor(self._cookies))

    def get(self, path: str) -> bytes:
        return self._send("GET", path)

    def json(self, method: str, path: str, value: Any = None) -> Any:
        """Send a value as JSON, and return the answer's."""
        body = None if value is None else json.dumps(value).encode()
        answer = self._send(method, path, body, "application/json")
        return json.loads(answer) if answer else None

    def form(self, path: str, fields: Mapping[str, str]) -> bytes:
        """Send what a page's form sends; Django's token goes with it."""
        return self._send("POST", path, urlencode(fields).encode(), "application/x-www-form-urlencoded")

    def upload(self, path: str, name: str, content: bytes) -> str:
        """Send a file as a form's field of that name."""
        edge = secrets.token_hex(16)
        head = f'--{edge}\r\nContent-Disposition: form-data; name="{name}"; filename="upload.json"\r\n\r\n'
        body = head.encode() + content + f"\r\n--{edge}--\r\n".encode()
        return self._send("POST", path, body, f"multipart/form-data; boundary={edge}").decode()

    def _send(self, method: str, path: str, body: bytes | None = None, content_type: str | None = None) -> bytes:
        headers = self.headers | ({"Content-Type": content_type} if content_type else {})
        for cookie in self._cookies:
            if cookie.name == "csrftoken" and cookie.value is not None:
                headers["X-CSRFToken"] = cookie.value
        request = Request(self.base + path, body, headers, method=method)  # noqa: S310 - http on loopback
        try:
            with self._opener.open(request, timeout=ANSWER_S) as answer:
                return bytes(answer.read())
        except HTTPError as exc:
            with exc:
                said = exc.read()[:500].decode(errors="replace")
            raise AssertionError(f"{method} {path}: {exc.code} {said}") from exc
