"""E-mail: a template and values in, one message to one recipient out, over a connection that stays open."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.header import Header
from email.utils import format_datetime, formataddr, parseaddr
from pathlib import Path
from typing import Any

import css_inline
from email_validator import EmailNotValidError, validate_email
from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError, TemplateNotFound, select_autoescape

from infra import mime
from infra.effects import Intent
from infra.errors import ConfigurationError, EffectRefused
from infra.smtp import Smtp

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
#: The ordinary kind of address, which needs no closer look: it cannot be anything but one address.
_ORDINARY = re.compile(r"[A-Za-z0-9_+-]+(\.[A-Za-z0-9_+-]+)*@([A-Za-z0-9-]+\.)+[A-Za-z]{2,}")


#: An address of ours, which need not be of the ordinary kind (`root@localhost`), but must be one and no more.
_OURS = re.compile(r"[!-~]+@[!-~]+")
_NOT_IN_ADDRESS = frozenset('<>,;:"()[]\\')


class Templates:
    """A mail is `<name>.subject.txt`, `<name>.txt` and, if it has one, `<name>.html`, whose style sheet is inlined."""

    def __init__(self, folder: Path) -> None:
        self._jinja = Environment(
            loader=FileSystemLoader(folder),
            autoescape=select_autoescape(["html"]),
            undefined=StrictUndefined,
            trim_blocks=True,
            auto_reload=False,
        )
        self._inliner = css_inline.CSSInliner(load_remote_stylesheets=False)

    def render(self, name: str, values: Mapping[str, Any]) -> tuple[str, str, str | None]:
        """Subject, text and HTML.

        Raises:
            EffectRefused: there is no such template, or a value that it needs is missing.
        """
        try:
            subject = self._jinja.get_template(f"{name}.subject.txt").render(values)
            text = self._jinja.get_template(f"{name}.txt").render(values)
            return one_line(subject), text, self._html(name, values)
        except TemplateNotFound as error:
            raise EffectRefused(f"There is no mail template {error.name}.") from None
        except TemplateError as error:
            raise EffectRefused(f"The mail template {name} cannot be rendered: {error}.") from None

    def _html(self, name: str, values: Mapping[str, Any]) -> str | None:
        try:
            template = self._jinja.get_template(f"{name}.html")
        except TemplateNotFound:
            return None
        return self._inliner.inline(template.render(values))


@dataclass(frozen=True, slots=True)
class Composed:
    """A mail as it is sent; its text form does not show what it says."""

    to: str
    subject: str = field(repr=False)
    text: str = field(repr=False)
    html: str | None = field(repr=False)


def compose(templates: Templates, intent: Intent) -> Composed:
    """What an intent of the kind `mail` becomes.

    Raises:
        EffectRefused: the address is none, or the template cannot be rendered.
    """
    to = _address(intent.arguments["to"])
    return Composed(to, *templates.render(intent.arguments["template"], intent.arguments["values"]))


#: Gives what an intent's `files` name, as it is when the mail is sent: an intent holds no content.
Fetch = Callable[[Mapping[str, str]], mime.Attachment]


def no_files(_: Mapping[str, str]) -> mime.Attachment:
    """Of a program that has none.

    Raises:
        EffectRefused: always.
    """
    raise EffectRefused("This program has no files that could go with a mail.")


class Mailer:
    """Performs the effect `mail`; one for all threads of a program."""

    def __init__(self, url: str, *, sender: str, templates: Templates, fetch: Fetch = no_files) -> None:
        self._sender, self._from = _sender(sender)
        self._domain = self._from.rpartition("@")[2]
        self._templates = templates
        self._fetch = fetch
        self._smtp = Smtp(url)

    def perform(self, intent: Intent) -> None:
        """Send one mail; the Message-ID comes from the intent's key, so a second copy can be recognised.

        Raises:
            EffectRefused: the server, the address, the template or a file makes a further try useless.
            EffectFailed: a further try may help.
            EffectUnknown: the connection was lost while the server's last word was awaited.
        """
        mail = compose(self._templates, intent)
        files = [self._fetch(each) for each in intent.arguments.get("files", ())]
        self._smtp.send(self._from, mail.to, self._message(intent.key, mail, files))

    def _message(self, key: str, mail: Composed, files: list[mime.Attachment]) -> bytes:
        form = mime.form(self._sender, self._domain, has_html=mail.html is not None, has_files=bool(files))
        return form.fill(
            TO=mail.to.encode(),
            SUBJECT=mime.header(mail.subject),
            DATE=format_datetime(datetime.now(UTC)).encode(),
            KEY=key.encode(),
            TEXT=mime.body(mail.text),
            HTML=mime.body(mail.html or ""),
            FILES=mime.files(files),
        )


def one_line(text: str) -> str:
    """Text without line ends and other control characters, as a header needs it."""
    return _CONTROL.sub(" ", text).strip()


def _sender(sender: str) -> tuple[str, str]:
    """The From header's value, with a name beyond ASCII encoded (RFC 2047), and its address.

    Raises:
        ConfigurationError: there is no address that every mail server takes.
    """
    name, address = parseaddr(sender)
    if "@" not in address:
        raise ConfigurationError("TIDINGS_MAIL_FROM holds no address, as in 'Tidings <no-reply@example.org>'.")
    if not _OURS.fullmatch(address) or not _NOT_IN_ADDRESS.isdisjoint(address):
        raise ConfigurationError(
            "TIDINGS_MAIL_FROM: its address must be one, in ASCII; write a domain beyond that in its xn-- form."
        )
    name = one_line(name)
    if name.isascii():
        return formataddr((name, address)), address
    return f"{Header(name, 'utf-8').encode(linesep='')} <{address}>", address  # in words of 75 characters at most


def _address(to: str) -> str:
    """Exactly one address, or a refusal: "a@b.c, victim@x" must never become two recipients."""
    if _ORDINARY.fullmatch(to):
        return to
    try:
        address = validate_email(to, check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        raise EffectRefused("The mail's recipient is not one address.") from None
    return address.ascii_email or address.normalized
