"""Puts a Dask cluster in the place of the training process."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from al_learner.core.configuration.settings import Settings, variable
from al_learner.core.errors import SettingsError
from al_learner.core.training.compute import Compute
from al_learner.core.training.subprocess_trainer import LOWEST_PRIORITY

if TYPE_CHECKING:
    from al_learner.core.cluster.predictions import ClusterPredictions
    from al_learner.core.cluster.tasks import Model
    from al_learner.core.cluster.transport.client import Client

DO = "al_learner.core.cluster.dask_tasks:do"
"""What a Dask worker does with a task of a project."""

MODELS = 2
"""How many pickles an answer has at most: a classifier and a vectorizer."""

MARGIN_BYTES = 2**26
"""For the rest of an answer, such as metrics and the texts of a prior."""


class SharedCluster:
    """The cluster that the settings name, for one project or for many.

    Raises
    ------
    SettingsError
        The extra is not installed, or certificates are missing.
    """

    def __init__(self, settings: Settings) -> None:
        self._client = client_of(settings, DO)

    def compute_of(self, settings: Settings, *, tick: Callable[[], object], on_done: Callable[[], object]) -> Compute:
        """Train, score and compare there, and aggregate votes in a process here; parameters as of `on_cluster`."""
        from al_learner.core.cluster.cluster_trainer import ClusterTrainer  # needs the extra

        client, database = self._client, without_user(settings.database)

        def make_trainer(tick: Callable[[], object], *, is_urgent: bool) -> ClusterTrainer:
            return ClusterTrainer(
                client,
                database,
                slot="training" if is_urgent else "scoring",
                timeout_s=settings.train_timeout_s,
                memory_mib=settings.train_memory_mib,
                niceness=0 if is_urgent else LOWEST_PRIORITY,
                tick=tick,
            )

        check = partial(client.ping, tick=tick)
        return Compute.with_trainers(settings, make_trainer, tick=tick, on_done=on_done, check=check)

    def close(self) -> None:
        """End the connection to the cluster."""
        self._client.close()


def on_cluster(settings: Settings, *, tick: Callable[[], object], on_done: Callable[[], object]) -> Compute:
    """Do the heavy work of one project on the cluster that the settings name.

    Parameters
    ----------
    tick, on_done
        As for `Compute.with_trainers`.

    Raises
    ------
    SettingsError
        The extra is not installed, the database is a file, or certificates are missing.
    """
    cluster = SharedCluster(settings)
    made = cluster.compute_of(settings, tick=tick, on_done=on_done)

    def close() -> None:
        made.close()
        cluster.close()

    return replace(made, close=close)


def predictions_on_cluster(
    settings: Settings, address: str, model: Model, here: Callable[[Sequence[str]], Any]
) -> ClusterPredictions:
    """Return what predicts all texts of a project on a cluster; parameters as of `ClusterPredictions`.

    Raises
    ------
    SettingsError
        As of `on_cluster`.
    """
    chosen = settings.model_copy(update={"cluster": Settings(cluster=address).cluster})
    check_extra()
    from al_learner.core.cluster.predictions import ClusterPredictions  # needs the extra

    return ClusterPredictions(client_of(chosen, DO), without_user(chosen.database), model, here)


def client_of(settings: Settings, do: str) -> Client:
    """Return what sends tasks to the cluster that the settings name. Nothing is connected yet.

    Parameters
    ----------
    do : str
        As of `Client`.

    Raises
    ------
    SettingsError
        The extra is not installed, or certificates are missing.
    """
    check_extra()
    from al_learner.core.cluster.transport.client import Client  # needs the extra

    tls = [str(file.absolute()) for file in _tls_files(settings)]
    max_bytes = MODELS * settings.max_artifact_mib * 2**20 + MARGIN_BYTES
    return Client(do, settings.cluster or "", tls, max_bytes=max_bytes)


def check_extra() -> None:
    """Raise SettingsError if a package is missing."""
    if missing := [name for name in ("distributed", "msgspec") if find_spec(name) is None]:
        raise SettingsError(
            [f"AL_LEARNER_CLUSTER needs the extra: pip install 'al-learner[cluster]' ({', '.join(missing)} missing)"]
        )


def without_user(url: str) -> str:
    """Return a database's URL, without user, password and options: every Dask worker has its own."""
    parts = urlsplit(url)
    if not parts.scheme.startswith("postgresql"):
        raise SettingsError([f"AL_LEARNER_CLUSTER needs a PostgreSQL; no other machine can read {url}"])
    place = {name: os.environ.get(f"PG{name.upper()}") for name in ("host", "port")}  # libpq's, which may name it alone
    given = "" if parts.hostname else urlencode({name: value for name, value in place.items() if value})
    database = parts.path if len(parts.path) > 1 else f"/{os.environ.get('PGDATABASE', '')}"
    return f"postgresql://{parts.netloc.rpartition('@')[2]}{database}{'?' if given else ''}{given}"


def _tls_files(settings: Settings) -> list[Path]:
    """Return the files of CA, certificate and key; none without TLS."""
    if settings.cluster is None or settings.cluster.startswith("tcp:"):
        return []
    files = {name: getattr(settings, name) for name in ("cluster_ca_file", "cluster_cert_file", "cluster_key_file")}
    if missing := [variable(name) for name, file in files.items() if file is None]:
        raise SettingsError([f"AL_LEARNER_CLUSTER = {settings.cluster}: TLS also needs {', '.join(missing)}"])
    return [*files.values()]
