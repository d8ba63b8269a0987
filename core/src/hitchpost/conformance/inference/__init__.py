"""`InferenceConformance`: what an inference provider keeps."""

from hitchpost.conformance.inference.answers import AnswerChecks
from hitchpost.conformance.inference.cancellation import CancellationChecks
from hitchpost.conformance.inference.concurrency import ConcurrencyChecks
from hitchpost.conformance.inference.embeddings import EmbeddingChecks
from hitchpost.conformance.inference.faults import FaultChecks
from hitchpost.conformance.inference.formats import FormatChecks
from hitchpost.conformance.inference.registration import RegistrationChecks
from hitchpost.conformance.inference.sampling import SamplingChecks
from hitchpost.conformance.inference.streams import StreamChecks
from hitchpost.conformance.inference.tools import ToolChecks
from hitchpost.conformance.provider import ProviderConformance


class InferenceConformance(
    FaultChecks,
    ConcurrencyChecks,
    CancellationChecks,
    RegistrationChecks,
    EmbeddingChecks,
    ToolChecks,
    FormatChecks,
    SamplingChecks,
    AnswerChecks,
    StreamChecks,
    ProviderConformance,
):
    """Subclass it with `provider_type`, `config` and `model`; `hitchpost.conformance.inference.subject` has the rest that can be said."""


__all__ = ["InferenceConformance"]
