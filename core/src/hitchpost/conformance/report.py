"""How all checks of a test run ended, per provider."""

import json
import platform
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hitchpost import PLUGIN_API, __version__

if TYPE_CHECKING:
    import pytest

FORMAT = 1
"""Version of the JSON document."""
CHECK_ID = "hitchpost_conformance_check"
"""Property of the report of every check: its id."""
RESULT = "hitchpost_conformance"
"""Property of the report of a check that ran: what is written about it, with its provider."""


@dataclass(slots=True)
class TestedProvider:
    """The checks of one test class."""

    test_class: str
    api: str = ""
    provider_type: str = ""
    distribution: str = ""
    version: str = ""
    checks: list[dict[str, str]] = field(default_factory=list)

    def counts(self) -> Counter[str]:
        """How many checks ended how."""
        return Counter(check["outcome"] for check in self.checks)


class ConformanceReport:
    """Reads what the checks wrote into pytest's reports, which reach the process of the user from every worker."""

    def __init__(self) -> None:
        self._providers: dict[str, TestedProvider] = {}

    def pytest_runtest_logreport(self, report: "pytest.TestReport") -> None:
        """One phase of one test has ended."""
        if not report.user_properties:
            return
        properties: dict[str, Any] = dict(report.user_properties)
        if CHECK_ID not in properties:
            return
        if report.when == "call":
            self._add(report.nodeid, properties.get(RESULT) or _broken(properties[CHECK_ID], report))
        elif report.failed:
            self._add(report.nodeid, _broken(properties[CHECK_ID], report))

    def _add(self, nodeid: str, result: dict[str, str]) -> None:
        test_class = nodeid.rpartition("::")[0]
        tested = self._providers.setdefault(test_class, TestedProvider(test_class))
        result = dict(result)
        for name in ("api", "provider_type", "distribution", "version"):
            setattr(tested, name, result.pop(name, "") or getattr(tested, name))
        tested.checks.append({name: value for name, value in result.items() if value})

    def as_json(self) -> str:
        """The document; docs/conformance.md describes it."""
        document = {
            "format": FORMAT,
            "hitchpost": __version__,
            "contract": PLUGIN_API,
            "python": platform.python_version(),
            "providers": [
                {
                    "provider_type": tested.provider_type,
                    "api": tested.api,
                    "distribution": tested.distribution,
                    "version": tested.version,
                    "test_class": tested.test_class,
                    "counts": dict(sorted(tested.counts().items())),
                    "checks": tested.checks,
                }
                for tested in self._providers.values()
            ],
        }
        return json.dumps(document, indent=2, ensure_ascii=False) + "\n"

    def summary(self) -> list[str]:
        """`remote::acme (inference, hitchpost-acme 0.1.0): 50 passed, 9 not-applicable`, for each provider, and why checks were not made."""
        return [line for tested in self._providers.values() for line in (_counted(tested), *_unmade(tested))]


def _counted(tested: TestedProvider) -> str:
    home = f"{tested.distribution} {tested.version}".strip()
    described = ", ".join(filter(None, (tested.api, home)))
    name = f"{tested.provider_type} ({described})" if tested.provider_type else tested.test_class
    return f"{name}: " + ", ".join(f"{count} {outcome}" for outcome, count in sorted(tested.counts().items()))


def _unmade(tested: TestedProvider) -> list[str]:
    reasons = Counter(check["reason"] for check in tested.checks if check["outcome"] == "not-checked")
    return [f"  {count} not checked: {reason}" for reason, count in reasons.items()]


def _broken(check_id: str, report: "pytest.TestReport") -> dict[str, str]:
    """A check whose fixtures failed."""
    last = report.longreprtext.strip().splitlines()[-1:] or [""]
    return {"id": check_id, "outcome": "failed", "seen": f"{report.when} failed: {last[0][:500]}"}


__all__ = ["CHECK_ID", "FORMAT", "RESULT", "ConformanceReport"]
