"""The settings file: one that was named, or one that was found in the current folder and may set less."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

from al_learner.core.configuration.values import is_file
from al_learner.core.errors import SettingsError

CONFIG_VARIABLE = "AL_LEARNER_CONFIG"
DEFAULT_CONFIG = "al_learner.toml"

HARMLESS = frozenset(
    {
        "batch_size",
        "min_label_count",
        "classifier",
        "classifier_params",
        "vectorizer",
        "vectorizer_params",
        "init_sampler",
        "init_sampler_params",
        "label_aggregator",
        "label_aggregator_params",
        "exclude_labels",
        "predictor_packages",
        "active_learning",
        "gate",
        "reconcile_s",
        "grace_s",
        "train_timeout_s",
        "train_memory_mib",
        "max_artifact_mib",
        "keep_gib",
        "reannounce_s",
        "log",
        "classifiers",
        "vectorizers",
        "init_samplers",
        "label_aggregators",
    }
)
"""What a file may set that was only found in the current folder: how to train, sizes, times, the form of the log."""

NAMED_ONLY = frozenset(
    {
        "database_url",
        "redis_url",
        "redis_host",
        "redis_port",
        "redis_username",
        "redis_password",
        "redis_password_file",
        "redis_tls",
        "redis_ca_file",
        "cluster",
        "cluster_ca_file",
        "cluster_cert_file",
        "cluster_key_file",
        "trainers",
        "trainers_mib",
        "slice_s",
        "signing_key",
        "signing_key_file",
        "http_host",
        "http_port",
        "heartbeat_file",
    }
)
"""What only a file may set that was named: servers, secrets, files and addresses.

The current folder may be anybody's, such as an unpacked archive. Its file must not choose what is read, trusted or
written.
"""


def config_file() -> Path | None:
    """Return the settings file; None if there is none.

    Raises
    ------
    SettingsError
        It was named but does not exist. It is not TOML. Or it was only found, and sets what only a named file may set.
    """
    named = os.environ.get(CONFIG_VARIABLE)
    path = Path(named or DEFAULT_CONFIG)
    if not is_file(path):
        if named:
            raise SettingsError([f"{CONFIG_VARIABLE} = {named}: there is no such file"])
        return None
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise SettingsError([f"{path}: not a readable TOML file: {exc}"]) from exc
    if not named and (refused := [name for name in content if name in NAMED_ONLY]):
        raise SettingsError([_refusal(name, path) for name in refused])
    return path


def _refusal(name: str, path: Path) -> str:
    return (
        f"{name} in {path}: this file was only found in the current folder ({Path.cwd()}), so it must not set "
        f"{name}. If you trust the file, name it: al-learner --config {path} …, or {CONFIG_VARIABLE}={path}. "
        "Otherwise start in another folder"
    )
