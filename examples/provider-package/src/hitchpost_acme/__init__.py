"""A provider of inference for Hitchpost. This module is imported by every start of every host: keep it empty."""

__version__ = "0.1.0"
