"""The AsyncAPI document as a page for people: plain HTML, nothing that runs, nothing from elsewhere."""

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

_HEAD = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}: messages</title>
<link rel="stylesheet" href="{base}messages.css">
</head>
<body>
"""
_BOUNDS = {
    "minimum": "from {}",
    "exclusiveMinimum": "above {}",
    "exclusiveMaximum": "below {}",
    "const": "always “{}”",
    "default": "“{}” unless given",
}
_WITH_SCHEMAS = frozenset({"commands", "events"})
_KINDS = {"string": "text", "integer": "whole number"}
_FORMS = {"uuid": "UUID", "date": "day", "date-time": "time"}


def messages_page(document: Mapping[str, Any], *, base: str, http_api: str) -> str:
    """Return the page of an AsyncAPI document; `base` leads to its style sheet and ends with a slash."""
    return "".join(_page(document, base, http_api))


def _page(document: Mapping[str, Any], base: str, http_api: str) -> Iterator[str]:
    info, channels = document["info"], document["channels"]
    yield _HEAD.format(title=escape(info["title"]), base=escape(base))
    yield f"<header><h1>{escape(info['title'])}: messages</h1>"
    for paragraph in info["description"].split("\n\n"):
        yield f"<p>{_prose(paragraph)}</p>"
    yield '<p>For programs: <a href="../asyncapi.json">asyncapi.json</a>.'
    yield f' Questions and commands over HTTP: <a href="{escape(http_api)}">HTTP API</a>.</p>'
    yield "</header><nav><h2>Topics</h2><ul>"
    for name, channel in channels.items():
        yield f'<li><a href="#{escape(name)}">{escape(channel["address"])}</a><ul>'
        for message in channel["messages"]:
            yield f'<li><a href="#{escape(message)}">{escape(message)}</a></li>'
        yield "</ul></li>"
    yield "</ul></nav><main>"
    for name, channel in channels.items():
        yield from _channel(document, name, channel)
    yield "</main></body></html>\n"


def _channel(document: Mapping[str, Any], name: str, channel: Mapping[str, Any]) -> Iterator[str]:
    settings = channel["bindings"]["kafka"]
    yield f'<section class="topic" id="{escape(name)}"><h2>{escape(channel["address"])}</h2>'
    yield f"<p>{_prose(channel['description'])}</p>"
    days = settings["topicConfiguration"]["retention.ms"] // 86_400_000
    kept = f"kept for {days} days" if days >= 0 else "kept for ever"
    largest = settings["topicConfiguration"]["max.message.bytes"] // 2**20
    yield f'<p class="facts">{settings["partitions"]} partitions; {kept}; up to {largest} MiB a message.</p>'
    for each in channel["messages"]:
        yield from _message(document, name, each)
    yield "</section>"


def _message(document: Mapping[str, Any], channel: str, name: str) -> Iterator[str]:
    message = document["components"]["messages"][name]
    payload = document["components"]["schemas"].get(name, message["payload"])
    about = message.get("summary") or payload.get("description", "")
    yield f'<article id="{escape(name)}"><h3>{escape(message["title"])}</h3><p>{_prose(about)}</p>'
    if "$comment" in payload:
        yield f'<p class="facts">{escape(payload["$comment"])}</p>'
    yield "<h4>Data</h4>"
    yield from _fields(payload)
    if channel in _WITH_SCHEMAS:
        address = f"../schemas/{channel}/{escape(name)}.json"
        yield f'<p class="facts">For programs: <a href="{address}">JSON Schema</a>.</p>'
    yield "<details><summary>Headers</summary>"
    yield from _fields(message["headers"])
    yield "</details>"
    for example in message["examples"]:
        headers = "\n".join(f"{key}: {value}" for key, value in example["headers"].items())
        shown = json.dumps(example["payload"], indent=2, ensure_ascii=False)
        yield f"<details><summary>Example</summary><pre>{escape(headers)}\n\n{escape(shown)}</pre></details>"
    yield "</article>"


def _fields(schema: Mapping[str, Any]) -> Iterator[str]:
    properties = schema.get("properties")
    if not properties:
        yield f"<p>{'None.' if properties is not None else _prose(schema.get('description', ''))}</p>"
        return
    required = schema.get("required", [])
    yield "<table><thead><tr><th>Field</th><th>What it is</th><th>Rules</th></tr></thead><tbody>"
    for name, field in properties.items():
        need = "" if name in required else ' <span class="optional">optional</span>'
        about = _prose(
            next((way["description"] for way in _ways(field, whole=True) if "description" in way), "")
        )
        rules = "; or ".join(rule for rule in map(_rule, _ways(field)) if rule)
        yield f"<tr><td><code>{escape(name)}</code>{need}</td><td>{about}</td><td>{escape(rules)}</td></tr>"
    yield "</tbody></table>"
    if "oneOf" in schema:
        one_of = " or ".join(f"<code>{escape(way['required'][0])}</code>" for way in schema["oneOf"])
        yield f"<p>Exactly one of {one_of}.</p>"


def _ways(field: Mapping[str, Any], *, whole: bool = False) -> Iterator[Mapping[str, Any]]:
    """Give the forms that a field can take; with `whole` also what holds several of them."""
    if whole or "anyOf" not in field:
        yield field
    for way in field.get("anyOf", ()):
        yield from _ways(way, whole=whole)


def _rule(way: Mapping[str, Any]) -> str:
    kind: str = way.get("type", "")
    if "enum" in way:
        return "one of " + ", ".join(map(str, way["enum"])) + _bounds(way)
    if kind == "array":
        return f"list of {_rule(way['items'])}"
    kind = _KINDS.get(kind, kind)
    form = way.get("format")
    if form is not None:
        return _FORMS[form]
    return kind + _pattern(way.get("pattern", ""), way.get("not", {}).get("pattern", "")) + _bounds(way)


def _pattern(pattern: str, unwanted: str) -> str:
    """Say in words what patterns of ours ask for, where words are shorter."""
    if "\0" in unwanted:
        return " without control characters"
    if r"(\." in pattern:
        return " such as 12.50"
    if unwanted == "[^0-9]":
        return " of digits"
    return f" like {pattern}" if pattern else ""


def _bounds(way: Mapping[str, Any]) -> str:
    told = [f"{way['minLength']} to {way['maxLength']} characters"] if "minLength" in way else []
    told += [
        words.format(f"{way[name]:,}" if isinstance(way[name], int) else way[name])
        for name, words in _BOUNDS.items()
        if name in way
    ]
    return ", " + ", ".join(told) if told else ""


def _prose(text: str) -> str:
    """Return a text as HTML, with what stands between backquotes as code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if number % 2 else part for number, part in enumerate(parts))
