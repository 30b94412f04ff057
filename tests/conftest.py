"""Fixtures that every folder of tests may use."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of recorded exchanges, vocabularies and token cases (`PENSTOCK_SHARED`, default ../shared)."""
    folder = Path(os.environ.get("PENSTOCK_SHARED", ROOT.parent / "shared")).resolve()
    if not (folder / "data" / "cassettes").is_dir():
        pytest.skip(f"no recorded exchanges in {folder}: set PENSTOCK_SHARED")
    return folder
