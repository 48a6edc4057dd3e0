"""`al-learner plugins`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from al_learner.commands.shared import App, Json, completed_plugins, print_json, print_table, say
from al_learner.core.errors import PluginWarning, SettingsError

if TYPE_CHECKING:
    from al_learner.core.registry import Kind

app = App(help="List the installed plug-ins, show or check one, or begin a new one.", invoke_without_command=True)

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


class KindOption(StrEnum):
    """What a new plug-in is."""

    CLASSIFIER = "classifier"
    VECTORIZER = "vectorizer"
    INIT_SAMPLER = "init-sampler"
    LABEL_AGGREGATOR = "label-aggregator"
    QUERY_STRATEGY = "query-strategy"
    WORD_VECTORS = "word-vectors"

    @property
    def kind(self) -> Kind:
        """Its name in the registry."""
        return "word_vector" if self is KindOption.WORD_VECTORS else cast("Kind", self.value.replace("-", "_"))


@app.callback()
def plugins_list(context: typer.Context, as_json: Json = False) -> None:
    """List the installed plug-ins."""
    if context.invoked_subcommand is None:
        found = list(_plugins())
        if as_json:
            return print_json(found)
        rows = [(p["kind"], p["name"], p["from"], p["problem"] or p["summary"]) for p in found]
        return print_table(("kind", "name", "from", "what it is"), rows)
    return None


@app.command("show")
def plugins_show(
    name: Annotated[str, typer.Argument(metavar="NAME", autocompletion=completed_plugins, help="Name of a plug-in.")],
    as_json: Json = False,
) -> None:
    """Show one plug-in: its parameters, its package, and the packages that a reader of its models needs."""
    from al_learner.core.registry import PLUGINS, allowed, names

    found = [plugin for plugin in _plugins() if plugin["name"] == name]
    if not found:
        known = {known for kind in PLUGINS for known in names(kind)}
        raise SettingsError([f"plug-in {name!r} is unknown; {allowed(name, known)}"])
    if as_json:
        return print_json(found)
    for plugin in found:
        say(f"{plugin['kind']} {plugin['name']}, from {plugin['from']} ({plugin['value']})")
        if plugin["problem"]:
            say(plugin["problem"])
            continue
        say(plugin["summary"])
        say(f"packages that a reader of its models needs: {', '.join(plugin['requires']) or 'nothing'}")
        if plugin["kind"] == "word_vector":
            say(f"languages: {', '.join(plugin['languages'] or ['depend on the parameter'])}")
            say(f"licence: {plugin['licence']}")
            say(f"provenance: {plugin['provenance']}")
        parameters = [
            (p["name"], p["type"], "required" if p["required"] else json.dumps(p["default"]), p["description"])
            for p in plugin["parameters"]
        ]
        print_table(("parameter", "type", "default", "meaning"), parameters)
    return None


@app.command("check")
def plugins_check(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", autocompletion=completed_plugins, help="Name of a plug-in, or NAME(parameter=value)."
        ),
    ],
) -> None:
    """Check that a plug-in keeps the promises of its interface. It can take a minute."""
    import warnings

    from al_learner.core.registry import PLUGINS, Spec, allowed, names
    from al_learner.core.testing import check_plugin

    bare = name.partition("(")[0].strip()
    kinds = [kind for kind in PLUGINS if bare in names(kind)]
    if not kinds:
        raise SettingsError([f"plug-in {bare!r} is unknown; {allowed(bare, {n for k in PLUGINS for n in names(k)})}"])
    for kind in kinds:
        made = Spec.read(kind, name).make(kind)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            check_plugin(made)
        for warning in dict.fromkeys(str(one.message) for one in caught if one.category is PluginWarning):
            say(f"warning: {warning}", err=True)
        say(f"{kind.replace('_', ' ')} {name} keeps all promises of its interface")


@app.command("new")
def plugins_new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name in the settings, such as my-classifier.")],
    what: Annotated[KindOption, typer.Option("--kind", help="What it is.")] = KindOption.CLASSIFIER,
    folder: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where the package goes. Default: al-learner-NAME.")
    ] = None,
) -> None:
    """Begin a plug-in: write a package that can be installed, with a strategy that works and its tests."""
    from al_learner.core.registry import group, names

    if not NAME.fullmatch(name):
        raise SettingsError([f"name {name!r}: write small letters, digits and hyphens, such as my-classifier"])
    if name in names(what.kind):
        raise SettingsError([f"{what.value.replace('-', ' ')} {name!r} is there already; choose another name"])
    package = f"al-learner-{name}"
    values = {
        "name": name, "package": package, "module": package.replace("-", "_"), "kind": what.kind,
        "cls": "".join(word.capitalize() for word in name.split("-")), "what": what.value.replace("-", " "),
        "group": group(what.kind).rpartition(".")[2],
    }  # fmt: skip
    made = folder or Path(package)
    written = {
        "pyproject.toml": "pyproject.toml", f"src/{values['module']}/__init__.py": f"{what.kind}.py",
        "tests/test_plugin.py": "test_plugin.py",
    }  # fmt: skip
    try:
        made.mkdir(parents=True)
        for target, source in written.items():
            template = Template(
                (files("al_learner") / "data" / "plugin" / f"{source}.template").read_text(encoding="utf-8")
            )
            (made / target).parent.mkdir(parents=True, exist_ok=True)
            (made / target).write_text(template.substitute(values), encoding="utf-8")
    except FileExistsError as exc:
        raise SettingsError([f"{made} is there already; give another place with --folder"]) from exc
    except OSError as exc:
        raise SettingsError([f"{exc.filename}: {exc.strerror}"]) from exc
    say(f"{made}: install it with `pip install --editable {made}`, then `al-learner plugins check {name}`")


def _plugins() -> Iterator[dict[str, Any]]:
    from al_learner.core.errors import PluginError
    from al_learner.core.registry import PLUGINS, entry_points, origin, strategy_class

    for kind in PLUGINS:
        for entry_point in entry_points(kind):
            found: dict[str, Any] = {
                "kind": kind,
                "name": entry_point.name,
                "from": origin(kind, entry_point),
                "value": entry_point.value,
                "problem": None,
            }
            try:
                cls = strategy_class(kind, entry_point.name)
            except PluginError as exc:
                yield found | {"problem": str(exc), "summary": "", "requires": [], "parameters": []}
                continue
            properties = cls.model_json_schema()["properties"]
            if kind == "word_vector":
                found |= {about: getattr(cls, about, None) for about in ("languages", "licence", "provenance")}
            yield found | {
                "summary": (cls.__doc__ or "").strip().partition("\n")[0],
                "requires": list(cls.requires),
                "parameters": [
                    {
                        "name": name,
                        "type": _type(properties[name]),
                        "required": field.is_required(),
                        "default": None if field.is_required() else field.get_default(call_default_factory=True),
                        "description": field.description or "",
                    }
                    for name, field in cls.model_fields.items()
                ],
            }


def _type(schema: Mapping[str, Any]) -> str:
    """Return in words what a JSON schema allows."""
    if "anyOf" in schema:
        parts = [_type(part) for part in schema["anyOf"]]
        return (", or " if any(", " in part for part in parts) else " or ").join(parts)
    if "enum" in schema or "const" in schema:
        return " or ".join(json.dumps(value) for value in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array" and "prefixItems" in schema:
        return f"[{'; '.join(_type(part) for part in schema['prefixItems'])}]"
    return f"{schema.get('type', 'anything')}{_range(schema)}"


def _range(schema: Mapping[str, Any]) -> str:
    """Return in words the range of a number: `` from 2 to 16,777,216``, ``, at least 2`` or `` above 0``."""
    if {"minimum", "maximum"} <= {*schema}:
        return f" from {schema['minimum']:,} to {schema['maximum']:,}"
    words = {
        "minimum": ", at least",
        "exclusiveMinimum": " above",
        "maximum": ", at most",
        "exclusiveMaximum": " below",
    }
    return " and".join(f"{word} {schema[key]:,}" for key, word in words.items() if key in schema)
