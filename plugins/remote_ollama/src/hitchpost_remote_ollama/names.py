"""Names of models, as Ollama reads them and as Llama's catalogue knows them."""

from collections.abc import Collection

from hitchpost.llama import find_llama_model

DEFAULT_TAG = "latest"


def meaning(name: str) -> str:
    """The one spelling of names that Ollama takes for the same model: it fills in registry, folder and tag, and ignores case."""
    name = name.lower().removeprefix("registry.ollama.ai/").removeprefix("library/")
    return name if ":" in name.rpartition("/")[2] else f"{name}:{DEFAULT_TAG}"


def ollama_names(name: str) -> list[str]:
    """Names under which Ollama may have what is asked for, the likeliest first: for a Llama model by whichever of its names, those in
    Ollama's library; of others the name itself."""
    known = find_llama_model(name)
    aliases = (
        [] if known is None else [alias for alias in known.aliases if alias.startswith("llama") and "/" not in alias]
    )
    # Where it is one of the library's names, it says which build is meant.
    return [name] if name in aliases or not aliases else aliases


def find_among(name: str, served: Collection[str]) -> str | None:
    """The one of the served names by which Ollama has the model, or None."""
    by_meaning = {meaning(one): one for one in served}
    for candidate in (name, *ollama_names(name)):
        found = by_meaning.get(meaning(candidate))
        if found is not None:
            return found
    return None


__all__ = ["find_among", "meaning", "ollama_names"]
