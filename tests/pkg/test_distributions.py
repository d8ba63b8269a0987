"""What every wheel and source distribution holds and says."""

import tarfile
from collections.abc import Mapping

from packaging.requirements import Requirement

from tests.pkg.conftest import Distribution


def test_wheel_holds_its_package_and_nothing_else(distribution: Distribution) -> None:
    top_level = {name.split("/")[0] for name in distribution.files() if ".dist-info/" not in name}

    assert top_level == {distribution.package}
    assert not [name for name in distribution.files() if "__pycache__" in name]


def test_wheel_is_marked_as_typed(distribution: Distribution) -> None:
    assert f"{distribution.package}/py.typed" in distribution.files()


def test_wheel_and_source_distribution_carry_the_licence(distribution: Distribution) -> None:
    with tarfile.open(distribution.sdist) as sdist:
        sdist_files = {name.split("/", 1)[1] for name in sdist.getnames() if "/" in name}

    assert distribution.metadata()["License-Expression"] == "Apache-2.0"
    assert "Apache License" in distribution.read("licenses/LICENSE")
    assert {"LICENSE", "README.md", "pyproject.toml"} <= sdist_files


def test_metadata_says_what_it_is_and_what_it_needs(distribution: Distribution) -> None:
    metadata = distribution.metadata()

    assert metadata["Name"] == distribution.name
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["Summary"]
    assert str(metadata.get_payload()).strip(), "README.md is empty"


def test_entry_points_are_of_the_group_that_discovery_reads(distribution: Distribution) -> None:
    entry_points = distribution.read("entry_points.txt")

    assert "[hitchpost]" in entry_points
    assert f"= {distribution.package}" in entry_points.split("[hitchpost]")[1]


def test_distributions_of_one_release_fit_together(distributions: Mapping[str, Distribution]) -> None:
    versions = {name: built.metadata()["Version"] for name, built in distributions.items()}

    misfits = [
        f"{name}: {requirement}"
        for name, built in distributions.items()
        for requirement in map(Requirement, built.metadata().get_all("Requires-Dist", []))
        if requirement.name in versions and versions[requirement.name] not in requirement.specifier
    ]

    assert len(set(versions.values())) == 1
    assert misfits == []


def test_default_model_travels_in_its_wheel_and_stays_small(distributions: Mapping[str, Distribution]) -> None:
    tiny_llama = distributions["hitchpost-tiny-llama"]

    assert [name for name in tiny_llama.files() if name.endswith(".safetensors")]
    assert tiny_llama.wheel.stat().st_size < 11_000_000
