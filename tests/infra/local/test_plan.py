"""What `up` decides before it starts anything: ports that are free, and addresses that are not shown to strangers."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL, make_url

from infra.local import plan
from infra.local.output import LogFiles
from infra.local.places import Places
from infra.local.ports import free_port
from infra.settings import Settings

BROKER, MAIL = "amqp://me:secret@broker.example/tidings", "smtp://me:secret@mail.example:587"


def settings(folder: Path, **values: object) -> Settings:
    """Settings of one state folder, whatever the environment says."""
    given: dict[str, object] = {"rabbitmq_url": None, "smtp_url": None, "database_url": None, "operator_token": None}
    return Settings.model_validate({**given, "state_dir": folder, **values})


def draw(folder: Path, **values: object) -> plan.Plan:
    """The plan for these settings."""
    return plan.draw(settings(folder, **values), Places(folder).make())


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which somebody else listens."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", free_port(23000)))
        other.listen()
        yield other.getsockname()[1]


def test_a_port_that_others_hold_gives_way_to_the_next_free_one_and_it_says_so(tmp_path: Path, taken: int) -> None:
    drawn = draw(tmp_path, http_port=taken)
    port = drawn.ports["gateway"]
    assert port > taken
    assert drawn.http == f"http://127.0.0.1:{port}"
    assert f"Port {taken} is taken: the gateway listens on {port}." in drawn.moves()


def test_no_port_is_promised_twice(tmp_path: Path) -> None:
    drawn = draw(tmp_path, http_port=8101)
    assert len(set(drawn.ports.values())) == len(drawn.ports)


def test_without_servers_given_a_node_and_a_mail_sink_are_run(tmp_path: Path) -> None:
    drawn = draw(tmp_path)
    assert drawn.node is not None
    assert drawn.has_mail_sink
    assert drawn.record().mailbox == str(tmp_path / "mailbox")
    assert drawn.record().management == drawn.node.management


def test_servers_that_are_given_are_used_and_shown_without_their_passwords(tmp_path: Path) -> None:
    drawn = draw(tmp_path, rabbitmq_url=BROKER, smtp_url=MAIL, database_url="postgresql+psycopg://me:secret@db/tidings")
    assert (drawn.node, drawn.has_mail_sink, drawn.rabbitmq, drawn.smtp) == (None, False, BROKER, MAIL)
    record = drawn.record()
    assert (record.amqp, record.smtp) == ("amqp://broker.example/tidings", "smtp://mail.example:587")
    assert record.database == "postgresql+psycopg://db/tidings"
    assert (record.management, record.mailbox) == (None, None)
    assert "secret" not in record.model_dump_json()


def test_a_cluster_that_is_given_is_shown_without_its_password(tmp_path: Path) -> None:
    drawn = draw(tmp_path, rabbitmq_url="amqp://me:secret@one:5672,two:5672/tidings")
    assert "amqp://one:5672,two:5672/tidings" == drawn.record().amqp


def test_a_token_that_is_set_has_no_file(tmp_path: Path) -> None:
    assert draw(tmp_path, operator_token="secret").record().operator_token_file is None


def test_the_token_file_exists_before_anybody_is_told_of_it(tmp_path: Path) -> None:
    named = draw(tmp_path).record().operator_token_file
    assert named is not None
    assert Path(named).stat().st_mode & 0o777 == 0o600


def test_each_program_is_told_everything(tmp_path: Path) -> None:
    drawn = draw(tmp_path, rabbitmq_url=BROKER, smtp_url=MAIL)
    child = drawn.program("consumers", LogFiles(drawn.places))
    given = child._launch.environment
    assert given["TIDINGS_RABBITMQ_URL"] == BROKER
    assert given["TIDINGS_SMTP_URL"] == MAIL
    assert given["TIDINGS_DATABASE_URL"] == f"sqlite:///{tmp_path}/tidings.db"
    assert given["TIDINGS_STATE_DIR"] == str(tmp_path)
    assert given["TIDINGS_PROBE_PORT"] == str(drawn.ports["consumers"])
    assert given["TIDINGS_LOG_FORMAT"] == "console"
    assert child.probe == f"http://127.0.0.1:{drawn.ports['consumers']}/readyz"


def test_no_command_line_holds_a_password(tmp_path: Path) -> None:
    drawn = draw(tmp_path, rabbitmq_url=BROKER, smtp_url=MAIL)
    output = LogFiles(drawn.places)
    programs = [drawn.program(name, output) for name in plan.PROGRAMS]
    for child in (*programs, drawn.migration(output), drawn.declaration(output)):
        assert "secret" not in " ".join(child._launch.command)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://user:pa/ss@host/db", "postgresql://host/db"),
        ("postgresql://user:p?ss@host:5432/db", "postgresql://host:5432/db"),
        ("postgresql://user@host/db", "postgresql://host/db"),
        ("postgresql://host/db?password=secret&user=me", "postgresql://host/db"),
        ("postgresql+psycopg://user:secret@[::1]:5432/db", "postgresql+psycopg://[::1]:5432/db"),
        ("postgresql:///db?host=/run/postgresql&password=a@b", "postgresql:///db"),
    ],
)
def test_a_databases_url_is_shown_without_its_secrets(url: str, shown: str) -> None:
    """In SQLAlchemy's reading of it: the password may hold what would end it elsewhere, or stand in the options."""
    read = make_url(url)
    without = URL.create(read.drivername, host=read.host, port=read.port, database=read.database)
    assert shown == plan.shown_database(url) == without.render_as_string(hide_password=False)


def test_a_databases_file_is_shown_as_it_is() -> None:
    assert "sqlite:////srv/a@b/tidings.db" == plan.shown_database("sqlite:////srv/a@b/tidings.db")


def test_what_everybody_sees_of_a_database_holds_no_part_of_an_unquoted_password() -> None:
    assert "postgresql://host/db" == plan.shown_database("postgresql://user:pa@ss@host/db")
