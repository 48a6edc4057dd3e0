"""The settings files of many projects, for one worker."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from al_learner.core.configuration.settings import Settings
from al_learner.core.errors import SettingsError

OF_PROCESS = (
    "http_host", "http_port", "heartbeat_file", "log", "trainers", "trainers_mib", "slice_s",
    "cluster", "cluster_ca_file", "cluster_cert_file", "cluster_key_file",
)  # fmt: skip
"""Settings that a project's file must not have, because all projects of a worker share them."""

OF_FILE = {name: field.default for name, field in Settings.model_fields.items() if name.startswith("redis_")}
"""Settings that the environment does not give a project, and their defaults."""


@dataclass(frozen=True)
class ProjectFile:
    """A project of a worker.

    Attributes
    ----------
    name : str
        The name of the file, without ``.toml``.
    digest : str
        Of its content.
    """

    name: str
    settings: Settings
    digest: str


def read_projects(
    place: Path, known: Mapping[str, ProjectFile]
) -> tuple[dict[str, ProjectFile], dict[Path, list[str]]]:
    """Read the settings files of all projects.

    A file goes over the environment. Its database and its Redis come from the file alone.

    Parameters
    ----------
    place : Path
        A folder, whose files ``*.toml`` are read; or a file that names one such file in each line.
    known : mapping of str to ProjectFile
        What was read before, by name. A file that has not changed is not read again.

    Returns
    -------
    projects : dict of str to ProjectFile
        Those without a mistake, by name.
    problems : dict of Path to list of str
        All mistakes in all files, in words; of `place` itself if it cannot be read.
    """
    found: dict[str, ProjectFile] = {}
    problems: dict[Path, list[str]] = {}
    owners: dict[tuple[str, ...], str] = {}
    try:
        paths = _paths(place)
    except (OSError, UnicodeError) as exc:
        return {}, {place: [f"cannot be read: {exc}"]}
    for path in paths:
        try:
            if path.stem in found:
                raise SettingsError([f"there is another file with the name {path.name}"])
            project = _read(path, known.get(path.stem))
            for what, server in _servers(project.settings).items():
                if (other := owners.setdefault((what, *server), path.stem)) != path.stem:
                    raise SettingsError([f"its {what} is that of {other}; every project needs one of its own"])
        except SettingsError as exc:
            problems[path] = [*exc.problems]
        else:
            found[project.name] = project
    return found, problems


def _paths(place: Path) -> list[Path]:
    if place.is_dir():
        return sorted(place.glob("*.toml"))
    names = (line.partition("#")[0].strip() for line in place.read_text(encoding="utf-8").splitlines())
    return [place.parent / name for name in names if name]


def _read(path: Path, known: ProjectFile | None) -> ProjectFile:
    try:
        content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        if known is not None and known.digest == digest:
            return known
        given = tomllib.loads(content.decode())
    except (OSError, ValueError) as exc:
        raise SettingsError([f"not a readable TOML file: {exc}"]) from exc
    problems = [
        f"{name} belongs to the worker, not to a project: set it outside" for name in OF_PROCESS if name in given
    ]
    if "database_url" not in given:
        problems.append("database_url is missing; every project names its own")
    try:
        settings = Settings(**{**OF_FILE, **{name: value for name, value in given.items() if name not in OF_PROCESS}})
    except SettingsError as exc:
        raise SettingsError([*problems, *exc.problems]) from exc
    if problems:
        raise SettingsError(problems)
    return ProjectFile(path.stem, settings, digest)


def _servers(settings: Settings) -> dict[str, tuple[str, ...]]:
    """Return what no two projects may share: the database, and the Redis, whose channels have fixed names."""
    url = urlsplit(settings.database_url or "")
    place = (url.hostname or "", str(url.port or 5432)) if url.scheme.startswith("postgres") else ()
    found = {"database": (*place, url.path, url.query if not url.hostname else "")}
    if settings.redis_url:
        redis = urlsplit(settings.redis_url)
        found["Redis"] = (redis.hostname or "", str(redis.port or 6379))
    elif settings.redis_host:
        found["Redis"] = (settings.redis_host, str(settings.redis_port))
    return {what: tuple("127.0.0.1" if part == "localhost" else part for part in key) for what, key in found.items()}
