"""Every setting with its type, default and meaning; one frozen `Settings`, all problems reported together.

Arguments go over the environment, the environment over the TOML file, the file over the defaults.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import (
    Field,
    InstanceOf,
    ModelWrapValidatorHandler,
    PrivateAttr,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from al_learner.core.configuration import defaults
from al_learner.core.configuration.defaults import Defaults
from al_learner.core.configuration.environment import (
    ARGUMENTS,
    PREFIX,
    ArgumentNames,
    database_url,
    is_of_kubernetes,
    origins,
    problem,
    unknown_variables,
)
from al_learner.core.configuration.secrets import masked, secret
from al_learner.core.configuration.settings_file import CONFIG_VARIABLE, config_file
from al_learner.core.configuration.strategies import Strategies, make_strategies, strategy_origins
from al_learner.core.configuration.values import (
    ClusterAddress,
    DatabaseUrl,
    ExistingFile,
    Host,
    Names,
    Params,
    Port,
    RedisUrl,
    SecretFile,
    Tables,
)
from al_learner.core.errors import SettingsError
from al_learner.core.interfaces import Classifier, InitSampler, LabelAggregator, Strategy, Vectorizer
from al_learner.core.registry import INTERFACES, Spec


class Settings(BaseSettings):
    """Every setting.

    Raises
    ------
    SettingsError
        With every problem at once: wrong values, unknown names, plug-ins and their parameters.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True, allow_inf_nan=False
    )

    database_url: DatabaseUrl | None = Field(
        default=None,
        repr=False,
        description="postgresql://… or sqlite:///FILE. Unset: libpq's own variables (PGHOST …) are used.",
    )
    redis_url: RedisUrl | None = Field(
        default=None,
        repr=False,
        validation_alias="redis_url",
        description="redis://… or rediss://…; instead of REDIS_HOST.",
    )
    redis_host: Host | None = Field(
        default=None, validation_alias="redis_host", description="Unset, and no REDIS_URL: the worker only polls."
    )
    redis_port: Port = Field(default=6379, validation_alias="redis_port", description="Port of REDIS_HOST.")
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
        default=False, validation_alias="redis_tls", description="Whether the connection to REDIS_HOST uses TLS."
    )
    redis_ca_file: ExistingFile | None = Field(
        default=None,
        validation_alias="redis_ca_file",
        description="Certificates for checking a TLS connection to Redis; default: the system's.",
    )
    batch_size: int = Field(
        default=10, ge=1, validation_alias="batch_size", description="New samples that are needed for a new classifier."
    )
    min_label_count: int = Field(
        default=1,
        ge=1,
        validation_alias="min_label_count",
        description="Votes that a text needs before its label counts.",
    )
    classifier: str | InstanceOf[Classifier] | None = Field(
        default=None, description="Plug-in that is trained. Unset: the project's."
    )
    classifier_params: Params = Field(
        default={}, description="Its parameters: a JSON object, over the table [classifiers.NAME] of the file."
    )
    vectorizer: str | InstanceOf[Vectorizer] | None = Field(
        default=None, description="Plug-in that makes features. Unset: the project's."
    )
    vectorizer_params: Params = Field(
        default={}, description="Its parameters: a JSON object, over the table [vectorizers.NAME] of the file."
    )
    init_sampler: str | InstanceOf[InitSampler] | None = Field(
        default=None, description="Plug-in that starts a project without prelabelled data. Unset: the project's."
    )
    init_sampler_params: Params = Field(
        default={}, description="Its parameters: a JSON object, over the table [init_samplers.NAME] of the file."
    )
    label_aggregator: str | InstanceOf[LabelAggregator] = Field(
        default="majority", description="Plug-in that aggregates a text's votes to its label."
    )
    label_aggregator_params: Params = Field(
        default={}, description="Its parameters: a JSON object, over the table [label_aggregators.NAME] of the file."
    )
    exclude_labels: Names = Field(default=(), description="Labels that are not trained on, separated by commas.")
    predictor_packages: Names = Field(
        default=("scikit-learn", "numpy", "scipy"),
        description="Packages that the predictor and the download manager have, separated by commas.",
    )
    signing_key: SecretStr | None = Field(
        default=None, description="Secret that signs stored models; models without its signature are never loaded."
    )
    signing_key_file: SecretFile | None = Field(default=None, description="File that holds the signing key instead.")
    active_learning: bool | None = Field(
        default=None,
        validation_alias="active_learning",
        description="As the app has it: true, it hands out the texts that the classifier is least sure of; false, the "
        "surest. Unset: true if a Redis is named, else unknown.",
    )
    gate: Literal["warn", "hold", "off"] = Field(
        default="warn",
        description="What happens when a classifier is significantly worse than the one before it.",
    )
    reconcile_s: float = Field(
        default=30, gt=0, description="Seconds between two reconciliations when no message comes."
    )
    grace_s: float = Field(
        default=8, ge=0, description="Seconds that a run may go on after SIGTERM; Docker kills after 10."
    )
    train_timeout_s: float = Field(
        default=3600, gt=0, description="Seconds after which a training, score or aggregation is ended."
    )
    train_memory_mib: int | None = Field(
        default=None,
        ge=384,
        description="MiB of data that each child process may hold. One that trains or scores holds 300 at rest.",
    )
    max_artifact_mib: int = Field(
        default=256,
        ge=1,
        le=511,
        description="MiB that a classifier or vectorizer may have when it is stored. Nobody can read more than 511 "
        "MiB from PostgreSQL.",
    )
    cluster: ClusterAddress | None = Field(default=None, description="Dask scheduler; needs the extra `cluster`.")
    cluster_ca_file: ExistingFile | None = Field(default=None, description="Certificate of the cluster's authority.")
    cluster_cert_file: ExistingFile | None = Field(default=None, description="The worker's certificate in the cluster.")
    cluster_key_file: ExistingFile | None = Field(default=None, description="The key of that certificate.")
    trainers: int | None = Field(
        default=None, ge=1, description="Trainings at a time, of a worker of many projects. Unset: one for each core."
    )
    trainers_mib: int = Field(
        default=2048, ge=384, description="MiB that the training processes of many projects may hold together at rest."
    )
    slice_s: float = Field(
        default=60, gt=0, description="Seconds that a project may hold one of these trainers while others wait."
    )
    keep_gib: float = Field(
        default=4,
        gt=0,
        description="GiB of stored classifiers and vectorizers. Beyond it the worker deletes old ones.",
    )
    reannounce_s: float = Field(
        default=120, gt=0, description="Seconds until an announcement is repeated: not received, or the app is locked."
    )
    http_host: str = Field(
        default="127.0.0.1", description="Address on which HTTP_PORT is answered; 0.0.0.0 is every one of the machine."
    )
    http_port: int | None = Field(
        default=None, ge=1, le=65535, description="Port of /metrics and /healthz; needs the extra `metrics`."
    )
    heartbeat_file: Path | None = Field(
        default=None,
        description="File whose age tells `al-learner health` that the worker is alive. Unset: /tmp/al-learner-UID/"
        "heartbeat, with the number of the user.",
    )
    log: Literal["text", "json"] = Field(default="text", description="Format of the worker's log.")
    classifiers: Tables = Field(default={}, description="Parameters of classifiers, by name.")
    vectorizers: Tables = Field(default={}, description="Parameters of vectorizers, by name.")
    init_samplers: Tables = Field(default={}, description="Parameters of init samplers, by name.")
    label_aggregators: Tables = Field(default={}, description="Parameters of label aggregators, by name.")

    _strategies: Strategies = PrivateAttr()
    _origins: dict[str, str] = PrivateAttr()
    _defaults: tuple[Defaults, bool] = PrivateAttr()

    @property
    def strategies(self) -> Strategies:
        """The strategies that the settings name; where they name none, those of a new project; see `of_project`."""
        return self._strategies

    @property
    def candidates(self) -> Mapping[str, Classifier]:
        """The candidates of a model selector whose packages the predictor has; else empty."""
        return self._strategies.candidates

    @property
    def origins(self) -> Mapping[str, str]:
        """Where the value of each field came from, in words."""
        return strategy_origins(self, self._origins, self._defaults[0], is_recorded=self._defaults[1])

    @property
    def database(self) -> str:
        """The database's URL, for SQLAlchemy.

        Raises
        ------
        SettingsError
            No database is named.
        """
        return database_url(self.database_url)

    @property
    def query(self) -> Literal["least-confidence", "most-confidence"] | None:
        """Which texts the app hands out to be voted on; None where that is unknown."""
        by_least = (self.has_redis or None) if self.active_learning is None else self.active_learning
        return None if by_least is None else "least-confidence" if by_least else "most-confidence"

    @property
    def has_redis(self) -> bool:
        """Whether a Redis is named."""
        return bool(self.redis_url or self.redis_host)

    @property
    def redis_secret(self) -> str | None:
        """The password of REDIS_HOST."""
        return secret(self.redis_password, self.redis_password_file)

    @property
    def signing_secret(self) -> str | None:
        """The signing key."""
        return secret(self.signing_key, self.signing_key_file)

    def of_project(self, found: Defaults, *, is_recorded: bool = True) -> Self:
        """Return these settings with the defaults of a project, which count where they name no strategy.

        Raises
        ------
        SettingsError
            A strategy of the project cannot be made.
        """
        strategies, problems = make_strategies(self, found)
        if strategies is None:
            began = ", ".join(f"{kind} {spec.name}" for kind, spec in found.items())
            raise SettingsError([*problems, f"the project began with {began}; settings can name others"])
        settings = self.model_copy()
        settings._strategies, settings._defaults = strategies, (found, is_recorded)  # noqa: SLF001 - a copy of this
        return settings

    def shown(self) -> dict[str, Any]:
        """Return every setting as plain data, secrets masked."""
        values = self.model_dump(mode="json", exclude={*INTERFACES, *(f"{kind}s" for kind in INTERFACES)})
        for kind in INTERFACES:
            made = getattr(self._strategies, kind)
            is_object = isinstance(getattr(self, kind), Strategy)
            values[kind] = type(made).__name__ if is_object else Spec.of(kind, made).name
            values[f"{kind}_params"] = made.model_dump(mode="json")
        for name in ("database_url", "redis_url"):
            if values[name]:
                values[name] = masked(values[name])
        return {name: values[name] for name in type(self).model_fields if name in values}

    @classmethod
    def settings_customise_sources(  # noqa: D102 - the base class describes it
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the base class has it; .env is not read
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the base class has it; *_FILE settings do this
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        if isinstance(env_settings, EnvSettingsSource):
            given = env_settings.env_vars.items()
            env_settings.env_vars = {name: value for name, value in given if not is_of_kubernetes(name, value or "")}
        file = TomlConfigSettingsSource(settings_cls, toml_file=config_file())
        return init_settings, env_settings, file, ArgumentNames(settings_cls, init_settings)

    @model_validator(mode="wrap")
    @classmethod
    def _report_all(cls, values: dict[str, Any], handler: ModelWrapValidatorHandler[Self]) -> Self:
        arguments: set[str] = values.pop(ARGUMENTS)
        problems = unknown_variables(variables())
        broken: set[str] = set()
        try:
            settings = handler(values)
        except ValidationError as exc:
            problems += dict.fromkeys(problem(error, arguments, cls.model_fields, variable) for error in exc.errors())
            broken = {str(error["loc"][0]) for error in exc.errors() if error["loc"]}
            settings = handler({name: value for name, value in values.items() if name not in broken})
        found = defaults.of_project(None, has_succeeded=False)
        strategies, wrong = make_strategies(settings, found, broken)
        if wrong and not (former := make_strategies(settings, defaults.FORMER, broken))[1]:
            # Parameters without a name may be those of the strategy that an older project began with.
            found, (strategies, wrong) = defaults.FORMER, former
        problems += wrong
        if problems or strategies is None:
            raise SettingsError(problems)
        settings._strategies, settings._defaults = strategies, (found, False)  # noqa: SLF001 - this class
        settings._origins = origins(settings, values, arguments, variable)  # noqa: SLF001 - a validator of this class
        return settings


def variable(name: str) -> str:
    """Return the environment variable of a field."""
    return name.upper() if Settings.model_fields[name].validation_alias else PREFIX + name.upper()


def variables() -> list[str]:
    """Return every environment variable that `Settings` reads."""
    tables = {f"{kind}s" for kind in INTERFACES}
    return [variable(name) for name in Settings.model_fields if name not in tables] + [CONFIG_VARIABLE]
