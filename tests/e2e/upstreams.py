"""Upstreams of the tests as processes of their own, so that a blocked test never blocks them."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def upstream(module: str, *arguments: str) -> Iterator[str]:
    """Runs `python -m MODULE --listen 127.0.0.1:0 …`; gives the URL that it prints first."""
    command = [sys.executable, "-m", module, "--listen", "127.0.0.1:0", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert ": http" in line, f"{module} did not start: {line!r}"
        yield line.split()[1]
    finally:
        process.terminate()
        process.wait(20)
        if process.stdout is not None:
            process.stdout.close()
