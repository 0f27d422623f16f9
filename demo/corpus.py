"""The documents of the demonstration: what a registry package ships, fetched by pip and checked against a hash.

The source archive of openai-agents 0.24.0 (MIT, 7 MB) holds its documentation in English, Chinese, Japanese and Korean,
beside guides, PDF forms and pictures of its examples: 249 documents; and 1,556 files with the program itself. Nothing of
it is installed or run, and nothing of it is part of Isotherm.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

REQUIREMENT = Path(__file__).with_name("corpus.txt")
KINDS = {
    ".md": ("text", "text/markdown; charset=utf-8"),
    ".txt": ("text", "text/plain; charset=utf-8"),
    ".html": ("web", "text/html; charset=utf-8"),
    ".pdf": ("pdf", "application/pdf"),
    ".png": ("picture", "image/png"),
    ".jpg": ("picture", "image/jpeg"),
}
LANGUAGES = {"zh": "Chinese", "ja": "Japanese", "ko": "Korean", "en": "English"}


@dataclass(frozen=True, slots=True)
class Document:
    """A file to store under `key`; translated ones are named by their own titles, so that keys are in four languages."""

    key: str
    path: Path
    content_type: str
    tags: dict[str, str]

    @property
    def size_bytes(self) -> int:
        return self.path.stat().st_size


def fetch(directory: Path) -> Path:
    """The unpacked archive below `directory`; downloaded unless it is there.

    Raises:
        RuntimeError: pip could not fetch it, or its hash is another.
    """
    unpacked = directory / "corpus"
    if not unpacked.exists():
        downloads = directory / "downloads"
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--no-binary", ":all:", "--require-hashes", "--requirement", str(REQUIREMENT)]
        pip = subprocess.run([*command, "--dest", str(downloads)], capture_output=True, text=True, check=False)
        if pip.returncode != 0:
            raise RuntimeError(f"pip could not fetch the documents:\n{pip.stderr.strip()}")
        half = directory / "corpus.part"
        with tarfile.open(next(downloads.glob("*.tar.gz"))) as archive:
            archive.extraction_filter = getattr(tarfile, "data_filter", lambda member, path: member)
            archive.extractall(half)
        half.rename(unpacked)
    return next(path for path in unpacked.iterdir() if path.is_dir())


def archive(directory: Path) -> Path:
    """The archive itself, as downloaded."""
    return next((directory / "downloads").glob("*.tar.gz"))


def files(tree: Path) -> list[Path]:
    return sorted(path for path in tree.rglob("*") if path.is_file() and not path.is_symlink())


def documents(tree: Path) -> list[Document]:
    """What people would read, in order of path; the generated stubs of the API reference are left out."""
    found: dict[str, Document] = {}
    for path in files(tree):
        inside = path.relative_to(tree)
        if path.suffix not in KINDS or inside.is_relative_to("docs/ref"):
            continue
        language = inside.parts[1] if inside.parts[0] == "docs" and inside.parts[1] in LANGUAGES else "en"
        key = inside.as_posix() if language == "en" else _titled(path, inside)
        kind, content_type = KINDS[path.suffix]
        tags = {"language": language, "kind": kind, "part": inside.parts[0] if len(inside.parts) > 1 else "top"}
        found[key] = Document(key, path, content_type, tags)
    return list(found.values())


def _titled(path: Path, inside: Path) -> str:
    """`docs/zh/sessions/index.md` → `docs/zh/sessions/index 会话.md`"""
    title = next((line[2:] for line in path.read_text().splitlines() if line.startswith("# ")), "")
    title = title.split("{#")[0].replace("/", "／").strip()
    return inside.with_name(f"{inside.stem} {title}".strip() + inside.suffix).as_posix()
