"""What a leaf says of content: HMAC(salt, content and identity), so that neither stands in the log.

With the salt gone a commitment is random to anyone who does not hold the text (docs/trail.md, "Commitments").
HMAC-SHA256 is RFC 2104 with FIPS 180-4.
"""

import hmac
from typing import Final

CONTEXT: Final = b"penstock commitment v1\x00"
ZERO: Final = bytes(32)


def commitment(salt: bytes, subject: str, attributes: str, body: bytes) -> bytes:
    """32 bytes. `attributes` is `traffic_attributes(…)`, or for other topics the CloudEvent type."""
    who, what = subject.encode(), attributes.encode()
    head = CONTEXT + len(who).to_bytes(4, "big") + who + len(what).to_bytes(4, "big") + what
    return hmac.digest(salt, head + body, "sha256")


def traffic_attributes(kind: str, origin: str, part: int, withheld: bool, redacted: str) -> str:
    """The attributes of a traffic event that its commitment covers, one a line."""
    return f"{kind}\n{origin}\n{part}\n{int(withheld)}\n{redacted}"
