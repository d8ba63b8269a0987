"""Providers that run in this process's care: Llama inference in PyTorch."""

__version__ = "0.1.0"

__all__ = ["__version__"]
