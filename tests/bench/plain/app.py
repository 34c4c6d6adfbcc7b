"""The plain side's gateway: one endpoint that saves the user and sends two Dramatiq messages."""

import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException
from pydantic import BaseModel, EmailStr
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, SQLModel

from tests.bench.plain.tables import User, engine
from tests.bench.plain.worker import log_activity, send_welcome


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    """Make the tables at the start."""
    SQLModel.metadata.create_all(engine)
    yield


app = FastAPI(lifespan=lifespan)


class Registration(BaseModel):
    """What a person sends to register."""

    name: str
    email: EmailStr


class Registered(BaseModel):
    """What is answered."""

    id: uuid.UUID
    name: str
    email: str
    registered_at: datetime


def get_session() -> Iterator[Session]:
    """A session per request."""
    with Session(engine) as session:
        yield session


@app.post("/users", status_code=201, response_model=Registered)
def register(registration: Registration, session: Annotated[Session, Depends(get_session)]) -> User:
    """Save the user; mail and activity follow behind the answer."""
    user = User(name=registration.name, email=registration.email)
    session.add(user)
    try:
        session.commit()
    except IntegrityError as error:
        raise HTTPException(409, "This e-mail address is registered already.") from error
    session.refresh(user)
    send_welcome.send(user.name, user.email)
    log_activity.send("user.registered", str(user.id))
    return user
