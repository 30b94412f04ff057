"""What tokens cost on a given day, from the prices inside the genai-prices wheel; never from the network."""

from datetime import datetime
from decimal import Decimal

from .usage import Usage


def price(
    model: str,
    upstream: str,
    usage: Usage,
    at: datetime,
    dialect: str = "",
) -> tuple[Decimal | None, str]:
    """Cost in USD and its source (`genai-prices 0.2.3 openai/gpt-4o`).

    (None, "") where no price is known for the model: never a guess. `upstream` is the configured name;
    where it names no provider, `dialect` does.
    """
    raise NotImplementedError
