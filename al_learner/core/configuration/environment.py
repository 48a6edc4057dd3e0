"""Where settings come from: the environment, the settings file, and arguments."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from al_learner.core.configuration.secrets import HIDDEN, MASK
from al_learner.core.configuration.settings_file import config_file
from al_learner.core.errors import SettingsError
from al_learner.core.events import event
from al_learner.core.registry import INTERFACES, allowed

PREFIX = "AL_LEARNER_"
ARGUMENTS = "arguments!"
LIBPQ_PLACES = ("PGHOST", "PGHOSTADDR", "PGSERVICE", "PGDATABASE")

_OF_SERVICE = re.compile(
    r"AL_LEARNER(_\w+)?_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_SERVICE_ADDRESS = re.compile(r"(tcp|udp|sctp)://\S*")


def is_of_kubernetes(name: str, value: str) -> bool:
    """Whether Kubernetes sets a variable for a Service such as `al-learner` or `al-learner-http`.

    A variable like AL_LEARNER_HTTP_PORT, whose name may also be a setting's, is told by its value, such as
    ``tcp://10.0.0.7:8000``.
    """
    name = name.upper()
    is_port = name.startswith(PREFIX) and name.endswith("_PORT") and _SERVICE_ADDRESS.fullmatch(value)
    return bool(_OF_SERVICE.fullmatch(name) or is_port)


def variables_in_effect() -> dict[str, str]:
    """Return the environment without the variables that Kubernetes sets for Services with our name."""
    return {name: value for name, value in os.environ.items() if not is_of_kubernetes(name, value)}


def warn_of_ignored_variables() -> None:
    """Log which variables are ignored, if there are any."""
    if ignored := sorted(os.environ.keys() - variables_in_effect().keys()):
        event(
            "settings.ignored",
            level=logging.WARNING,
            variables=", ".join(ignored),
            reason="Kubernetes sets them for a Service whose name begins with al-learner",
            then="to end this warning, set enableServiceLinks: false in the pod, or rename the Service",
        )


def unknown_variables(known: Sequence[str]) -> list[str]:
    """Return a message for each variable that looks like a setting but is none of `known`."""
    problems = []
    for name in sorted(variables_in_effect()):
        bare = name.upper().removeprefix(PREFIX)
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            hint = f"did you mean {bare!r}? It has no prefix" if bare in known else allowed(name, known)
            problems.append(f"{name} is not a setting; {hint}")
    return problems


def database_url(url: str | None) -> str:
    """Return the URL for SQLAlchemy, from the setting of that name or from libpq's variables.

    Raises
    ------
    SettingsError
        No database is named.
    """
    if url:
        return re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", url)
    if any(os.environ.get(name) for name in LIBPQ_PLACES):
        return "postgresql+psycopg://"
    raise SettingsError(
        [
            (
                "no database is named: give --database, e.g. sqlite:///project.db for a file, or set "
                f"{PREFIX}DATABASE_URL, or for PostgreSQL PGHOST (or {', '.join(LIBPQ_PLACES[1:])})"
            )
        ]
    )


class ArgumentNames(PydanticBaseSettingsSource):
    """Tells the validator which settings were given as arguments."""

    def __init__(self, settings_cls: type[BaseSettings], arguments: PydanticBaseSettingsSource) -> None:
        super().__init__(settings_cls)
        self._arguments = arguments

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002 - the base class has these parameters
        """Return no value: `__call__` supplies all of them together."""
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return the names, as pydantic-settings asks for values."""
        return {ARGUMENTS: {*self._arguments()}}


def origins(
    settings: BaseSettings, values: Mapping[str, Any], arguments: set[str], variable: Callable[[str], str]
) -> dict[str, str]:
    """Return in words where the value of each field came from; `variable` returns a field's environment variable."""
    path, environment = config_file(), variables_in_effect()
    found = {}
    for name in type(settings).model_fields:
        if name in arguments:
            found[name] = "argument"
        elif name not in values:
            found[name] = "default"
        elif environment.get(variable(name)):
            found[name] = f"environment {variable(name)}"
        else:
            found[name] = str(path)
    return found


def problem(error: Any, arguments: set[str], fields: Collection[str], variable: Callable[[str], str]) -> str:
    """Return in words what is wrong with a value; `error` as pydantic has it, `fields` the names of all settings."""
    name, value = ".".join(str(part) for part in error["loc"]), error["input"]
    if error["type"] == "extra_forbidden":
        return f"{name} is not a setting; {allowed(name, fields)}"
    field = str(error["loc"][0])
    if field in INTERFACES:
        return f"{field} = {value!r}: must be the name of a plug-in"
    from_environment = field not in arguments and os.environ.get(variable(field))
    shown = MASK if field in HIDDEN else str(value) if from_environment else repr(value)
    message = error["msg"].removeprefix("Value error, ")
    return f"{variable(field) if from_environment else name} = {shown}: {message}"
