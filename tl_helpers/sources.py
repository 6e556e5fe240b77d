"""Where the data and weights are, and whether they are the ones the course was written with.

Nothing is downloaded here. `data/sources.toml` has one table per source; the carriers named there are installed into
`data/packages` by one command (`python -m tl_helpers fetch`), and `path_of` returns a path after it has checked that
the file is there, has the version that was locked, and is byte for byte the one that was measured.
torch is never imported here, so that `python -m tl_helpers doctor` answers at once.
"""

import contextlib
import functools
import hashlib
import importlib.metadata
import json
import os
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tl_helpers.errors import CourseError


@dataclass(frozen=True)
class Source:
    """One row of `data/sources.toml`. `files` is empty for a single file; for a folder, the patterns that are read."""

    name: str
    path: str
    package: str
    version: str
    format: str
    origin: str
    licence: str
    attribution: str
    sha256: str
    files: tuple[str, ...] = ()


class SourceMissingError(CourseError, FileNotFoundError):
    """A carrier is not installed, or not in the version that the lock file names."""


class SourceDamagedError(CourseError, ValueError):
    """A file differs from the one that was measured."""


def root() -> Path:
    """The project's folder: the one that contains `data/` and `tl_helpers/` (TL_ROOT overrides it, for tests)."""
    return Path(os.environ.get("TL_ROOT") or Path(__file__).resolve().parents[1])


def command(words: str, python: Path | None = None) -> str:
    """`python -m words` as the reader types it: with a path to Python if this is the project's own, in `.venv`."""
    if python is None and Path(sys.prefix).resolve() != (root() / ".venv").resolve():
        return f"python -m {words}"
    python = python or Path(sys.executable)
    return f"{os.path.relpath(python) if Path.cwd().is_relative_to(root().resolve()) else python} -m {words}"


def cache_dir() -> Path:
    """`data/cache`, created if need be. Everything in it can be deleted: it will be computed again."""
    folder = root() / "data" / "cache"
    with contextlib.suppress(OSError):  # a read-only checkout: nothing is kept, and all is computed again
        folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextlib.contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Write to the path that `with` gives; only if the block ends without an error is it moved to `path`, in one step.

    So a process killed half-way leaves either the old file or the new one, never part of one.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)  # mkstemp makes files that only their owner may read
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def writable(folder: Path) -> Path:
    """Make a folder for results, and see that files can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise CourseError(f"{folder} can't be made or written to ({error.strerror}). Choose another: --out.") from error
    return folder


def write_atomically(path: Path | str, content: bytes | str) -> None:
    """Write a whole file at once (UTF-8 for text): see `atomic_path`."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.encode(errors="backslashreplace") if isinstance(content, str) else content)


def entries(path: Path) -> dict:
    """What a JSON file in `data/cache` has kept; nothing if it isn't there or can't be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def keep_entries(path: Path, more: dict) -> None:
    """Add to such a file. A read-only checkout or a full disk does no harm: what is not kept is found out again."""
    with contextlib.suppress(OSError):
        write_atomically(path, json.dumps({**entries(path), **more}, indent=1))


def sources() -> dict[str, Source]:
    """Every row of `data/sources.toml`, by name."""
    return _read_table(root() / "data" / "sources.toml")


@functools.cache
def _read_table(path: Path) -> dict[str, Source]:
    try:
        rows = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SourceMissingError(
            f"{path} is not there. The course runs from its own folder (a clone of the repository): install it with "
            "`pip install -e .` there, or set TL_ROOT to that folder."
        ) from error
    return {name: Source(name=name, **{**row, "files": tuple(row.get("files", ()))}) for name, row in rows.items()}


def source(name: str) -> Source:
    """One row; if there is none of that name, CourseError names all rows."""
    table = sources()
    if name not in table:
        raise CourseError(f"There is no source {name!r} in data/sources.toml. It has: {', '.join(sorted(table))}.")
    return table[name]


def path_of(name: str) -> Path:
    """The path of a source's file or folder, checked: it exists, has the locked version, and its sha256 matches.

    The hash is computed once per state of the file (size and time of change, recorded in `data/cache/verified.json`).
    Raises SourceMissingError or SourceDamagedError, both CourseError, which name the command that fixes it.
    """
    row = source(name)
    packages = root() / "data" / "packages"
    path, repair = packages / row.path, f"Repair it with: {command('tl_helpers fetch --repair')}"
    found = {item.version for item in importlib.metadata.distributions(name=row.package, path=[str(packages)])}
    if row.version not in found:
        problem = f"version {', '.join(sorted(found))}" if found else "no such package"
        raise SourceMissingError(
            f"{name} needs the carrier {row.package} {row.version}, but data/packages has {problem}. "
            f"Install it with: {command('tl_helpers fetch --repair' if found else 'tl_helpers fetch')}"
        )
    files = _files(path, row.files)
    if not files:
        raise SourceMissingError(f"{name}: {row.package} is installed, but data/packages/{row.path} is gone. {repair}")
    state = state_of(files)
    verified = cache_dir() / "verified.json"
    if entries(verified).get(name) == [state, row.sha256]:
        return path
    if (digest := sha256_of(path, row.files)) != row.sha256:
        raise SourceDamagedError(
            f"{name}: data/packages/{row.path} is damaged or was changed (sha256 {digest[:16]}…, expected "
            f"{row.sha256[:16]}…). {repair}"
        )
    keep_entries(verified, {name: [state, row.sha256]})
    return path


def sha256_of(path: Path, patterns: tuple[str, ...] = ()) -> str:
    """sha256 of a file; for a folder, that of the lines `relative name, space, sha256` of its files in sorted order."""
    files = _files(path, patterns)
    if not patterns:
        return _file_digest(path)
    return hashlib.sha256("".join(f"{_relative(f, path)} {_file_digest(f)}\n" for f in files).encode()).hexdigest()


def _files(path: Path, patterns: tuple[str, ...]) -> list[Path]:
    if not patterns:
        return [path] if path.is_file() else []
    return sorted({file for pattern in patterns for file in path.glob(pattern)}, key=lambda file: _relative(file, path))


def _relative(file: Path, folder: Path) -> str:
    return file.as_posix()[len(folder.as_posix()) + 1 :]  # relative_to takes ten times as long, for thousands of files


def _file_digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def state_of(files: list[Path]) -> str:
    """A hash of the files' names, sizes and times of change: it differs once one of them is another."""
    stats = [(file.name, stat.st_size, stat.st_mtime_ns) for file in files if (stat := file.stat())]
    return hashlib.sha256(json.dumps(stats).encode()).hexdigest()
