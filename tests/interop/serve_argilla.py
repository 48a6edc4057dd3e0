"""Argilla's own server without a search engine; it runs in the server's environment: `serve_argilla.py PORT`.

The engine, Elasticsearch or OpenSearch, is no Python package. It finds records by their text or by filters. Records,
responses and suggestions are in the database, from which the API lists and the SDK exports them.
"""

from __future__ import annotations

import sys
from typing import Any

import uvicorn
from argilla_server.search_engine import SearchEngine


async def _nothing(*_: object, **__: object) -> Any:
    return None


async def _new(cls: type[SearchEngine]) -> SearchEngine:
    return cls()


async def _yes(_: SearchEngine) -> bool:
    return True


if __name__ == "__main__":
    methods = dict.fromkeys(SearchEngine.__abstractmethods__, _nothing)
    engine = type("NoSearch", (SearchEngine,), {**methods, "ping": _yes, "new_instance": classmethod(_new)})
    SearchEngine.register("none")(engine)
    uvicorn.run("argilla_server:app", host="127.0.0.1", port=int(sys.argv[1]))
