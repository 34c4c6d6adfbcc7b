"""The environment, read once into one frozen object; no other module looks at `os.environ`."""

import json
import os
import re
import secrets
from functools import cached_property
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

from infra import zones
from infra.errors import ConfigurationError
from infra.hosts import each
from infra.retention import KeepSettings

#: What the URL of a server looks like, and its schemes.
_SERVERS = {
    "rabbitmq_url": ("amqp://user:password@host:5672/vhost", {"amqp", "amqps"}),
    "management_url": ("http://user:password@host:15672", {"http", "https"}),
    "smtp_url": ("smtp://user:password@host:587", {"smtp", "smtps", "smtp+starttls"}),
}
#: One address that every mail server takes (RFC 5321, sections 4.1.2 and 4.5.3.1): a dot-string and a domain in ASCII.
_ATOM, _LABEL = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+", r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"(?=.{{1,64}}@){_ATOM}(\.{_ATOM})*@({_LABEL}\.)+{_LABEL}")
_LONGEST_ADDRESS = 254
#: The operator as long as mails go to the built-in sink, which delivers nothing.
_NOBODYS = "operator@tidings.example"


class Settings(KeepSettings, BaseSettings):
    """What a program of Tidings needs to know: variables `TIDINGS_…`, else what `./tidings up` runs here."""

    model_config = SettingsConfigDict(env_prefix="TIDINGS_", frozen=True, extra="ignore", env_ignore_empty=True)

    #: SQLAlchemy URL: `sqlite:///file` or `postgresql+psycopg://…`. Unset: the embedded file in the state folder.
    database_url: str | None = None
    #: `amqp://user:password@host:port/vhost`, a cluster with `host:port,host:port,…`. Unset: that of `./tidings up`.
    rabbitmq_url: str | None = None
    #: RabbitMQ's management API, `http://user:password@host:15672`. Unset: that of `./tidings up`.
    management_url: str | None = None
    #: `smtp://user:password@host:port`, `smtps://…` or `smtp+starttls://…`. Unset: the built-in mail sink.
    smtp_url: str | None = None
    #: Sender of all mails.
    mail_from: str = "Tidings <no-reply@tidings.example>"
    #: Where reports and alerts go. Unset: to the built-in mail sink, or to nobody when `smtp_url` is set.
    operator_email: str | None = None
    #: Time zone of what the timetable does by the local clock, such as the daily report (an IANA name).
    zone: str = "UTC"
    #: Bearer token for all routes that are not public. Unset: made once and kept in the state folder.
    operator_token: SecretStr | None = None
    http_host: str = "127.0.0.1"
    http_port: int = Field(default=8000, ge=0, le=65535)
    #: Where the consumers and the scheduler serve /livez, /readyz and /metrics; 0 takes any free port.
    probe_port: int = Field(default=0, ge=0, le=65535)
    #: Where everything that this installation keeps lies.
    state_dir: Path = Path(".tidings")
    #: Where the files of jobs' results are kept: `file:///folder`. Unset: a folder in the state folder.
    results_url: str | None = None
    #: Packages with further consumers, joined by commas; their modules are found as those in `consumers/` are.
    consumer_packages: str = ""
    #: How much the processes that do jobs stand back behind all others: 0 not at all, 19 as far as the system knows.
    job_niceness: int = Field(default=10, ge=0, le=19)
    #: Seconds after which the sweep sends an event again that neither waits for its consumer nor has reached it.
    sweep_grace: float = Field(default=60.0, gt=0, le=86_400)
    #: Seconds for which something must be found failing, or well again, before it is told: see `infra.watching`.
    health_patience: float = Field(default=50.0, gt=0, le=86_400)
    #: A fault to inject, `name[@where]:nth:exit|raise|sleep`: see `infra.faults`. For tests and drills only.
    fault: str | None = None
    log_format: Literal["auto", "console", "json"] = "auto"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @field_validator("rabbitmq_url", "management_url", "smtp_url")
    @classmethod
    def _is_url(cls, value: str | None, field: ValidationInfo) -> str | None:
        example, schemes = _SERVERS[str(field.field_name)]
        if value is None or all(_names_host(one, schemes) for one in each(value)):
            return value
        raise PydanticCustomError("url", "it must look like {example}", {"example": example})

    @field_validator("results_url")
    @classmethod
    def _is_store(cls, value: str | None) -> str | None:
        if value is None or re.fullmatch(r"file:///[^?#]+", value):
            return value
        raise PydanticCustomError("store", "only a folder can keep results yet; it must look like file:///folder")

    @field_validator("operator_email")
    @classmethod
    def _is_address(cls, value: str | None) -> str | None:
        if value is None or (len(value) <= _LONGEST_ADDRESS and _ADDRESS.fullmatch(value)):
            return value
        raise PydanticCustomError("address", "it must be one e-mail address and no more, as in operator@example.org")

    @field_validator("zone")
    @classmethod
    def _is_zone(cls, value: str) -> str:
        return zones.check(value)

    @property
    def operator(self) -> str | None:
        """Whom reports and alerts are mailed to; None: nobody."""
        return self.operator_email or (_NOBODYS if self.smtp_url is None else None)

    @cached_property
    def database(self) -> str:
        """URL of the database."""
        return self.database_url or f"sqlite:///{self.database_file}"

    @cached_property
    def rabbitmq(self) -> str:
        """URL of the broker.

        Raises:
            ConfigurationError: none is set and `./tidings up` has made none here.
        """
        return self.rabbitmq_url or self._local("amqp", "RabbitMQ", "TIDINGS_RABBITMQ_URL")

    @cached_property
    def management(self) -> str:
        """URL of RabbitMQ's management API.

        Raises:
            ConfigurationError: none is set, and the broker is not that of `./tidings up` here.
        """
        if self.management_url is None and self.rabbitmq_url is not None:
            raise ConfigurationError(
                "No management API is known: set TIDINGS_MANAGEMENT_URL (http://user:…@host:15672)."
            )
        return self.management_url or self._local("management", "management API", "TIDINGS_MANAGEMENT_URL")

    @cached_property
    def smtp(self) -> str:
        """URL of the mail server.

        Raises:
            ConfigurationError: none is set and `./tidings up` has made none here.
        """
        return self.smtp_url or self._local("smtp", "mail server", "TIDINGS_SMTP_URL")

    @cached_property
    def token(self) -> str:
        """The operator's bearer token; made, and kept readable by the owner only, when none is set."""
        if self.operator_token is not None:
            return self.operator_token.get_secret_value()
        if not self.token_file.exists():
            keep_private(self.token_file, secrets.token_urlsafe(32))
        return self.token_file.read_text().strip()

    @property
    def results(self) -> str:
        """URL of the store that keeps the files of jobs' results."""
        return self.results_url or (self.state_dir.absolute() / "results").as_uri()

    @property
    def further_consumers(self) -> tuple[str, ...]:
        """Packages beside `consumers` that consumer modules are looked for in."""
        return tuple(name.strip() for name in self.consumer_packages.split(",") if name.strip())

    @property
    def database_file(self) -> Path:
        """The embedded SQLite database, which is used when no other is set."""
        return self.state_dir.absolute() / "tidings.db"

    @property
    def token_file(self) -> Path:
        """Where the operator's token is kept when it is not set."""
        return self.state_dir / "operator-token"

    @property
    def local_file(self) -> Path:
        """Where `./tidings up` writes the addresses and passwords of what it runs (mode 600)."""
        return self.state_dir / "local.json"

    def _local(self, key: str, what: str, variable: str) -> str:
        try:
            known: dict[str, Any] = json.loads(self.local_file.read_text())
            return _text(known[key])
        except (OSError, ValueError, KeyError):
            raise ConfigurationError(f"No {what} is known: set {variable}, or run ./tidings up first.") from None


def load(**overrides: Any) -> Settings:
    """Read the environment.

    Raises:
        ConfigurationError: names the variable that is wrong.
    """
    try:
        return Settings(**overrides)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        name = "TIDINGS_" + "_".join(str(part) for part in first["loc"]).upper()
        raise ConfigurationError(f"{name}: {first['msg']}.") from None


def environment(**settings: object) -> dict[str, str]:
    """The environment for a program that is started with these settings; all else is as this process was given it."""
    return {**os.environ, **{f"TIDINGS_{name.upper()}": str(value) for name, value in settings.items()}}


def environment_without_settings() -> dict[str, str]:
    """The environment for tests and measurements, which must not meet anybody's real servers."""
    return {name: value for name, value in os.environ.items() if not name.startswith("TIDINGS_")}


def _names_host(url: str, schemes: set[str]) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number
        return False


def _text(value: object) -> str:
    """The value of an address that is known; what does not run there is null."""
    if not isinstance(value, str):
        raise ValueError
    return value


def keep_private(path: Path, text: str) -> None:
    """Write a secret so that no other user can read it at any moment, and no reader ever sees half of it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    draft.touch(mode=0o600)
    draft.write_text(text)
    draft.replace(path)
