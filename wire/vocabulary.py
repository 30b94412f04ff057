"""The published byte-pair vocabularies, from package data: never from the network."""

import tiktoken


def vocabulary(name: str) -> tiktoken.Encoding:
    """The encoding `o200k_base`, `cl100k_base`, `p50k_base` or `r50k_base`, loaded once per process."""
    raise NotImplementedError
