"""The form of a mail (RFC 5322, MIME): laid out by Python's email package once, filled in for each recipient."""

import binascii
from email.charset import QP, Charset
from email.header import Header
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.policy import compat32
from functools import lru_cache

_UTF8 = Charset("utf-8")
_UTF8.body_encoding = QP
_CRLF = compat32.clone(linesep="\r\n")
#: Stands where a recipient's own value goes; nothing that the email package would encode or fold.
_PLACES = ("TO", "SUBJECT", "DATE", "KEY", "TEXT", "HTML")
_MARK = "=-place-%s-="


class Form:
    """All that is the same in every mail of one sender and shape."""

    def __init__(self, sender: str, domain: str, *, has_html: bool) -> None:
        message = MIMEMultipart("alternative", boundary="=-tidings-part-=")
        message["From"] = sender
        message["To"] = _MARK % "TO"
        message["Subject"] = _MARK % "SUBJECT"
        message["Date"] = _MARK % "DATE"
        message["Message-ID"] = f"<{_MARK % 'KEY'}@{domain}>"
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office reply to this one
        message.attach(_part("plain", _MARK % "TEXT"))
        if has_html:
            message.attach(_part("html", _MARK % "HTML"))
        self._pieces = _cut(message.as_bytes(policy=_CRLF))

    def fill(self, **values: bytes) -> bytes:
        """The mail with these values, one for each place."""
        return b"".join(values[piece] if isinstance(piece, str) else piece for piece in self._pieces)


@lru_cache
def form(sender: str, domain: str, *, has_html: bool) -> Form:
    """The form, made once."""
    return Form(sender, domain, has_html=has_html)


def header(text: str) -> bytes:
    """A header's value: as it is if it is short and ASCII, else encoded (RFC 2047)."""
    if text.isascii() and len(text) < 60 and "=?" not in text:
        return text.encode()
    return Header(text, "utf-8").encode(linesep="\r\n").encode()


def body(text: str) -> bytes:
    """A part's content: quoted-printable (RFC 2045), line ends as on the wire, and no lone CR (RFC 5321, 2.3.8)."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    return binascii.b2a_qp(lines.encode(), istext=True).replace(b"\n", b"\r\n")


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
