"""What `hitchpost new` writes; `templates` holds the files, with `$name` and the like where names go."""

from hitchpost.scaffold.provider_package import ProviderPackage

__all__ = ["ProviderPackage"]
