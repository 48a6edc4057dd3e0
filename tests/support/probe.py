"""What a worker answers over HTTP."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen


class Probe:
    """Asks a worker on its port."""

    def __init__(self, port: int) -> None:
        self.port = port

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as exc:
            return exc.code, exc.read().decode()

    def health(self) -> tuple[int, dict[str, Any]]:
        status, body = self.get("/healthz")
        return status, json.loads(body)

    def metrics(self) -> dict[str, float]:
        samples = re.findall(r"^(al_learner_\S+) (\S+)$", self.get("/metrics")[1], re.MULTILINE)
        return {name: float(value) for name, value in samples}

    def command(self) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [Path(sys.executable).with_name("al-learner"), "health"],
            env={"AL_LEARNER_HTTP_PORT": str(self.port), "PGDATABASE": "any"},
            capture_output=True,
            text=True,
            check=False,
        )
