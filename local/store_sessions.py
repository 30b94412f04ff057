"""Edge: sessions of admin: handles that keep temporary tables and settings between statements."""

import threading
import time
from typing import Any, Final

from .store_engine import Engine
from .store_errors import SESSION_IS_LOCKED, TOO_MANY_QUERIES, StoreError, refuse

IDLE_S: Final = 60.0
SESSIONS_MAX: Final = 16


class Sessions:
    """Handles by session id; each runs one statement at a time. Methods block and may be called from any thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._idle: dict[str, tuple[Any, float]] = {}
        self._busy: set[str] = set()

    def take(self, name: str, database: str) -> Any:
        """The handle of session `name`, made where there is none. StoreError 373 while another statement uses it."""
        with self._lock:
            self._expire()
            if name in self._busy:
                raise refuse(SESSION_IS_LOCKED, "The session runs another statement.")
            if len(self._busy) + len(self._idle) >= SESSIONS_MAX and name not in self._idle:
                raise refuse(TOO_MANY_QUERIES, f"There are {SESSIONS_MAX} sessions already.")
            self._busy.add(name)
            found = self._idle.pop(name, None)
        try:
            return found[0] if found else self._engine.session(database)
        except StoreError:
            with self._lock:
                self._busy.discard(name)
            raise

    def give(self, name: str, handle: Any) -> None:
        """Hands a handle back."""
        with self._lock:
            self._busy.discard(name)
            self._idle[name] = (handle, time.monotonic())

    def close(self) -> None:
        """Closes every idle handle."""
        with self._lock:
            for handle, _ in self._idle.values():
                handle.close()
            self._idle.clear()

    def _expire(self) -> None:
        now = time.monotonic()
        for name in [name for name, (_, used) in self._idle.items() if now - used > IDLE_S]:
            self._idle.pop(name)[0].close()
