"""A registration: what it takes as a name and an address."""

from typing import Any
from uuid import UUID

import pytest
from email_validator import validate_email
from hypothesis import given
from hypothesis import strategies as st
from pydantic import EmailStr, TypeAdapter, ValidationError

from events.users import UserRegistered
from tests.envelopes import names

_gateway = TypeAdapter[str](EmailStr)


def registered(**fields: Any) -> UserRegistered:
    """A registration with some fields replaced."""
    return UserRegistered(**{"user_id": UUID(int=1), "name": "Ada", "email": "ada@example.com", **fields})


def let_in(address: str) -> str | None:
    """The address as the gateway would keep it; None if it would refuse it."""
    try:
        return _gateway.validate_python(address)
    except ValidationError:
        return None


@given(st.emails())
def test_every_address_of_the_gateway_fits(address: str) -> None:
    """The cheap rule of the event refuses nothing that the thorough one of the gateway lets in."""
    if kept := let_in(address):
        assert registered(email=kept).email == kept


@pytest.mark.parametrize(
    "address", ["žofie@příklad.cz", "李@例子.中国", "o'neil+news@example.com", "!#$%&'*+-/=?^_`{|}~@example.com"]
)
def test_unusual_addresses_of_the_gateway_fit(address: str) -> None:
    """Other scripts and all the characters of RFC 5322's atoms are ordinary."""
    kept = validate_email(address, check_deliverability=False).normalized
    assert let_in(address) == kept
    assert registered(email=kept).email == kept


@pytest.mark.parametrize(
    "address",
    [
        "",
        "ada",
        "@example.com",
        "ada@",
        "ada@example.com, eve@example.com",
        "ada@example.com,eve@example.com",
        "ada@example.com;eve@example.com",
        "Ada <ada@example.com>",
        "ada@example.com\nBcc: eve@example.com",
        "ada@example.com\n",
        "ada@exa mple.com",
        "ada@eve@example.com",
        '"ada"@example.com',
        "ada@[127.0.0.1]",
        "a\0b@example.com",
        "\ud800@example.com",
        "a" * 250 + "@b.cz",
    ],
)
def test_address_that_would_mean_more_than_one_mailbox_is_refused(address: str) -> None:
    """Even an operator's own event cannot smuggle a second recipient or a header into a mail."""
    with pytest.raises(ValidationError):
        registered(email=address)


@given(names)
def test_names_of_1_to_200_characters_fit(name: str) -> None:
    """A name is whatever somebody says it is, without control characters."""
    assert registered(name=name).name == name


@pytest.mark.parametrize(
    "name", ["", "x" * 201, "a\nb", "a\rb", "a\0", "\x1b[31m", "a\x85b", "a\u2028b", "a\n", "\ud800"]
)
def test_names_that_would_break_a_line_are_refused(name: str) -> None:
    """Too short, too long, or with a character that ends a line or steers a terminal."""
    with pytest.raises(ValidationError):
        registered(name=name)
