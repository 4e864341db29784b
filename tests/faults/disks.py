"""Small disks that fill up and can be made read-only."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


class Disk:
    """A file system of its own, mounted at ``path``."""

    def __init__(self, path: Path):
        self.path = path

    def fill(self, leave: int = 0) -> None:
        """Let no more than ``leave`` bytes be free."""
        with self._ballast.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))
        with self._ballast.open("r+b") as file:
            file.truncate(max(0, self._ballast.stat().st_size - leave))

    def free(self) -> None:
        self._ballast.unlink()

    def remount(self, options: str) -> None:
        assert mount("-o", f"remount,{options}", str(self.path)) == ""

    def names(self) -> list[str]:
        """All that is on it."""
        files = (path for path in self.path.rglob("*") if path != self._ballast)
        return sorted(str(path.relative_to(self.path)) for path in files)

    @property
    def _ballast(self) -> Path:
        return self.path / "ballast"


@contextmanager
def disk_at(path: Path, size: str = "4m") -> Iterator[Disk]:
    """A disk of ``size`` at ``path``, which is made; a machine that lets nobody mount skips the test."""
    path.mkdir(parents=True, exist_ok=True)
    if refusal := mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)):
        pytest.skip(f"a file system cannot be mounted here: {refusal}")
    try:
        yield Disk(path)
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def mount(*arguments: str) -> str:
    """Why it was refused, if it was."""
    try:
        return subprocess.run(["mount", *arguments], capture_output=True, text=True).stderr.strip()
    except OSError as error:
        return str(error)
