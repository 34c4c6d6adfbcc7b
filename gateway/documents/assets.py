"""The files that pages load beside themselves: our own, and Swagger UI, so that no page needs another server."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import PurePath

#: Of fastapi-swagger nothing but these files is used: what swagger-ui-dist, their own package, has for npm alone.
_SWAGGER = files("fastapi_swagger.resources")
_OURS = files("gateway.documents") / "static"

_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
_SCRIPTS = ("asking", "catalogue", "docs", "figures", "following", "page", "searching", "trying")
_FILES: Mapping[str, Traversable] = {
    **{f"{name}.js": _OURS / f"{name}.js" for name in _SCRIPTS},
    "catalogue.css": _OURS / "catalogue.css",
    "icon.svg": _OURS / "icon.svg",
    "swagger-ui.css": _SWAGGER / "swagger-ui.css",
    "swagger-ui.js": _SWAGGER / "swagger-ui-bundle.js",
}


@cache
def find(name: str) -> tuple[bytes, str] | None:
    """The bytes and the media type of a file; None when there is none of this name."""
    if name not in _FILES:
        return None
    return _FILES[name].read_bytes(), _TYPES[PurePath(name).suffix]
