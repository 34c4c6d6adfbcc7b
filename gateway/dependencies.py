"""What routes are given: the database, and the name of the operator who asks."""

from typing import Annotated

from fastapi import Depends, Header, Request

from infra.database.engine import Database


async def database(request: Request) -> Database:
    """The program's database, as `create_app` was given it."""
    found: Database = request.app.state.database
    return found


Db = Annotated[Database, Depends(database)]


async def operator_name(
    tidings_operator: Annotated[
        str | None,
        Header(
            min_length=1,
            max_length=100,
            pattern="^[ -~]*$",
            description="Who asks, for the audit: up to 100 printable ASCII characters; `operator` when it is missing.",
        ),
    ] = None,
) -> str:
    """The name that the audit keeps of whoever sends the request; the token says only that they may."""
    return tidings_operator or "operator"


Operator = Annotated[str, Depends(operator_name)]
