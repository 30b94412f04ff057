"""Pure: answers that the tap makes itself, in the error format of the provider that the client believes to speak to."""

from dataclasses import dataclass

from penstock.schemas.events import Api, Dialect
from penstock.wire.ending import refusal

from .headers import REASONS


@dataclass(frozen=True, slots=True)
class Refusal:
    """One refusal. `message` is for the person whose request it was; it never holds what they sent."""

    status: int
    message: str
    code: str
    retry_after_s: int | None = None

    def write(self, api: Api, dialect: Dialect, exchange_id: str, *, close: bool) -> tuple[bytes, bytes]:
        """Head and body of the answer."""
        headers, body = refusal(api, dialect, self.status, self.message, self.code, self.retry_after_s)
        lines = [b"HTTP/1.1 %d %b" % (self.status, REASONS.get(self.status, b"Refused"))]
        lines += [f"{name}: {value}".encode() for name, value in headers]
        lines.append(b"x-penstock-exchange-id: " + exchange_id.encode())
        if close:
            lines.append(b"connection: close")
        return b"\r\n".join(lines) + b"\r\n\r\n", body


def not_ready(what: str) -> Refusal:
    """The tap cannot serve now, and may soon."""
    return Refusal(503, f"the gateway is not ready: {what}", "gateway_not_ready", retry_after_s=1)


def lost(reason: str, timeout: bool) -> Refusal:
    """The upstream could not be asked, or did not answer."""
    return Refusal(504 if timeout else 502, reason, "upstream_timeout" if timeout else "upstream_unreachable")
