"""The form of a mail (RFC 5322, MIME): laid out by Python's email package once, filled in for each recipient."""

import binascii
from collections.abc import Iterable
from dataclasses import dataclass, field
from email import encoders
from email.charset import QP, Charset
from email.header import Header
from email.message import Message
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.policy import compat32
from functools import lru_cache

_UTF8 = Charset("utf-8")
_UTF8.body_encoding = QP
_CRLF = compat32.clone(linesep="\r\n")
#: Stands where a recipient's own value goes; nothing that the email package would encode or fold.
_PLACES = ("TO", "SUBJECT", "DATE", "KEY", "TEXT", "HTML", "FILES")
_MARK = "=-place-%s-="
#: What separates a mail's text from its files; no encoded content can hold it.
_WHOLE = "=-tidings-mail-="


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that goes with a mail."""

    name: str
    media_type: str
    content: bytes = field(repr=False)


class Form:
    """All that is the same in every mail of one sender and shape."""

    def __init__(self, sender: str, domain: str, *, has_html: bool, has_files: bool) -> None:
        text = MIMEMultipart("alternative", boundary="=-tidings-part-=")
        message = MIMEMultipart("mixed", boundary=_WHOLE) if has_files else text
        message["From"] = sender
        message["To"] = _MARK % "TO"
        message["Subject"] = _MARK % "SUBJECT"
        message["Date"] = _MARK % "DATE"
        message["Message-ID"] = f"<{_MARK % 'KEY'}@{domain}>"
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office reply to this one
        text.attach(_part("plain", _MARK % "TEXT"))
        if has_html:
            text.attach(_part("html", _MARK % "HTML"))
        if has_files:
            message.attach(text)
        whole = message.as_bytes(policy=_CRLF)
        self._pieces = _cut(whole.replace(f"--{_WHOLE}--".encode(), f"{_MARK % 'FILES'}--{_WHOLE}--".encode()))

    def fill(self, **values: bytes) -> bytes:
        """The mail with these values, one for each place."""
        return b"".join(values[piece] if isinstance(piece, str) else piece for piece in self._pieces)


@lru_cache
def form(sender: str, domain: str, *, has_html: bool, has_files: bool = False) -> Form:
    """The form, made once."""
    return Form(sender, domain, has_html=has_html, has_files=has_files)


def files(attachments: Iterable[Attachment]) -> bytes:
    """The parts of what goes with a mail."""
    return b"".join(_file(each) for each in attachments)


def header(text: str) -> bytes:
    """A header's value: as it is if it is short and ASCII, else encoded (RFC 2047)."""
    if text.isascii() and len(text) < 60 and "=?" not in text:
        return text.encode()
    return Header(text, "utf-8").encode(linesep="\r\n").encode()


def body(text: str) -> bytes:
    """A part's content: quoted-printable (RFC 2045), line ends as on the wire, and no lone CR (RFC 5321, 2.3.8)."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    return binascii.b2a_qp(lines.encode(), istext=True).replace(b"\n", b"\r\n")


def _file(attachment: Attachment) -> bytes:
    part = Message(policy=_CRLF)
    part["Content-Type"] = attachment.media_type
    part.add_header("Content-Disposition", "attachment", filename=attachment.name)
    part.set_payload(attachment.content)
    encoders.encode_base64(part)
    return f"--{_WHOLE}\r\n".encode() + part.as_bytes() + b"\r\n"


def _part(subtype: str, mark: str) -> MIMEText:
    part = MIMEText("", subtype, _UTF8)  # type: ignore[arg-type]  # a Charset is allowed, see its source
    part.set_payload(mark)
    return part


def _cut(whole: bytes) -> list[bytes | str]:
    pieces: list[bytes | str] = []
    rest = whole
    for place in _PLACES:
        before, mark, after = rest.partition((_MARK % place).encode())
        if mark:
            pieces += [before, place]
            rest = after
    return [*pieces, rest]
