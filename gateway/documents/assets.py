"""The files that pages load beside themselves: our own, and Swagger UI, so that no page needs another server."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

#: Of fastapi-swagger nothing but these files is used: what swagger-ui-dist, their own package, has for npm alone.
_SWAGGER = files("fastapi_swagger.resources")
_OURS = files("gateway.documents") / "static"

_FILES: Mapping[str, tuple[Traversable, str]] = {
    "catalogue.css": (_OURS / "catalogue.css", "text/css; charset=utf-8"),
    "catalogue.js": (_OURS / "catalogue.js", "text/javascript; charset=utf-8"),
    "docs.js": (_OURS / "docs.js", "text/javascript; charset=utf-8"),
    "icon.svg": (_OURS / "icon.svg", "image/svg+xml"),
    "swagger-ui.css": (_SWAGGER / "swagger-ui.css", "text/css; charset=utf-8"),
    "swagger-ui.js": (_SWAGGER / "swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
}


@cache
def find(name: str) -> tuple[bytes, str] | None:
    """The bytes and the media type of a file; None when there is none of this name."""
    if name not in _FILES:
        return None
    file, media_type = _FILES[name]
    return file.read_bytes(), media_type
