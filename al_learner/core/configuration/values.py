"""How the values of some settings are written, and the types that check them."""

from __future__ import annotations

import json
import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import NoDecode

CODES = (
    "In user name, password and options write special characters as codes: %40 for @, %2F for /, %3A for :, %3F for ?, "
    "%23 for #, %25 for %"
)

# The password of PostgreSQL's URL ends at the first @, as SQLAlchemy reads it; that of Redis at / ? # too. No @ may
# follow: what comes after it would be taken for the host, and shown in errors.
_AFTER_USER = r"(?P<host>[^/?#:@\[\]]*|\[[^/?#@\]]*\])(:\d{1,5})?([/?#][^@]*)?"
_POSTGRESQL = re.compile(rf"postgres(ql)?(\+psycopg)?://([^:/@]*(:[^@]*)?@)?{_AFTER_USER}", re.DOTALL)
_FILE = re.compile(r"[^@:]+\.(db|sqlite3?)")
_CLUSTER = re.compile(r"(?P<scheme>tcp|tls)://(?P<host>[^/?#@:\[\]\s]+|\[[0-9a-f:.]+\]):(?P<port>\d{1,5})", re.ASCII)
_REDIS = re.compile(rf"rediss?://([^:/?#@\[\]]*(:[^/?#@\[\]]*)?@)?{_AFTER_USER}", re.DOTALL)


def _json_object(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        decoded = json.loads(value)
    except ValueError as exc:
        raise ValueError(f'not JSON ({exc}); write it like {{"C": 0.5}}') from exc
    if not isinstance(decoded, dict):
        raise ValueError('must be a JSON object, like {"C": 0.5}')  # noqa: TRY004 - pydantic collects ValueErrors
    return decoded


def _comma_separated(value: Any) -> Any:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _port(value: Any) -> Any:
    if isinstance(value, str) and value.startswith("tcp://"):
        raise ValueError(
            "Kubernetes sets this variable for a service named 'redis'; rename the service, set "
            "enableServiceLinks: false in the pod, or set REDIS_URL instead, and leave REDIS_PORT empty"
        )
    return value


def _database_url(url: str) -> str:
    # Others than PostgreSQL's, such as SQLite's with the name of a file, are left to the storage.
    if _FILE.fullmatch(url):
        raise ValueError(f"write sqlite:///{url} for a file")
    if not re.match(r"[a-z][a-z0-9+]*://", url) or (url.startswith("postgres") and not _POSTGRESQL.fullmatch(url)):
        raise ValueError(
            f"cannot be read; write postgresql://USER:PASSWORD@HOST:PORT/DATABASE or sqlite:///FILE. {CODES}"
        )
    return url


def _redis_url(url: str) -> str:
    try:
        if _REDIS.fullmatch(url) and (urlsplit(url).port or 0) >= 0:
            return url
    except ValueError:  # its text shows the URL
        pass
    raise ValueError(f"cannot be read; write redis://USER:PASSWORD@HOST:PORT/0, or rediss://… for TLS. {CODES}")


def _cluster(address: str) -> str:
    found = _CLUSTER.fullmatch(address)
    if not found or not 1 <= int(found["port"]) <= 65535:
        raise ValueError("write tls://HOST:PORT, or tcp://127.0.0.1:PORT for a scheduler on this machine")
    if found["scheme"] == "tcp" and not _is_loopback(found["host"].strip("[]")):
        raise ValueError(
            "a scheduler on another machine needs TLS, because whoever can change the messages can run code; write "
            f"tls://{found['host']}:{found['port']}, and name the certificates"
        )
    return address


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _host(value: str) -> str:
    if re.search(r"[/@\s]", value):
        raise ValueError("must be the name or the address of a host; a URL belongs into REDIS_URL")
    return value


def is_file(path: Path) -> bool:
    """Whether there is such a file; false too if the path is none at all, such as one that is too long."""
    try:
        return path.is_file()
    except OSError:
        return False


def _existing(file: Path) -> Path:
    if not is_file(file):
        raise ValueError("there is no such file; the setting takes the name of a file, and not what the file contains")
    return file


def _holds_secret(file: Path) -> Path:
    try:
        if file.read_text(encoding="utf-8").strip():
            return file
    except OSError as exc:
        raise ValueError(f"cannot be read: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise ValueError("cannot be read: the file is not UTF-8 text") from exc
    raise ValueError("the file is empty; it must hold the secret")


Params = Annotated[dict[str, Any], NoDecode, BeforeValidator(_json_object)]
Tables = Annotated[dict[str, dict[str, Any]], NoDecode]
DatabaseUrl = Annotated[str, AfterValidator(_database_url)]
RedisUrl = Annotated[str, AfterValidator(_redis_url)]
ClusterAddress = Annotated[str, AfterValidator(_cluster)]
Host = Annotated[str, AfterValidator(_host)]
ExistingFile = Annotated[Path, AfterValidator(_existing)]
SecretFile = Annotated[ExistingFile, AfterValidator(_holds_secret)]
Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_comma_separated)]
Port = Annotated[int, BeforeValidator(_port), Field(ge=1, le=65535)]
