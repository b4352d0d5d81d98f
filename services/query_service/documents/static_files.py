"""The files that the pages need: ours, and Swagger UI's as `fastapi-offline` ships them."""

from functools import cache
from importlib.resources import files
from typing import NamedTuple

# Swagger UI sets styles on its elements; scripts come from this service's own files alone.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    " connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
# No script at all where there is none.
PLAIN_POLICY = "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'"

_START = """\
"use strict";
SwaggerUIBundle({
  url: "../openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  presets: [SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
  validatorUrl: null,
});
"""
_MESSAGES_STYLE = """\
:root { color-scheme: light dark; --line: #8885; --soft: #8882; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 0 auto; padding: 1rem; }
h1, h2, h3, h4 { line-height: 1.2; margin: 1.5em 0 .5em; }
h2 { border-bottom: 1px solid var(--line); padding-bottom: .3em; }
h4 { margin-top: 1em; }
nav > ul { display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); padding: 0; }
nav li { list-style: none; }
nav ul ul { padding-left: 1em; }
article { border: 1px solid var(--line); border-radius: .4rem; margin: 1rem 0; padding: 0 1rem 1rem; }
article h3 { margin-top: 1rem; }
.facts, .optional { opacity: .75; font-size: .9em; }
table { border-collapse: collapse; width: 100%; font-size: .92em; }
th, td { border-top: 1px solid var(--line); padding: .3rem .6rem .3rem 0; }
th, td { text-align: left; vertical-align: top; }
td:first-child { white-space: nowrap; }
td:last-child { overflow-wrap: anywhere; }
code, pre { font-family: ui-monospace, monospace; font-size: .92em; }
pre { background: var(--soft); padding: .7rem; overflow-x: auto; border-radius: .3rem; }
details { margin-top: .6rem; }
summary { cursor: pointer; }
"""
# As wide and as far in as Swagger UI sets its own.
_PAGE_STYLE = """\
nav { font: 14px/1.5 sans-serif; max-width: 1460px; margin: 0 auto; padding: 1rem 20px 0; }
"""
_SWAGGER_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Tillstream: HTTP API</title>
<link rel="icon" type="image/png" href="{base}favicon.png">
<link rel="stylesheet" href="{base}swagger-ui.css">
<link rel="stylesheet" href="{base}page.css">
</head>
<body>
<nav>What goes over Kafka: <a href="{messages}">messages</a></nav>
<div id="swagger-ui"></div>
<noscript>This page needs scripts; <a href="../openapi.json">what it shows</a> doesn't.</noscript>
<script src="{base}swagger-ui-bundle.js"></script>
<script src="{base}start.js"></script>
</body>
</html>
"""
_SHIPPED = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon.png": "image/png",
}


class File(NamedTuple):
    """A file's bytes and kind."""

    content: bytes
    media_type: str


def swagger_page(*, base: str, messages: str) -> str:
    """Return the page of Swagger UI; `base` leads to its files and ends with a slash."""
    return _SWAGGER_PAGE.format(base=base, messages=messages)


@cache
def page_files() -> dict[str, File]:
    """Return the files by name."""
    shipped = files("fastapi_offline") / "static"
    found = {name: File((shipped / name).read_bytes(), kind) for name, kind in _SHIPPED.items()}
    found["start.js"] = File(_START.encode(), "text/javascript")
    found["page.css"] = File(_PAGE_STYLE.encode(), "text/css")
    found["messages.css"] = File(_MESSAGES_STYLE.encode(), "text/css")
    return found
