"""Old public names, which go on working until version 0.2 with a warning that says the new name."""

from __future__ import annotations

import warnings
from typing import Any

METHODS = {
    "act": "reconcile",
    "is_waiting_to_be_heard": "is_announcement_pending",
    "look": "read_state",
    "pair": "load_model",
    "snapshot": "change_token",
}
"""Old methods of `Project`, and their new names."""


def warn(old: str, new: str, *, depth: int = 0) -> None:
    """Warn that an old name is used, at the line that called the caller, or `depth` calls further up."""
    message = f"{old} is deprecated and goes away in version 0.2; use {new}"
    warnings.warn(message, DeprecationWarning, stacklevel=3 + depth)


class DeprecatedMethods:
    """Methods of `Project` under their old names."""

    def act(self, *, heard_init: bool = False, may_announce: bool = True) -> Any:
        """Call `reconcile`."""
        return self._renamed("act")(init_received=heard_init, may_announce=may_announce)

    def look(self, *, heard_init: bool = False) -> Any:
        """Call `read_state`."""
        return self._renamed("look")(init_received=heard_init)

    def pair(self, clf_id: int | None = None) -> Any:
        """Call `load_model`."""
        return self._renamed("pair")(clf_id)

    def snapshot(self) -> Any:
        """Call `change_token`."""
        return self._renamed("snapshot")()

    def is_waiting_to_be_heard(self, newest: Any) -> Any:
        """Call `is_announcement_pending`."""
        return self._renamed("is_waiting_to_be_heard")(newest)

    def _renamed(self, old: str) -> Any:
        new = METHODS[old]
        warn(f"Project.{old}", f"Project.{new}", depth=1)
        return getattr(self, new)
