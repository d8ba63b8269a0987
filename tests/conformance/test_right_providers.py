"""The kit has nothing against providers that do everything right, so that each wrong one fails by its one difference."""

from tests.conformance.right.inference import RightInferenceKit
from tests.conformance.right.memory import RightMemoryKit
from tests.conformance.right.safety import RightSafetyKit


class TestRightInference(RightInferenceKit):
    pass


class TestRightSafety(RightSafetyKit):
    pass


class TestRightMemory(RightMemoryKit):
    pass
