"""Everything that Hitchpost expects of a provider of inference, as tests of this one."""

from hitchpost.conformance import InferenceConformance


class TestAcmeConformance(InferenceConformance):
    """Each failure says what was seen, why it matters and what to change."""

    provider_type = "inline::acme"
    model = "acme-small"
    chat_expected = "hears"
