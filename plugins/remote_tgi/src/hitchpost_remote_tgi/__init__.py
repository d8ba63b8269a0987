"""Providers in front of Hugging Face's text-generation-inference (TGI)."""

__version__ = "0.1.0"

__all__ = ["__version__"]
