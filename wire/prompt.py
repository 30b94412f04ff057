"""Counting the tokens of a request."""

from penstock.schemas.attribution import TokenCount
from penstock.schemas.events import Api


def count_prompt(api: Api, model: str, body: bytes) -> TokenCount:
    """Input tokens of a request body: `counted` where the rule is known to be exact, else `estimated`. Never raises."""
    raise NotImplementedError
