"""Reads and changes the JSON of a secret in Secrets Manager, without losing what somebody else writes meanwhile."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from botocore.exceptions import ClientError
from pydantic import ValidationError

from shared.aws import code_of, is_refusal
from shared.errors import InvalidRequest, OperatorError, sentence
from shared.secret_store import Secret

if TYPE_CHECKING:
    from types_boto3_secretsmanager import SecretsManagerClient

Content = dict[str, Any]
_Secret = TypeVar("_Secret", bound=Secret)
_TRIES = 5
# The label of a version that is written, and not current yet, as in AWS's own rotation functions
# (github.com/aws-samples/aws-secrets-manager-rotation-lambdas).
_WRITTEN = "AWSPENDING"


@dataclass(frozen=True, slots=True)
class _Version:
    id: str
    text: str


class StoredSecret(Generic[_Secret]):
    """One of the deployment's secrets; `name` is the output that has its ARN, for messages.

    What is read is never shown. Fields that this version does not know are kept.
    """

    def __init__(self, name: str, arn: str, model: type[_Secret], client: "SecretsManagerClient") -> None:
        self.name = name
        self._arn = arn
        self._model = model
        self._client = client

    def content(self) -> Content:
        """Return the JSON object; an empty one for a secret without a value.

        Raises `OperatorError` for what is no JSON object, or may not be read.
        """
        return self._content_of(self._version())

    def parsed(self) -> _Secret:
        """Return the secret as the functions read it. Raises `OperatorError` where it is malformed."""
        return self._parsed(self.content())

    def changed_at(self) -> datetime | None:
        """Return when the secret was last written."""
        with self._refusals():
            return self._client.describe_secret(SecretId=self._arn).get("LastChangedDate")

    def update(self, change: Callable[[Content], Content]) -> _Secret:
        """Write what `change` makes of the content, and return the secret as the functions read it from now on.

        `change` is called again if somebody else has written meanwhile, so nobody's write is lost. Raises
        `OperatorError`, and `InvalidRequest` if the secret never stands still.
        """
        for _ in range(_TRIES):
            before = self._version()
            content = change(self._content_of(before))
            parsed = self._parsed(content)
            if self._replace(before, content):
                return parsed
        raise InvalidRequest(
            "changed_meanwhile",
            sentence("Somebody else keeps changing the secret of {name}: try again", name=self.name),
        )

    def _replace(self, before: _Version, content: Content) -> bool:
        """Write the content if `before` is still the current version, and return whether it was.

        Secrets Manager has no conditional write, but a conditional move of the label AWSCURRENT: it fails unless the
        version that the label is taken from has it
        (docs.aws.amazon.com/secretsmanager/latest/apireference/API_UpdateSecretVersionStage.html).
        """
        with self._refusals():
            made = self._client.put_secret_value(
                SecretId=self._arn, SecretString=json.dumps(content), VersionStages=[_WRITTEN]
            )
        if not before.id:  # The first version becomes the current one by itself.
            return True
        try:
            self._client.update_secret_version_stage(
                SecretId=self._arn,
                VersionStage="AWSCURRENT",
                MoveToVersionId=made["VersionId"],
                RemoveFromVersionId=before.id,
            )
        except ClientError as error:
            current = self._version().id
            if current == before.id:
                raise self._failure(error) from error
            # A request that botocore repeats finds what its first attempt has done.
            return current == made["VersionId"]
        return True

    def _version(self) -> _Version:
        try:
            found = self._client.get_secret_value(SecretId=self._arn)
        except ClientError as error:
            if code_of(error) == "ResourceNotFoundException" and "AWSCURRENT" in str(error):
                return _Version("", "")
            raise self._failure(error) from error
        return _Version(found["VersionId"], found.get("SecretString") or "")

    def _content_of(self, version: _Version) -> Content:
        try:
            content = json.loads(version.text or "{}")
        except ValueError:
            content = None
        if not isinstance(content, dict):
            raise OperatorError(
                "bad_secret", sentence("The secret of {name} is no JSON object: correct it by hand", name=self.name)
            )
        return content

    def _parsed(self, content: Mapping[str, Any]) -> _Secret:
        try:
            return self._model.model_validate(content)
        except ValidationError as error:
            wrong = "; ".join(
                f"{'.'.join(str(part)[:40] for part in each['loc'])}: {each['msg']}" for each in error.errors()
            )
            # `from None`: the cause would quote the secret.
            raise OperatorError(
                "bad_secret", sentence("The secret of {name} is malformed: {wrong}", name=self.name, wrong=wrong)
            ) from None

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            raise self._failure(error) from error

    def _failure(self, error: ClientError) -> Exception:
        if not is_refusal(error):
            return error
        return OperatorError(
            "secret_refused",
            sentence(
                "The secret of {name} is deleted, or you may not use it ({code})",
                name=self.name,
                code=code_of(error),
            ),
        )
