"""Registering people and finding them again."""

from sqlalchemy import bindparam, select
from sqlmodel import Session
from uuid_utils.compat import uuid7

from events.envelope import announce
from events.users import UserRegistered
from gateway.insertion import InsertNew
from gateway.pages import Cursor, Page, Paging, by_id
from gateway.problems import NotFound, Problem
from gateway.users.schemas import Registration, User, email_key
from infra.database import outbox, tables
from infra.database.tables import table

#: Event types that a registration announces.
ANNOUNCES = (UserRegistered.TYPE,)

_USERS = table(tables.User)
_SEEN = select(_USERS.c.id, _USERS.c.name, _USERS.c.email, _USERS.c.registered_at, _USERS.c.event_id)
_FIND = _SEEN.where(_USERS.c.id == bindparam("user"))
_insert = InsertNew(tables.User, unique="email_key")
#: Users have UUIDv7 ids, so the order of the ids is the order of their registration.
_cursor = Cursor("users", by_id)


class EmailTaken(Problem, kind="email-taken", status=409):
    """This e-mail address is registered already."""


def register(session: Session, registration: Registration, traceparent: str | None) -> User:
    """Keep a new user and announce it, in the transaction that the caller is in.

    Raises:
        EmailTaken: somebody has this address, in whatever case it is written.
    """
    event = UserRegistered(user_id=uuid7(), name=registration.name, email=registration.email)
    envelope = announce(event, source="/gateway", traceparent=traceparent)
    user = User(
        id=str(event.user_id), name=event.name, email=event.email, registered_at=envelope.time, event_id=envelope.id
    )
    if not _insert(session, {**dict(user), "email_key": email_key(user.email)}):
        raise EmailTaken
    outbox.add(session, envelope)
    return user


def find(session: Session, user_id: str) -> User:
    """One user.

    Raises:
        NotFound: nobody has this id.
    """
    row = session.connection().execute(_FIND, {"user": user_id}).one_or_none()
    if row is None:
        raise NotFound("No user has this id.")
    return User(**row._mapping)  # noqa: SLF001  # public, see SQLAlchemy's Row


def newest(session: Session, paging: Paging) -> Page[User]:
    """A page of users, the latest registration first."""
    query = _SEEN.order_by(_USERS.c.id.desc()).limit(paging.limit + 1)
    if (before := _cursor.key(paging.cursor)) is not None:
        query = query.where(_USERS.c.id < before)
    rows = [User(**row._mapping) for row in session.connection().execute(query)]  # noqa: SLF001  # public
    return _cursor.page(rows, paging.limit, lambda user: user.id)
