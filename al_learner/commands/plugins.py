"""`al-learner plugins`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import typer

from al_learner.commands.shared import App, Json, print_json, print_table, say
from al_learner.core.errors import SettingsError

app = App(help="List the installed plug-ins, or show one.", invoke_without_command=True)


@app.callback()
def plugins_list(context: typer.Context, as_json: Json = False) -> None:
    """List the installed plug-ins, or show one."""
    if context.invoked_subcommand is None:
        found = list(_plugins())
        if as_json:
            return print_json(found)
        rows = [(p["kind"], p["name"], p["from"], p["problem"] or p["summary"]) for p in found]
        return print_table(("kind", "name", "from", "what it is"), rows)
    return None


@app.command("show")
def plugins_show(name: str, as_json: Json = False) -> None:
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
