"""Where settings come from: the environment, the settings file, and arguments."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from al_learner.core.configuration.settings_file import config_file
from al_learner.core.registry import INTERFACES, allowed

PREFIX = "AL_LEARNER_"
ARGUMENTS = "arguments!"


def unknown_variables(known: Sequence[str]) -> list[str]:
    """Return a message for each variable that looks like a setting but is none of `known`."""
    problems = []
    for name in sorted(os.environ):
        bare = name.upper().removeprefix(PREFIX)
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            hint = f"did you mean {bare!r}? It has no prefix" if bare in known else allowed(name, known)
            problems.append(f"{name} is not a setting; {hint}")
    return problems


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
    path = config_file()
    found = {}
    for name in type(settings).model_fields:
        if name in arguments:
            found[name] = "argument"
        elif name not in values:
            found[name] = "default"
        elif os.environ.get(variable(name)):
            found[name] = f"environment {variable(name)}"
        else:
            found[name] = str(path)
    for kind in INTERFACES:  # parameters may come from the file's table of that strategy, such as [classifiers.logreg]
        chosen = getattr(settings, kind)
        named = isinstance(chosen, str) and chosen in getattr(settings, f"{kind}s")
        if found[f"{kind}_params"] == "default" and named:
            found[f"{kind}_params"] = found[f"{kind}s"]
    return found
