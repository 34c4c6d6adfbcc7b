"""What routes are given: the database, and the trace that a request belongs to."""

from typing import Annotated

from fastapi import Depends, Request

from infra.database.engine import Database


async def database(request: Request) -> Database:
    """The program's database, as `create_app` was given it."""
    found: Database = request.app.state.database
    return found


Db = Annotated[Database, Depends(database)]
