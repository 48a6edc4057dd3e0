"""Broken strategies: what the modules of tests/conformance share. Each strategy must fail one check of check_plugin."""

import re
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from al_learner import check_plugin
from al_learner.core.errors import PluginError
from al_learner.core.interfaces import Strategy


class Broken(list[tuple[Strategy, str, str]]):
    """Broken strategies of one kind, each with the name of the check that it must fail, and a part of the reason.

    Most are of a class with a parameter `how`: the name of a function, whose name in turn tells the fault.
    """

    def __init__(self) -> None:
        super().__init__()
        self.faults: dict[str, Callable[..., Any]] = {}

    def fails(self, cls: type[Strategy], check: str, reason: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Make a broken strategy of a function: one of `cls`, which must fail `check` for `reason`."""

        def add(fault: Callable[..., Any]) -> Callable[..., Any]:
            self.faults[fault.__name__] = fault
            self.append((cls(how=fault.__name__), check, reason))
            return fault

        return add

    def each(self) -> pytest.MarkDecorator:
        """Run a test with every strategy that was added before."""
        ids = [getattr(strategy, "how", type(strategy).__name__) for strategy, _, _ in self]
        return pytest.mark.parametrize(("broken", "check", "reason"), [*self], ids=ids)

    def not_failed(self, checks: Iterable[Callable[[Any], None]]) -> set[str]:
        """Return the names of the checks that no strategy here must fail."""
        return {check.__name__ for check in checks} - {check for _, check, _ in self}


def assert_fails(broken: Strategy, check: str, reason: str) -> None:
    with pytest.raises(PluginError, match=f"(?s){re.escape(f'{broken!r} fails {check}: ')}.*{re.escape(reason)}"):
        check_plugin(broken)
