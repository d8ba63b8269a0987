"""Files are read below the configured folders, and nowhere else, whatever a URL or a link says."""

import os
from pathlib import Path

import pytest

from hitchpost.errors import BadRequestError
from hitchpost.ingest.sources.files import read_file_url

MAX_BYTES = 1000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A configured folder with files and links, beside what must not be read."""
    folder = tmp_path / "root"
    (folder / "below").mkdir(parents=True)
    (folder / "a b.txt").write_text("text")
    (folder / "below/c.md").write_text("# c")
    (folder / "big").write_bytes(b"x" * (MAX_BYTES + 1))
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "root-beside").mkdir()
    (tmp_path / "root-beside/secret").write_text("secret")
    (folder / "inside").symlink_to("below/c.md")
    (folder / "outside").symlink_to("../secret")
    (folder / "outside-folder").symlink_to(tmp_path)
    (folder / "loop").symlink_to("loop")
    os.mkfifo(folder / "pipe")
    return folder


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a%20b.txt", "text"),
        ("below/c.md", "# c"),
        ("below/../a b.txt", "text"),
        ("inside", "# c"),
        ("./below//c.md", "# c"),
    ],
)
def test_file_below_a_folder_is_read(path: str, text: str, root: Path) -> None:
    assert read_file_url(f"file://{root}/{path}", [Path("/nowhere"), root], MAX_BYTES).data == text.encode()


def test_host_may_be_localhost(root: Path) -> None:
    assert read_file_url(f"FILE://localhost{root}/below/c.md", [root], MAX_BYTES).name.endswith("c.md")


@pytest.mark.parametrize(
    "path",
    [
        "../secret",
        "%2e%2e/secret",
        "below/../../secret",
        "outside",
        "outside-folder/secret",
        "../root-beside/secret",
        "../missing",
        "..",
    ],
)
def test_file_elsewhere_is_refused_whether_it_is_there_or_not(path: str, root: Path) -> None:
    with pytest.raises(BadRequestError, match=r"ingest\.file_roots"):
        read_file_url(f"file://{root}/{path}", [root], MAX_BYTES)


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "file:///proc/self/environ", "file:////etc/passwd", "file:///%2fetc/passwd"]
)
def test_without_folders_no_file_is_read(url: str) -> None:
    with pytest.raises(BadRequestError, match=r"ingest\.file_roots"):
        read_file_url(url, [], MAX_BYTES)


@pytest.mark.parametrize(
    "url",
    [
        "file://host/etc/passwd",
        "file://",
        "file://relative",
        "file:///a%00b",
        "file:///a?b",
        "file:///%ff",
        "file://[/",
    ],
)
def test_malformed_url_is_refused(url: str) -> None:
    with pytest.raises(BadRequestError, match="file://"):
        read_file_url(url, [Path("/")], MAX_BYTES)


@pytest.mark.parametrize("path", ["pipe", "below", "", "missing", "a b.txt/x", "loop", "x" * 5000])
def test_what_is_no_readable_file_is_refused_at_once(path: str, root: Path) -> None:
    with pytest.raises(BadRequestError):
        read_file_url(f"file://{root}/{path}", [root], MAX_BYTES)


def test_file_that_is_too_large_is_refused(root: Path) -> None:
    with pytest.raises(BadRequestError, match="larger than 1,000 bytes"):
        read_file_url(f"file://{root}/big", [root], MAX_BYTES)


def test_message_does_not_tell_the_path(root: Path) -> None:
    with pytest.raises(BadRequestError) as refused:
        read_file_url(f"file://{root}/missing", [root], MAX_BYTES)

    assert str(root) not in str(refused.value)


def test_endless_device_is_refused() -> None:
    with pytest.raises(BadRequestError, match="no file"):
        read_file_url("file:///dev/zero", [Path("/dev")], MAX_BYTES)
