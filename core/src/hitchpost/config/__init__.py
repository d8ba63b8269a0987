"""The run config as data: schema, environment placeholders, loading with every problem reported."""

from hitchpost.config.home import state_home
from hitchpost.config.load import LoadedRunConfig, load_run_config, parse_run_config, read_run_config
from hitchpost.config.run_config import ProviderEntry, ProviderLimits, RunConfig, ServerConfig

__all__ = [
    "LoadedRunConfig",
    "ProviderEntry",
    "ProviderLimits",
    "RunConfig",
    "ServerConfig",
    "load_run_config",
    "parse_run_config",
    "read_run_config",
    "state_home",
]
