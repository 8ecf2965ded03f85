"""Owns what goes wrong: refused, not reached, or answered by somebody else."""

from __future__ import annotations


class BeamError(Exception):
    """Beam refused a request, or what answered is not Beam.

    `status`: HTTP's. `code`, `message`, `fields`: what Beam said; `fields` where
    some are to blame, each with its texts. `retry_after`: the seconds after
    which Beam lets itself be asked again, where it said so.
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
    """Beam was not reached, or could not serve, however often it was asked.

    `status` is 0 where there was no answer at all.
    """
