"""The e-mails that SES took, read back from moto."""

from dataclasses import dataclass
from email import message_from_string, policy
from email.message import EmailMessage

import requests


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file of a mail."""

    name: str
    content_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail in the parts that a person reads."""

    subject: str
    sender: str
    recipients: str
    date: str
    text: str
    html: str
    attachments: tuple[Attachment, ...]


def read_outbox(aws_url: str) -> list[Mail]:
    """Answer all mails, in the order in which they were sent."""
    sent = requests.get(f"{aws_url}/moto-api/data.json", timeout=10).json().get("ses", {})
    return [_raw_mail(mail["raw_data"]) for mail in sent.get("RawMessage", [])] + [
        Mail(mail["subject"], mail["source"], _listed(mail["destinations"]), "", mail["body"], mail["body"], ())
        for mail in sent.get("Message", [])
    ]


def _listed(destinations: dict[str, list[str]]) -> str:
    return ", ".join(address for addresses in destinations.values() for address in addresses)


def _raw_mail(raw: str) -> Mail:
    message = message_from_string(raw, EmailMessage, policy=policy.default)
    return Mail(
        str(message["Subject"] or "(no subject)"),
        str(message["From"] or ""),
        str(message["To"] or ""),
        str(message["Date"] or ""),
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
