"""The vocabularies are the official ones, need neither network nor a writable home, and notice damage."""

import base64
import hashlib
import lzma
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from penstock.wire import vocabulary as module
from penstock.wire.vocabulary import SOURCES, VocabularyError, token_ranks, vocabulary

OFFLINE = """
import socket
def refuse(*_): raise AssertionError("the network was used")
socket.socket.connect = socket.getaddrinfo = refuse
from penstock.wire.vocabulary import vocabulary
print(*[vocabulary(name).encode_ordinary("hello world") for name in ("o200k_base", "cl100k_base")])
"""


@pytest.mark.parametrize("name", SOURCES)
def test_the_official_file_comes_out_again(name: str) -> None:
    ranks = sorted(token_ranks(name).items(), key=lambda item: item[1])
    official = b"".join(b"%b %d\n" % (base64.b64encode(token), rank) for token, rank in ranks)
    assert hashlib.sha256(official).hexdigest() == SOURCES[name].official_sha256


@pytest.mark.parametrize("name", SOURCES)
def test_same_as_tiktoken(name: str, shared: Path, tmp_path: Path) -> None:
    """Pattern, special tokens and ids, against tiktoken reading the official files from a cache folder."""
    for encoding, file in (("o200k_base", "fb374d41"), ("cl100k_base", "9b5ad71b")):
        line = next(line for line in (shared / "vocab" / "README.md").read_text().splitlines() if file in line)
        cached = tmp_path / line.split("|")[4].strip()
        cached.write_bytes((shared / "vocab" / f"{encoding}.tiktoken").read_bytes())
    code = f"import tiktoken; e = tiktoken.get_encoding({name!r}); print(repr((e._pat_str, e._special_tokens)))"
    environment = {**os.environ, "TIKTOKEN_CACHE_DIR": str(tmp_path)}
    output = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert output.stdout.strip() == repr((SOURCES[name].pattern, SOURCES[name].special))


def test_neither_network_nor_home(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o500)
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(home)}
    output = subprocess.run(
        [sys.executable, "-c", OFFLINE], env=environment, capture_output=True, text=True, check=True, cwd="/"
    )
    assert output.stdout.strip() == "[24912, 2375] [15339, 1917]"


@pytest.mark.parametrize("name", SOURCES)
def test_loads_in_half_a_second(name: str) -> None:
    started = time.process_time()
    vocabulary.__wrapped__(name)
    assert time.process_time() - started < 0.5


def test_damage_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "files", lambda _: tmp_path)
    (tmp_path / "vocab").mkdir()
    with pytest.raises(VocabularyError, match=r"o200k_base.*cannot read.*install penstock again"):
        token_ranks.__wrapped__("o200k_base")
    (tmp_path / "vocab" / "o200k_base.xz").write_bytes(lzma.compress(b"\x01a"))
    with pytest.raises(VocabularyError, match="wrong digest"):
        token_ranks.__wrapped__("o200k_base")
