"""Environment and TOML file to one frozen `Settings`; all problems are reported together.

Arguments go over the environment, the environment over the TOML file, the file over the defaults.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import ModelWrapValidatorHandler, PrivateAttr, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, TomlConfigSettingsSource

from al_learner.core.configuration.fields import CONFIG_VARIABLE, PREFIX, Fields, variable, variables
from al_learner.core.errors import PluginError, SettingsError
from al_learner.core.interfaces import Chooser, Classifier, InitSampler, LabelAggregator, Strategy, Vectorizer
from al_learner.core.registry import INTERFACES, Kind, allowed, candidates, canonical, names, strategy

DEFAULT_CONFIG = "al_learner.toml"
ARGUMENTS = "arguments!"
LIBPQ_PLACES = ("PGHOST", "PGHOSTADDR", "PGSERVICE", "PGDATABASE")


@dataclass(frozen=True)
class Strategies:
    """The four strategies that a project uses."""

    classifier: Classifier
    vectorizer: Vectorizer
    init_sampler: InitSampler
    label_aggregator: LabelAggregator


class Settings(Fields):
    """Everything that can be configured.

    Raises
    ------
    SettingsError
        With every problem at once: wrong values, unknown names, plug-ins and their parameters.
    """

    _strategies: Strategies = PrivateAttr()
    _candidates: Mapping[str, Classifier] = PrivateAttr(default={})
    _origins: dict[str, str] = PrivateAttr()

    @property
    def strategies(self) -> Strategies:
        """The strategies that the settings name."""
        return self._strategies

    @property
    def candidates(self) -> Mapping[str, Classifier]:
        """What the classifier chooses among, those whose packages the predictor has; empty if it does not choose."""
        return self._candidates

    @property
    def origins(self) -> Mapping[str, str]:
        """Where the value of each field came from, in words."""
        return self._origins

    @property
    def database(self) -> str:
        """The database's URL, for SQLAlchemy.

        Raises
        ------
        SettingsError
            No database is named.
        """
        if self.database_url:
            return re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", self.database_url)
        if any(os.environ.get(name) for name in LIBPQ_PLACES):
            return "postgresql+psycopg://"
        raise SettingsError(
            [
                (
                    f"no database is named: set PGHOST (or {', '.join(LIBPQ_PLACES[1:])}) for PostgreSQL, or "
                    f"{PREFIX}DATABASE_URL, or give --database, e.g. sqlite:///project.db"
                )
            ]
        )

    @property
    def has_redis(self) -> bool:
        """Whether a Redis is named."""
        return bool(self.redis_url or self.redis_host)

    @property
    def redis_secret(self) -> str | None:
        """The password of REDIS_HOST."""
        return _secret(self.redis_password, self.redis_password_file)

    @property
    def signing_secret(self) -> str | None:
        """The signing key."""
        return _secret(self.signing_key, self.signing_key_file)

    def shown(self) -> dict[str, Any]:
        """Return every setting as plain data, secrets masked."""
        values = self.model_dump(mode="json", exclude={*INTERFACES, *(f"{kind}s" for kind in INTERFACES)})
        for kind in INTERFACES:
            chosen = getattr(self, kind)
            values[kind] = chosen if isinstance(chosen, str) else type(chosen).__name__
            values[f"{kind}_params"] = getattr(self._strategies, kind).model_dump(mode="json")
        for name in ("database_url", "redis_url"):
            if values[name]:
                values[name] = without_password(values[name])
        return {name: values[name] for name in type(self).model_fields if name in values}

    @classmethod
    def settings_customise_sources(  # noqa: D102 - pydantic-settings asks for it
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - not used
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - not used
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        file = TomlConfigSettingsSource(settings_cls, toml_file=_config_file())
        return init_settings, env_settings, file, _ArgumentNames(settings_cls, init_settings)

    @model_validator(mode="wrap")
    @classmethod
    def _report_all(cls, values: dict[str, Any], handler: ModelWrapValidatorHandler[Self]) -> Self:
        arguments: set[str] = values.pop(ARGUMENTS)
        problems = _unknown_variables()
        broken: set[str] = set()
        try:
            settings = handler(values)
        except ValidationError as exc:
            problems += dict.fromkeys(_problem(error, arguments) for error in exc.errors())
            broken = {str(error["loc"][0]) for error in exc.errors() if error["loc"]}
            settings = handler({name: value for name, value in values.items() if name not in broken})
        strategies: dict[str, Strategy] = {}
        for kind in INTERFACES:
            if broken.isdisjoint({kind, f"{kind}_params", f"{kind}s"}):
                try:
                    strategies[kind] = settings._resolve(kind)  # noqa: SLF001 - its own, as below
                except SettingsError as exc:
                    problems += exc.problems
                except PluginError as exc:
                    problems.append(str(exc))
            if f"{kind}s" not in broken:
                problems += settings._unknown_tables(kind)  # noqa: SLF001 - its own
        if "predictor_packages" not in broken:
            problems += settings._missing_packages(strategies)  # noqa: SLF001 - its own
        if problems:
            raise SettingsError(problems)
        settings._strategies = Strategies(**strategies)  # type: ignore[arg-type]  # noqa: SLF001 - checked by INTERFACES
        settings._origins = _origins(settings, values, arguments)  # noqa: SLF001 - its own
        return settings

    def _resolve(self, kind: Kind) -> Strategy:
        chosen = getattr(self, kind)
        params = getattr(self, f"{kind}_params")
        if isinstance(chosen, str):
            chosen = strategy(kind, chosen, **{**getattr(self, f"{kind}s").get(chosen, {}), **params})
        elif params:
            raise SettingsError([f"{kind}_params = {params!r}: not allowed beside {chosen!r}, which has its own"])
        if isinstance(chosen, Chooser):
            self._candidates = candidates(chosen, self.classifiers, self.predictor_packages)
        return chosen  # type: ignore[no-any-return]  # pydantic says Any

    def _unknown_tables(self, kind: Kind) -> list[str]:
        known = names(kind)
        tables = set(getattr(self, f"{kind}s")) - {*known}
        return [f"[{kind}s.{name}]: no such {kind}; {allowed(name, known)}" for name in sorted(tables)]

    def _missing_packages(self, strategies: Mapping[str, Strategy]) -> list[str]:
        listed = {*map(canonical, self.predictor_packages)}
        return [
            f"{kind} {getattr(self, kind)!r} gives something that only a predictor with {', '.join(missing)} can read, "
            f"and {PREFIX}PREDICTOR_PACKAGES = {','.join(self.predictor_packages)} does not list that: rebuild the "
            "predictor and the download manager with it and list it there, or choose another "
            f"{kind} (docs: how-to/move-an-installation)"
            for kind in ("classifier", "vectorizer")
            if kind in strategies and (missing := sorted({*map(canonical, strategies[kind].requires)} - listed))
        ]


def without_password(url: str) -> str:
    """Mask the password of a URL."""
    url = re.sub(r"(?<=://)([^:/?#@]*):.*@", r"\1:***@", url)
    return re.sub(r"(?<=[?&]password=)[^&]*", "***", url)


def _secret(value: SecretStr | None, file: Path | None) -> str | None:
    if file is not None:
        return file.read_text(encoding="utf-8").strip()
    return value.get_secret_value() if value else None


def _config_file() -> Path | None:
    named = os.environ.get(CONFIG_VARIABLE)
    path = Path(named or DEFAULT_CONFIG)
    if not path.is_file():
        if named:
            raise SettingsError([f"{CONFIG_VARIABLE} = {named}: there is no such file"])
        return None
    try:
        tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise SettingsError([f"{path}: not a readable TOML file: {exc}"]) from exc
    return path


def _unknown_variables() -> list[str]:
    known = variables()
    problems = []
    for name in sorted(os.environ):
        bare = name.upper().removeprefix(PREFIX)
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            hint = f"did you mean {bare!r}? It has no prefix" if bare in known else allowed(name, known)
            problems.append(f"{name} is not a setting; {hint}")
    return problems


def _problem(error: Any, arguments: set[str]) -> str:
    name, value = ".".join(str(part) for part in error["loc"]), error["input"]
    if error["type"] == "extra_forbidden":
        return f"{name} is not a setting; {allowed(name, Settings.model_fields)}"
    field = str(error["loc"][0])
    if field in INTERFACES:
        return f"{field} = {value!r}: must be the name of a plug-in"
    if "SecretStr" in str(Settings.model_fields[field].annotation):
        value = "***"
    from_environment = field not in arguments and os.environ.get(variable(field))
    shown = f"{variable(field)} = {value}" if from_environment else f"{name} = {value!r}"
    return f"{shown}: {error['msg'].removeprefix('Value error, ')}"


class _ArgumentNames(PydanticBaseSettingsSource):
    """Tells the validator which values were given as arguments, under a name that no field has."""

    def __init__(self, settings_cls: type[BaseSettings], arguments: PydanticBaseSettingsSource) -> None:
        super().__init__(settings_cls)
        self._arguments = arguments

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002 - pydantic gives them
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        return {ARGUMENTS: {*self._arguments()}}


def _origins(settings: Settings, values: Mapping[str, Any], arguments: set[str]) -> dict[str, str]:
    path = _config_file()
    origins = {}
    for name in Settings.model_fields:
        if name in arguments:
            origins[name] = "argument"
        elif name not in values:
            origins[name] = "default"
        elif os.environ.get(variable(name)):
            origins[name] = f"environment {variable(name)}"
        else:
            origins[name] = str(path)
    for kind in INTERFACES:  # parameters from the file's table of the chosen name
        chosen = getattr(settings, kind)
        named = isinstance(chosen, str) and chosen in getattr(settings, f"{kind}s")
        if origins[f"{kind}_params"] == "default" and named:
            origins[f"{kind}_params"] = origins[f"{kind}s"]
    return origins
