"""What must go well once before a provider can be checked.

Each step is tried once. Where it fails, one check tells why and what to do; those that need it are not made, and point there.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

WHY = "nothing that needs this can be checked: such checks are skipped as not checked, and point here"


@dataclass(frozen=True, slots=True)
class Step:
    """Something that must go well."""

    expected: str
    advice: str


SAY = Step(
    "The test class says all that is required.",
    "set it in the test class; docs/conformance.md says what it means",
)
FIND_TYPE = Step(
    "The provider type of the test class is installed, or in one of its plugin_paths.",
    "correct provider_type, api or plugin_paths of the test class; install the distribution (pip install -e .), or mend the plugin that failed",
)
IMPORT_TYPE = Step(
    "What the ProviderSpec names can be imported, and what it requires is installed.",
    "correct config, factory or provider_data of the ProviderSpec: 'package.module:attribute', both models of pydantic",
)
ENTER_BACKEND = Step(
    "The test class's backend() starts.",
    "mend backend() of the test class: it starts what stands in for the backend, and yields the config that leads to it, or None",
)
READ_CONFIG = Step(
    "The provider type takes the config of the test class.",
    "correct the provider's config where the test class says it: `config`, a fixture provider_config, or what backend() yields",
)
START_NEIGHBOURS = Step(
    "The providers in run_config of the test class start.",
    "correct run_config of the test class, or start what those providers call",
)
BUILD = Step(
    "The factory makes a provider, in a thread.",
    "only store config and deps in __init__; open sessions, connections and processes in start()",
)
START = Step(
    "start() of the provider ends well.",
    "start what the provider calls, or correct the config that leads to it; if neither is at fault, mend start()",
)
REGISTER = Step(
    "The provider takes the registration of what the test class names.",
    "correct what the test class names, such as `model` or `shield`, or mend the provider's hook",
)
SERVE = Step(
    "The provider starts behind the router of a host, with the resources of the test class.",
    "correct run_config of the test class; where that is sound, mend the provider: what the host asks of it after start() fails",
)


class Unusable(Exception):  # noqa: N818 - it is what is said of a provider
    """Why a check can't be made: a step before it failed, with `cause`."""

    def __init__(self, step: Step, cause: Exception) -> None:
        super().__init__(step.expected)
        self.step = step
        self.cause = cause


class Preflight:
    """How the steps of one test class went."""

    def __init__(self) -> None:
        self._gone_well: set[Step] = set()
        self._failed: dict[Step, Exception] = {}
        self._told_by: dict[Step, str] = {}

    @contextmanager
    def step(self, step: Step) -> Iterator[None]:
        """Within it, the step is tried. Once it went well, a later failure is the business of the check that meets it.

        Raises:
            Unusable: it fails at its first try, or failed then.
        """
        self.demand(step)
        try:
            yield
        except Unusable:
            raise
        except Exception as error:
            if step in self._gone_well:
                raise
            self._failed[step] = error
            raise Unusable(step, error) from error
        self._gone_well.add(step)

    def demand(self, *steps: Step) -> None:
        """Raises Unusable where one of the steps failed."""
        for step in steps:
            if step in self._failed:
                raise Unusable(step, self._failed[step])

    def teller(self, step: Step, check_id: str) -> str:
        """The id of the check that tells of a step's failure: the first one that asks."""
        return self._told_by.setdefault(step, check_id)


__all__ = [
    "BUILD",
    "ENTER_BACKEND",
    "FIND_TYPE",
    "IMPORT_TYPE",
    "READ_CONFIG",
    "REGISTER",
    "SAY",
    "SERVE",
    "START",
    "START_NEIGHBOURS",
    "Preflight",
    "Step",
    "Unusable",
]
