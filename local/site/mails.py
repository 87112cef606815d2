"""The outbox: the e-mails that SES accepted, read back from moto, and the pages that show them."""

from dataclasses import dataclass, replace
from datetime import datetime
from email import message_from_string, policy
from email.message import EmailMessage
from typing import NamedTuple
from urllib.parse import quote

import requests
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from local.site.backend import Backend
from local.site.pages import page


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file attached to a mail."""

    name: str
    content_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class OutboxMail:
    """A mail, split into the parts that a person reads; `date` is empty where it is not known."""

    subject: str
    sender: str
    recipients: str
    date: str
    text: str
    html: str
    attachments: tuple[Attachment, ...]


def read_outbox(aws_url: str) -> list[OutboxMail]:
    """Return all mails in the order in which they were sent."""
    sent = requests.get(f"{aws_url}/moto-api/data.json", timeout=10).json().get("ses", {})
    mails = [_raw_mail(mail["raw_data"]) for mail in sent.get("RawMessage", [])] + [
        OutboxMail(mail["subject"], mail["source"], _listed(mail["destinations"]), "", mail["body"], mail["body"], ())
        for mail in sent.get("Message", [])
    ]
    # SES dates mails, and moto does not. The project's own are all raw ones, so that the order is the same.
    times = requests.get(f"{aws_url}/_local", timeout=10).json()["mails"]
    return [replace(mail, date=_date(time)) for mail, time in zip(mails, times, strict=False)]


def _date(signed: str) -> str:
    """Return the time of a signature in the form in which the site shows times."""
    return f"{datetime.fromisoformat(signed):%Y-%m-%d %H:%M} UTC" if signed else ""


def _listed(destinations: dict[str, list[str]]) -> str:
    return ", ".join(address for addresses in destinations.values() for address in addresses)


def _raw_mail(raw: str) -> OutboxMail:
    message = message_from_string(raw, EmailMessage, policy=policy.default)
    return OutboxMail(
        str(message["Subject"] or "(no subject)"),
        str(message["From"] or ""),
        str(message["To"] or ""),
        "",
        _body(message, "plain"),
        _body(message, "html"),
        tuple(map(_attachment, message.iter_attachments())),
    )


def _body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    return str(part.get_content()) if part else ""


def _attachment(part: EmailMessage) -> Attachment:
    content = part.get_content()
    data = content.encode() if isinstance(content, str) else bytes(content)
    return Attachment(part.get_filename() or "attachment", part.get_content_type(), data)


# A mail's HTML may use its own styles only; the sandbox forbids scripts, forms and navigation. As in a mail client,
# a link opens a new tab.
_MAIL_POLICY = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'; "
    "img-src data:; frame-ancestors 'self'"
)


class NumberedMail(NamedTuple):
    """A mail and its number."""

    number: int
    mail: OutboxMail


class SiteMails:
    """The pages about mails, which are numbered from 1 as they were sent."""

    def __init__(self, backend: Backend) -> None:
        self._backend, self._aws_url = backend, backend.addresses.aws_url

    def outbox(self, _: Request) -> Response:
        """All mails, newest first, and the codes of Stripe's login page that are not used yet."""
        mails = [NumberedMail(number, mail) for number, mail in enumerate(read_outbox(self._aws_url), start=1)]
        return page(
            "outbox",
            mails=mails[::-1],
            codes=self._backend.login_codes(),
            portal=self._backend.addresses.portal_command,
        )

    def mail(self, request: Request) -> Response:
        """One mail: text, HTML and attachments."""
        number, mail = self._find(request)
        return page("mail", number=number, mail=mail)

    def html(self, request: Request) -> Response:
        """The HTML part by itself, for the frame."""
        return HTMLResponse(self._find(request).mail.html, headers={"Content-Security-Policy": _MAIL_POLICY})

    def attachment(self, request: Request) -> Response:
        """One attachment, for saving and not for display."""
        attachments = self._find(request).mail.attachments
        position = int(request.path_params["position"])
        if not 1 <= position <= len(attachments):
            raise HTTPException(404, "This mail does not have this attachment.")
        attachment = attachments[position - 1]
        disposition = f"attachment; filename*=UTF-8''{quote(attachment.name)}"
        return Response(
            attachment.content,
            media_type=attachment.content_type,
            headers={"Content-Disposition": disposition},
        )

    def _find(self, request: Request) -> NumberedMail:
        mails, number = read_outbox(self._aws_url), int(request.path_params["number"])
        if not 1 <= number <= len(mails):
            raise HTTPException(404, "This mail does not exist.")
        return NumberedMail(number, mails[number - 1])
