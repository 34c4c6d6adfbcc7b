"""Pages for browsers: templates with everything escaped, and headers that let a browser load nothing from elsewhere."""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from infra import version

MEDIA_TYPE = "text/html; charset=utf-8"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src {styles}; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_OTHERS = {"Referrer-Policy": "no-referrer", "Cross-Origin-Opener-Policy": "same-origin"}
#: For our own pages.
HEADERS = {"Content-Security-Policy": _POLICY.format(styles="'self'"), **_OTHERS}
#: Swagger UI writes styles into its elements.
SWAGGER_HEADERS = {"Content-Security-Policy": _POLICY.format(styles="'self' 'unsafe-inline'"), **_OTHERS}

_templates = Environment(
    loader=PackageLoader("gateway.documents"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def page(template: str, **values: Any) -> bytes:
    """The page as bytes; all values are text to it, whatever they look like."""
    return _templates.get_template(template).render(version=version.version(), **values).encode()
