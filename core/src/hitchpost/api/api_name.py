"""The names of the APIs."""

from enum import StrEnum


class Api(StrEnum):
    """An API: the ones that providers implement, then the host's own."""

    inference = "inference"
    safety = "safety"
    memory = "memory"
    agents = "agents"
    telemetry = "telemetry"

    models = "models"
    shields = "shields"
    memory_banks = "memory_banks"
    batch_inference = "batch_inference"
    inspect = "inspect"


PROVIDABLE = (Api.inference, Api.safety, Api.memory, Api.agents, Api.telemetry)
"""The APIs that may stand under `providers` of a run config."""

__all__ = ["PROVIDABLE", "Api"]
