"""Ids in paths: what is no UUID is simply not there."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path

from gateway.problems import NotFound


async def canonical(id: Annotated[str, Path(json_schema_extra={"format": "uuid"})]) -> str:  # noqa: A002  # the path's own name for it
    """A UUID in the spelling that the database keeps.

    Raises:
        NotFound: it is none.
    """
    try:
        return str(UUID(id))
    except ValueError:
        raise NotFound("Nothing has this id.") from None


Id = Annotated[str, Depends(canonical)]
