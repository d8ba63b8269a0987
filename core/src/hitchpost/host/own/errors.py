"""Errors of `/hitchpost/v1`: OpenAI's envelope, where what isn't found need not be a model, and fields have their own names."""

from hitchpost.errors import UnauthenticatedError
from hitchpost.host.openai.errors import OpenAISurface

OWN = OpenAISurface("hitchpost", codes={UnauthenticatedError.code: "invalid_api_key"}, params={})

__all__ = ["OWN"]
