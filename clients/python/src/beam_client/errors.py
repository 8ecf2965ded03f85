"""The exceptions of the client."""

from __future__ import annotations


class BeamError(Exception):
    """Beam refused a request, or the answer is not one of Beam.

    `status`: the HTTP status. `code`, `message`, `fields`: of the error in the
    answer; `fields`: the reasons for each value that is not valid, or None.
    `retry_after`: the seconds of the header `Retry-After`, or None.

    Codes of the client itself: `redirected`, `unexpected` (not an answer of Beam),
    `unknown` (an error status without an error of Beam), `unreachable` (no answer).
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        fields: dict[str, list[str]] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.fields = fields
        self.retry_after = retry_after


class Unavailable(BeamError):
    """The last try failed, or there is no time left for another one.

    Beam was unreachable, overloaded or unavailable. `status` is 0 if there was no
    answer.
    """
