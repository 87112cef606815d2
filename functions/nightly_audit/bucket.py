"""The S3 bucket of the audit: what a run's steps hand on, and each night's list of paused subscriptions."""

import csv
import gzip
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from io import BufferedReader, BytesIO, RawIOBase, TextIOWrapper
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, BinaryIO, Protocol, cast

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import TypeAdapter
from s3transfer.exceptions import RetriesExceededError

from shared.audit.check import AccessListFacts, DriftTotals
from shared.audit.check_run import CheckRunState
from shared.audit.findings import FINDING, Finding, ListedPause
from shared.audit.pauses import PausesRead
from shared.audit.rendering.as_csv import read_csv
from shared.aws import code_of, is_refusal
from shared.errors import OperatorError, Unavailable
from shared.mirror.comparison import SeenSubscriptions
from shared.mirror.lag import EventLags

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from botocore.response import StreamingBody
    from types_boto3_s3 import S3Client


# The URL is signed with the function's own credentials and expires with them, after 12 hours at the latest.
LIST_URL_LIFETIME = timedelta(hours=12)
_MEBIBYTE = 1024 * 1024
_READ_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class ScanState:
    """What one step hands to the next: the findings so far, the drift, how late events came, the company's list.

    `pauses` is what the table `Pauses` says of the night, if it could be read.
    """

    checks: CheckRunState = field(default_factory=CheckRunState)
    drift: DriftTotals = field(default_factory=DriftTotals)
    lags: EventLags = field(default_factory=EventLags)
    access_list: AccessListFacts | None = None
    pauses: PausesRead | None = None


@dataclass(frozen=True, slots=True)
class UploadedList:
    """The company's own list as it is read from the bucket; `written_at` is aware."""

    file: BinaryIO
    written_at: datetime


class FindingSink(Protocol):
    """Takes the findings of a step about paused subscriptions."""

    def add(self, finding: Finding) -> None:
        """Add a finding."""


_SCAN_STATE = TypeAdapter(ScanState)


class ReportBucket:
    """One bucket. A step writes under its own number, so that a repeated step overwrites and never adds."""

    def __init__(self, s3: "S3Client", bucket: str) -> None:
        self._s3 = s3
        self._bucket = bucket

    def scan_state(self, run: str, number: int) -> ScanState:
        """Return the state after step `number`; empty before the first step. Raises `Unavailable`."""
        if number < 0:
            return ScanState()
        return _SCAN_STATE.validate_json(gzip.decompress(self._read(f"parts/{run}/{number}/state.json.gz")))

    def put_scan_state(self, run: str, number: int, state: ScanState) -> None:
        """Store the state after a step. Raises `Unavailable`."""
        self._write(f"parts/{run}/{number}/state.json.gz", BytesIO(gzip.compress(_SCAN_STATE.dump_json(state))))

    @contextmanager
    def paused_findings(self, run: str, number: int) -> Iterator[FindingSink]:
        """Collect findings on disk, and upload them at the end of the step. Raises `Unavailable`."""
        with TemporaryFile() as file:
            with gzip.GzipFile(fileobj=file, mode="wb") as packed:
                yield _FindingFile(packed)
            file.seek(0)
            self._write(f"parts/{run}/{number}/paused.jsonl.gz", file)

    def findings(self, run: str, steps: int) -> Iterator[Finding]:
        """Return the findings of the first `steps` steps. Raises `Unavailable`."""
        for number in range(steps):
            with TemporaryFile() as file:
                self._fetch(f"parts/{run}/{number}/paused.jsonl.gz", file)
                file.seek(0)
                with gzip.GzipFile(fileobj=file, mode="rb") as lines:
                    yield from map(FINDING.validate_json, lines)

    def put_seen(self, run: str, number: int, seen: SeenSubscriptions) -> None:
        """Store which subscriptions a step saw at Stripe. Raises `Unavailable`."""
        self._write(f"parts/{run}/{number}/seen", BytesIO(seen.dump()))

    def seen(self, run: str, steps: int) -> SeenSubscriptions:
        """Return which subscriptions the first `steps` steps saw. Raises `Unavailable`."""
        seen = SeenSubscriptions()
        for number in range(steps):
            seen.load(self._read(f"parts/{run}/{number}/seen"))
        return seen

    def put_list(self, night: date, file: BinaryIO) -> None:
        """Store a night's list, a CSV with a column `id`. Raises `Unavailable`."""
        self._write(_list_key(night), file)

    def listed(self, night: date) -> Iterator[ListedPause]:
        """Return the rows of a night's list, in its order.

        Raises `Unavailable`, also when the list is gone or cannot be read.
        """
        with TemporaryFile() as file:
            self._fetch(_list_key(night), file)
            file.seek(0)
            with TextIOWrapper(file, "utf-8", newline="") as lines:
                try:
                    yield from read_csv(lines)
                except (ValueError, csv.Error) as error:
                    raise Unavailable("list_unreadable", f"The list of {night} is none of the audit's") from error

    @contextmanager
    def uploaded_list(self, key: str) -> Iterator[UploadedList]:
        """Open an object that the company uploads, to be streamed.

        Raises `Unavailable`, also while it is read, and where there is no such object.
        """
        with _bucket_errors():
            answer = self._s3.get_object(Bucket=self._bucket, Key=key)
            with closing(answer["Body"]) as body:
                yield UploadedList(BufferedReader(_Streamed(body), _READ_BYTES), answer["LastModified"])

    def list_url(self, night: date) -> str:
        """Return a presigned URL of a night's list, valid for `LIST_URL_LIFETIME` at most."""
        name = f'attachment; filename="paused-subscriptions-{night}.csv"'
        wanted = {
            "Bucket": self._bucket,
            "Key": _list_key(night),
            "ResponseContentDisposition": name,
            "ResponseContentType": "text/csv; charset=utf-8",
        }
        return self._s3.generate_presigned_url("get_object", wanted, int(LIST_URL_LIFETIME.total_seconds()))

    def list_location(self, night: date) -> str:
        """Return the `s3://` location of a night's list."""
        return f"s3://{self._bucket}/{_list_key(night)}"

    def _write(self, key: str, file: BinaryIO) -> None:
        with _bucket_errors():
            self._s3.upload_fileobj(file, self._bucket, key)

    def _fetch(self, key: str, file: BinaryIO) -> None:
        with _bucket_errors():
            self._s3.download_fileobj(self._bucket, key, file)

    def _read(self, key: str) -> bytes:
        with _bucket_errors():
            return self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read()


class _Streamed(RawIOBase):
    """The body of an object as a file that is read forward."""

    def __init__(self, body: "StreamingBody") -> None:
        self._body = body

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        view = memoryview(buffer)
        data = self._body.read(len(view))
        view[: len(data)] = data
        return len(data)


class _FindingFile:
    def __init__(self, file: gzip.GzipFile) -> None:
        self._file = cast("BinaryIO", file)

    def add(self, finding: Finding) -> None:
        self._file.write(FINDING.dump_json(finding) + b"\n")


def _list_key(night: date) -> str:
    return f"lists/{night}.csv"


@contextmanager
def _bucket_errors() -> Iterator[None]:
    try:
        yield
    except (ClientError, BotoCoreError, Boto3Error, RetriesExceededError) as error:
        if is_refusal(error):
            raise OperatorError(
                "reports_refused", f"The function may not use the bucket of the audit's reports ({code_of(error)})"
            ) from error
        raise Unavailable(
            "reports_unavailable", f"The bucket of the audit's reports did not answer ({code_of(error)})"
        ) from error
