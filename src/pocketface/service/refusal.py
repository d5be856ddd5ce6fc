"""Why a request is not served: a status, what was found, what is allowed, and the mend.

Every answer that is no success has this one shape, so that a program and a person can both read it.
"""

from pydantic import BaseModel, Field

from pocketface.errors import PocketFaceError


class Fault(BaseModel):
    """The body of every answer from 400 on."""

    error: str = Field(description="what was found")
    allowed: str = Field(description="what is allowed")
    mend: str = Field(description="what to do about it")


class RefusedError(PocketFaceError):
    """A request that is not served: an HTTP `status`, the three texts, and `headers` to send."""

    def __init__(
        self,
        status: int,
        error: str,
        allowed: str,
        mend: str,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(f"{error} {allowed} {mend}")
        self.status = status
        self.fault = Fault(error=error, allowed=allowed, mend=mend)
        self.headers = headers or {}


def refusal_of(error: PocketFaceError, status: int, allowed: str) -> RefusedError:
    """The refusal that says what `error` says; its last sentence is the mend, as ours are."""
    if isinstance(error, RefusedError):
        return error
    found, _, mend = str(error).rpartition(". ")
    if not found:
        return RefusedError(status, str(error), allowed, "Correct it and send the request again.")
    return RefusedError(status, f"{found}.", allowed, mend)


def busy(error: str, allowed: str, seconds: int = 1) -> RefusedError:
    """503: the same request may succeed after `seconds`."""
    mend = f"Send the request again in {seconds} s, or start the service with more --threads."
    return RefusedError(503, error, allowed, mend, {"Retry-After": str(seconds)})
