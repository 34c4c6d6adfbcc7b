"""Whether a server answers as it should."""

import base64
import http.client
import urllib.parse

from infra.local.ports import answers


def says_ready(url: str, timeout: float = 2.0) -> bool:
    """Whether a GET gives 200 within `timeout` seconds; what speaks no HTTP only has to accept a connection.

    User and password in the URL are sent along, so that only the server that knows them is ready.
    """
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "http":
        return _gives_200(parts, timeout)
    return parts.port is not None and answers(parts.port, timeout)


def _gives_200(parts: urllib.parse.SplitResult, timeout: float) -> bool:
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
    try:
        connection.request("GET", parts.path, headers=_credentials(parts))
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _credentials(parts: urllib.parse.SplitResult) -> dict[str, str]:
    if parts.username is None:
        return {}
    pair = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
