"""The demo site's outbox: what the team and the customers would find in their mail."""

from typing import NamedTuple
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from local.backend import Backend
from local.outbox import Mail, read_outbox
from local.pages import page

# A mail's HTML brings its own styles and nothing else; the sandbox takes away scripts, forms and navigation. As in a
# reader of mails, a link opens in a tab of its own.
_MAIL_POLICY = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'; "
    "img-src data:; frame-ancestors 'self'"
)


class _Numbered(NamedTuple):
    number: int
    mail: Mail


class SiteMails:
    """Pages about mails, numbered from 1 as they were sent."""

    def __init__(self, backend: Backend) -> None:
        self._aws_url = backend.places.aws_url

    def outbox(self, _: Request) -> Response:
        """All mails, newest first."""
        mails = [_Numbered(number, mail) for number, mail in enumerate(read_outbox(self._aws_url), start=1)]
        return page("outbox", mails=mails[::-1])

    def mail(self, request: Request) -> Response:
        """One mail: text, HTML and attachments."""
        number, mail = self._find(request)
        return page("mail", number=number, mail=mail)

    def html(self, request: Request) -> Response:
        """The HTML part by itself, for the frame."""
        return HTMLResponse(self._find(request).mail.html, headers={"Content-Security-Policy": _MAIL_POLICY})

    def attachment(self, request: Request) -> Response:
        """One file, to be saved and not shown."""
        attachments = self._find(request).mail.attachments
        place = int(request.path_params["place"])
        if not 1 <= place <= len(attachments):
            raise HTTPException(404, "This mail has no such attachment.")
        attachment = attachments[place - 1]
        disposition = f"attachment; filename*=UTF-8''{quote(attachment.name)}"
        return Response(
            attachment.content,
            media_type=attachment.content_type,
            headers={"Content-Disposition": disposition},
        )

    def _find(self, request: Request) -> _Numbered:
        mails, number = read_outbox(self._aws_url), int(request.path_params["number"])
        if not 1 <= number <= len(mails):
            raise HTTPException(404, "There is no such mail.")
        return _Numbered(number, mails[number - 1])
