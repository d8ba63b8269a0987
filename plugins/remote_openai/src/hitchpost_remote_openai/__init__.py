"""Hitchpost providers in front of servers that speak OpenAI's HTTP form."""

__version__ = "0.1.0"

__all__ = ["__version__"]
