"""Every setting: its type, limits, default and meaning, and the environment variable that it is read from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, FilePath, InstanceOf, SecretStr
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from al_learner.core.interfaces import Classifier, InitSampler, LabelAggregator, Vectorizer
from al_learner.core.registry import INTERFACES

PREFIX = "AL_LEARNER_"
CONFIG_VARIABLE = f"{PREFIX}CONFIG"


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


def _redis_port(value: Any) -> Any:
    if isinstance(value, str) and value.startswith("tcp://"):
        raise ValueError(
            "Kubernetes sets this variable for a service named 'redis'; rename the service, set "
            "enableServiceLinks: false in the pod, or set REDIS_URL instead and REDIS_PORT to nothing"
        )
    return value


def _holds_secret(file: Path) -> Path:
    try:
        if file.read_text(encoding="utf-8").strip():
            return file
    except (OSError, UnicodeDecodeError) as exc:
        raise ValueError(f"cannot be read: {exc}") from exc
    raise ValueError("the file is empty; it must hold the secret")


Params = Annotated[dict[str, Any], NoDecode, BeforeValidator(_json_object)]
Tables = Annotated[dict[str, dict[str, Any]], NoDecode]
SecretFile = Annotated[FilePath, AfterValidator(_holds_secret)]
Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_comma_separated)]


class Fields(BaseSettings):
    """The fields of `Settings`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True)

    database_url: str | None = Field(
        default=None,
        repr=False,
        description="postgresql://… or sqlite:///FILE. Unset: libpq's own variables (PGHOST …) say where.",
    )
    redis_url: str | None = Field(
        default=None,
        repr=False,
        validation_alias="redis_url",
        description="redis://… or rediss://…; instead of REDIS_HOST.",
    )
    redis_host: str | None = Field(
        default=None, validation_alias="redis_host", description="Unset, and no REDIS_URL: the worker only polls."
    )
    redis_port: Annotated[int, BeforeValidator(_redis_port)] = Field(
        default=6379, ge=1, le=65535, validation_alias="redis_port", description="Port of REDIS_HOST."
    )
    redis_username: str | None = Field(
        default=None, validation_alias="redis_username", description="User of REDIS_HOST."
    )
    redis_password: SecretStr | None = Field(
        default=None, validation_alias="redis_password", description="Password of REDIS_HOST."
    )
    redis_password_file: SecretFile | None = Field(
        default=None, validation_alias="redis_password_file", description="File that holds the password instead."
    )
    redis_tls: bool = Field(
        default=False, validation_alias="redis_tls", description="Whether REDIS_HOST is spoken to over TLS."
    )
    redis_ca_file: FilePath | None = Field(
        default=None,
        validation_alias="redis_ca_file",
        description="Certificates that a TLS connection to Redis is checked against; default: the system's.",
    )
    batch_size: int = Field(
        default=10, ge=1, validation_alias="batch_size", description="New samples that make a new classifier due."
    )
    min_label_count: int = Field(
        default=1, ge=1, validation_alias="min_label_count", description="Votes that make a text count."
    )
    classifier: str | InstanceOf[Classifier] = Field(default="auto", description="Plug-in that is trained.")
    classifier_params: Params = Field(
        default={}, description="Its parameters: a JSON object, over the table [classifiers.NAME] of the file."
    )
    vectorizer: str | InstanceOf[Vectorizer] = Field(default="tfidf", description="Plug-in that makes features.")
    vectorizer_params: Params = Field(
        default={}, description="Its parameters: a JSON object, over the table [vectorizers.NAME] of the file."
    )
    init_sampler: str | InstanceOf[InitSampler] = Field(
        default="balanced", description="Plug-in that starts a project without prelabelled data."
    )
    init_sampler_params: Params = Field(
        default={}, description="Its parameters: a JSON object, over the table [init_samplers.NAME] of the file."
    )
    label_aggregator: str | InstanceOf[LabelAggregator] = Field(
        default="majority", description="Plug-in that settles a text's label from its votes."
    )
    label_aggregator_params: Params = Field(
        default={}, description="Its parameters: a JSON object, over the table [label_aggregators.NAME] of the file."
    )
    exclude_labels: Names = Field(default=(), description="Labels not to train on, separated by commas.")
    predictor_packages: Names = Field(
        default=("scikit-learn", "numpy", "scipy"),
        description="Packages that the predictor and the download manager have, separated by commas.",
    )
    signing_key: SecretStr | None = Field(
        default=None, description="Secret that signs what is stored; what it did not sign is never loaded back."
    )
    signing_key_file: SecretFile | None = Field(default=None, description="File that holds the signing key instead.")
    gate: Literal["warn", "hold", "off"] = Field(
        default="warn",
        description="What to do when a classifier is significantly worse than the one before it.",
    )
    reconcile_s: float = Field(
        default=30, gt=0, description="Seconds between the worker's looks when no message comes."
    )
    grace_s: float = Field(
        default=8, ge=0, description="Seconds that a run may go on after SIGTERM; Docker kills after 10."
    )
    train_timeout_s: float = Field(default=3600, gt=0, description="Seconds after which a training is given up.")
    train_memory_mib: int | None = Field(
        default=None, ge=384, description="MiB of data that the training process may hold, 300 of them at rest."
    )
    reannounce_s: float = Field(
        default=120, gt=0, description="Seconds that the app stays locked before the classifier is announced again."
    )
    http_port: int | None = Field(
        default=None, ge=1, le=65535, description="Port of /metrics and /healthz; needs the extra `metrics`."
    )
    heartbeat_file: Path = Field(
        default=Path("/tmp/al-learner.heartbeat"),  # noqa: S108 - holds no data, its age is all that is read
        description="File whose age tells `al-learner health` that the worker is alive.",
    )
    log: Literal["text", "json"] = Field(default="text", description="Format of the worker's log.")
    classifiers: Tables = Field(default={}, description="Parameters of classifiers, by name.")
    vectorizers: Tables = Field(default={}, description="Parameters of vectorizers, by name.")
    init_samplers: Tables = Field(default={}, description="Parameters of init samplers, by name.")
    label_aggregators: Tables = Field(default={}, description="Parameters of label aggregators, by name.")


def variable(name: str) -> str:
    """Return the environment variable of a field."""
    return name.upper() if Fields.model_fields[name].validation_alias else PREFIX + name.upper()


def variables() -> list[str]:
    """Return every environment variable that `Settings` reads."""
    tables = {f"{kind}s" for kind in INTERFACES}
    return [variable(name) for name in Fields.model_fields if name not in tables] + [CONFIG_VARIABLE]
