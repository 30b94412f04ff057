"""Edge: the broker's data folder: formatted in one step, and mended after an interrupted start.

Formatting happens in `data.new`, which becomes `data` by one rename: a start that is killed half-way leaves no half
`data`. A copy of meta.properties beside it restores that file, which is small and written without fsync.
"""

import base64
import shutil
import subprocess
import uuid
from collections.abc import Sequence
from pathlib import Path

from penstock.schemas.errors import ServiceUnavailable

from .kafka_config import server_properties

META = "meta.properties"


def prepare_data(folder: Path, java: Sequence[str]) -> Path:
    """`folder/data`, ready for a broker. `java` is the command up to the class name.

    ServiceUnavailable where the tool fails, or where records are there that no known cluster id belongs to.
    """
    data, fresh, copy = folder / "data", folder / "data.new", folder / META
    if data.is_dir() and not _readable(data / META):
        if _readable(copy):
            shutil.copyfile(copy, data / META)
        elif _has_records(data):
            raise ServiceUnavailable(
                f"embedded Kafka: {data / META} is damaged and there is no copy of it: restore {folder} from a backup,"
                " or move it away to start with an empty broker"
            )
        else:
            shutil.rmtree(data)
    if not data.is_dir():
        shutil.rmtree(fresh, ignore_errors=True)
        _format(fresh, folder, java)
        fresh.rename(data)
    if not _readable(copy):
        shutil.copyfile(data / META, copy)
    return data


def _readable(meta: Path) -> bool:
    try:
        values = dict(line.split("=", 1) for line in meta.read_text().splitlines() if "=" in line)
    except (OSError, UnicodeDecodeError):
        return False
    return all(values.get(key) for key in ("cluster.id", "directory.id", "node.id", "version"))


def _has_records(data: Path) -> bool:
    return any(log.stat().st_size for log in data.glob("*/*.log"))


def _format(data: Path, folder: Path, java: Sequence[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    properties = folder / "format.properties"
    properties.write_text(server_properties("127.0.0.1", 1, 2, data))  # ports do not matter to the tool
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    if cluster.startswith("-"):  # the tool would take it for an option
        cluster = f"A{cluster[1:]}"
    tool = [*java, "kafka.tools.StorageTool", "format", "--ignore-formatted", "-t", cluster, "-c", str(properties)]
    done = subprocess.run(tool, capture_output=True, text=True, check=False)
    properties.unlink()
    if done.returncode != 0:
        raise ServiceUnavailable(f"embedded Kafka: formatting {data} failed: {(done.stderr or done.stdout)[-1500:]}")
