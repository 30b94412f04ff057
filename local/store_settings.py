"""Which parts of a request's query string are settings of the engine, which a role may change, and how far."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from penstock.schemas.addresses import Role

from .store_errors import BAD_ARGUMENTS, READONLY, refuse

MIB: Final = 1024 * 1024

_TRANSPORT_WORDS = """
    query database default_format session_id session_timeout session_check query_id user password compress
    decompress enable_http_compression http_zlib_compression_level wait_end_of_query client_protocol_version
    role quota_key buffer_size send_progress_in_http_headers http_headers_progress_interval_ms
    add_http_cors_header http_write_exception_in_output_format cancel_http_readonly_queries_on_client_close
    readonly http_receive_timeout http_send_timeout
"""
TRANSPORT: Final = frozenset(_TRANSPORT_WORDS.split())
"""Parameters that a client may send to any server, and that change nothing here (or are handled by name)."""

_HARMLESS_WORDS = """
    max_threads max_block_size max_insert_block_size min_insert_block_size_rows min_insert_block_size_bytes
    max_rows_to_read max_bytes_to_read max_result_rows max_result_bytes max_execution_time max_memory_usage
    result_overflow_mode final do_not_merge_across_partitions_select_final optimize_read_in_order
    use_skip_indexes use_skip_indexes_if_final join_use_nulls joined_subquery_requires_alias extremes
    group_by_overflow_mode date_time_input_format date_time_output_format session_timezone insert_deduplicate
    insert_deduplication_token async_insert wait_for_async_insert mutations_sync max_query_size use_query_cache
    allow_experimental_json_type allow_experimental_variant_type allow_experimental_dynamic_type
    allow_experimental_object_type
"""
HARMLESS: Final = frozenset(_HARMLESS_WORDS.split())
"""Settings that writer and reader may change: they say how much to read or how to print it, never where from."""

HARMLESS_PREFIXES: Final = ("input_format_json_", "output_format_", "input_format_null_", "input_format_skip_")
_NAME = re.compile(r"[a-z][a-z0-9_]*\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Upper bounds of one caller's statements; a request may ask for less."""

    max_execution_time: int
    max_memory_usage: int
    max_result_bytes: int
    max_threads: int


BOUNDS: Final[dict[Role, Bounds]] = {
    "admin": Bounds(3600, 2048 * MIB, 128 * MIB, 4),
    "writer": Bounds(600, 1024 * MIB, 128 * MIB, 4),
    "reader": Bounds(600, 1024 * MIB, 128 * MIB, 4),
}
OPEN_READS: Final = Bounds(60, 512 * MIB, 64 * MIB, 2)
"""For a reader that showed no password."""


def settings_for(role: Role, bounds: Bounds, query: Mapping[str, str]) -> dict[str, str]:
    """The settings of one statement: the bounds, and what the request asked for within them.

    StoreError 164 names a setting that the role may not change.
    """
    values = {name: str(getattr(bounds, name)) for name in Bounds.__slots__}
    values["result_overflow_mode"] = "throw"
    if role != "admin":
        # Values are literals: an expression could read a file into a row.
        values["input_format_values_interpret_expressions"] = "0"
        values["input_format_values_deduce_templates_of_expressions"] = "0"
    for name, value in query.items():
        if name in TRANSPORT or name.startswith("param_"):
            continue
        if not _NAME.match(name):
            raise refuse(BAD_ARGUMENTS, f"{name[:64]!r} is no name of a setting.")
        if role != "admin" and name not in HARMLESS and not name.startswith(HARMLESS_PREFIXES):
            raise refuse(READONLY, f"The role {role} cannot change the setting '{name}' in the embedded store.")
        values[name] = _within(name, value, bounds)
    return values


def _within(name: str, value: str, bounds: Bounds) -> str:
    """`value`, or the bound where it is larger or lifts it (0 means unlimited to the engine)."""
    if name not in Bounds.__slots__:
        return value
    most = int(getattr(bounds, name))
    try:
        asked = float(value)
    except ValueError as error:
        raise refuse(BAD_ARGUMENTS, f"The setting '{name}' needs a number.") from error
    return value if 0 < asked <= most else str(most)


def assignment(values: Mapping[str, str]) -> str:
    """One SET statement. Names were checked; values are quoted as SQL strings."""
    return "SET " + ", ".join(f"{name} = {quoted(value)}" for name, value in values.items())


def quoted(value: str) -> str:
    """A SQL string literal (backslash escapes, as ClickHouse reads them)."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'").replace("\0", "\\0") + "'"
