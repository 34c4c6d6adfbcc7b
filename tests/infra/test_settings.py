"""Settings: the environment first, then what `./tidings up` runs here, else one line that says what to do."""

import json
import stat
from pathlib import Path

import pytest

from infra.errors import ConfigurationError
from infra.settings import keep_private, load


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("DATABASE_URL", "RABBITMQ_URL", "SMTP_URL", "OPERATOR_EMAIL", "OPERATOR_TOKEN", "HTTP_PORT", "ZONE"):
        monkeypatch.delenv(f"TIDINGS_{name}", raising=False)
    monkeypatch.setenv("TIDINGS_STATE_DIR", str(tmp_path))


def test_unset_urls_are_those_of_the_local_node(tmp_path: Path) -> None:
    (tmp_path / "local.json").write_text(json.dumps({"amqp": "amqp://a/b", "smtp": "smtp://c"}))
    settings = load()
    assert (f"sqlite:///{tmp_path}/tidings.db", "amqp://a/b", "smtp://c") == (
        settings.database,
        settings.rabbitmq,
        settings.smtp,
    )


def test_the_environment_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDINGS_RABBITMQ_URL", "amqp://other")
    monkeypatch.setenv("TIDINGS_DATABASE_URL", "postgresql://other")
    assert ("amqp://other", "postgresql://other") == (load().rabbitmq, load().database)


def test_an_address_that_nobody_gave_is_asked_for_by_its_variable() -> None:
    with pytest.raises(ConfigurationError, match=r"set TIDINGS_RABBITMQ_URL, or run \./tidings up"):
        _ = load().rabbitmq


def test_a_wrong_value_names_its_variable_and_does_not_show_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDINGS_HTTP_PORT", "secret-99999")
    with pytest.raises(ConfigurationError, match="TIDINGS_HTTP_PORT") as caught:
        load()
    assert "secret" not in str(caught.value)


def test_the_operators_token_is_made_once_and_readable_by_the_owner_only() -> None:
    token = load().token
    assert (token, True) == (load().token, len(token) >= 32)
    assert 0o600 == stat.S_IMODE(load().token_file.stat().st_mode)


def test_a_token_that_is_set_is_used_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDINGS_OPERATOR_TOKEN", "hunter2")
    assert "hunter2" == load().token
    assert "hunter2" not in repr(load())


def test_the_operator_is_one_address_or_the_sinks_own() -> None:
    found = [load().operator, load(smtp_url="smtp://mail:25").operator, load(operator_email="o'b@example.org").operator]
    assert ["operator@tidings.example", None, "o'b@example.org"] == found


@pytest.mark.parametrize(
    "value",
    [
        "root",
        "a@localhost",
        "Ops <o@example.org>",
        "a@example.org, b@example.org",
        "a..b@example.org",
        "a@example.org\n",
    ],
)
def test_what_is_not_one_address_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("TIDINGS_OPERATOR_EMAIL", value)
    with pytest.raises(ConfigurationError, match="TIDINGS_OPERATOR_EMAIL: it must be one e-mail address"):
        load()


@pytest.mark.parametrize("value", ["Europe", "Berlin", "../etc/passwd", "/etc/localtime", "localtime"])
def test_the_zone_is_one_that_is_known(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("TIDINGS_ZONE", "Europe/Berlin")
    assert "Europe/Berlin" == load().zone
    monkeypatch.setenv("TIDINGS_ZONE", value)
    with pytest.raises(ConfigurationError, match="TIDINGS_ZONE: no such time zone"):
        load()


def test_a_secret_is_replaced_as_a_whole(tmp_path: Path) -> None:
    secret = tmp_path / "deep" / "secret"
    keep_private(secret, "one")
    keep_private(secret, "two")
    assert ("two", [secret]) == (secret.read_text(), list(secret.parent.iterdir()))
