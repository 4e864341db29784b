"""``flowbench doctor``: what this machine has, what it lacks, and how to mend that."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import typer

from flowbench.cli.arguments import JsonOption, print_json
from flowbench.cli.plan import cores
from flowbench.config import PARAMS
from flowbench.runtime.files import without_secrets
from flowbench.runtime.mirror import MIRROR, is_url

_PROJECT = "normalizing-flow-benchmark"
_LOCK = Path("requirements.txt")
# Installing takes 6 GB, and the results of a suite with DVC's copies of them some hundred MB.
_LEAST_DISK = 1e9
_PATIENCE = 5.0  # seconds that a host may take to answer


@dataclass(frozen=True)
class Finding:
    """What was found of one thing.

    Attributes:
        state: ``ok``; ``missing`` where something needed is; ``note`` where something optional is.
        found: what there is, in a few words.
        mend: the command or the change that gets what is lacking; empty where nothing is.
    """

    name: str
    state: Literal["ok", "note", "missing"]
    found: str
    mend: str = ""


def doctor(as_json: JsonOption = False) -> None:
    """Say what this machine lacks, and how to mend it.

    The exit status is 1 if something that is needed is missing. A note says what works without it.
    """
    findings = [finding for look in _LOOKS for finding in look()]
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            print(f"{finding.state:8} {finding.name:12} {finding.found}")
            if finding.mend:
                print(f"{'':21} mend it with: {finding.mend}")
    if any(finding.state == "missing" for finding in findings):
        raise typer.Exit(1)


def _place() -> Iterator[Finding]:
    here = PARAMS.is_file()
    found = "the root of a repository of flowbench" if here else f"there is no {PARAMS} in this folder"
    yield Finding("folder", "ok" if here else "missing", found, "" if here else "cd to the repository's root")


def _python() -> Iterator[Finding]:
    yield Finding("python", "ok", f"{platform.python_version()}, {sys.prefix}")


def _packages() -> Iterator[Finding]:
    """The lock's packages: versions, and what the project asks for. The CPU build of torch does without some."""
    if not _LOCK.is_file():
        return
    pinned = re.findall(r"^([\w.-]+)==([^\s;]+)", _LOCK.read_text(encoding="utf-8"), re.MULTILINE)
    installed = {name: version for name, _ in pinned if (version := _version(name))}
    asked = [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in importlib.metadata.requires(_PROJECT) or []]
    wrong = [f"{name} is missing" for name in asked if not _version(name)]
    wrong += [
        f"{name} {installed[name]} instead of {version}"
        for name, version in pinned
        if name in installed and installed[name].partition("+")[0] != version
    ]
    found = f"{', '.join(wrong[:3])}{f' and {len(wrong) - 3} more' if len(wrong) > 3 else ''}"
    yield Finding(
        "lock",
        "missing" if wrong else "ok",
        found or f"{len(installed)} packages, as {_LOCK} has them",
        f"touch {_LOCK} && make env" if wrong else "",
    )


def _torch() -> Iterator[Finding]:
    try:
        import torch
    except (ImportError, OSError) as error:
        yield Finding("torch", "missing", " ".join(str(error).split()), "make env")
        return
    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "the build without CUDA"
    yield Finding("torch", "ok", f"{torch.__version__}, {build}")
    driver = _output("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader").splitlines()
    if torch.cuda.is_available():
        memory = torch.cuda.get_device_properties(0).total_memory / 1e9
        named = driver[0] if driver else torch.cuda.get_device_name(0)
        yield Finding("GPU", "ok", f"{named}, {memory:.0f} GB")
    elif driver:
        mend = "make env TORCH=cu126, or another build that the driver supports"
        yield Finding("GPU", "note", f"{driver[0]}, but torch cannot use it", mend)
    else:
        yield Finding("GPU", "note", "none: every suite but gpu runs on the CPU")


def _machine() -> Iterator[Finding]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    yield Finding("machine", "ok", f"{cores()} cores, {memory:.0f} GB of memory, {platform.system()}")
    free = shutil.disk_usage(Path()).free
    enough = free >= _LEAST_DISK
    mend = "" if enough else "free some space; `dvc gc --workspace` removes results that no file here needs"
    yield Finding("disk", "ok" if enough else "missing", f"{free / 1e9:.1f} GB free in this folder", mend)


def _git() -> Iterator[Finding]:
    if not (version := _output("git", "--version")):
        yield Finding("git", "missing", "is not on the path", "apt-get install git")
    elif not _output("git", "rev-parse", "--git-dir"):
        mend = "git config --global --add safe.directory '*', if it belongs to another user; else clone it with git"
        yield Finding("git", "note", "this folder is no clone that git may read: results name no commit", mend)
    else:
        yield Finding("git", "ok", version.removeprefix("git version "))


def _dvc() -> Iterator[Finding]:
    try:
        from dvc import __version__
        from dvc.exceptions import DvcException
        from dvc.repo import Repo
    except ImportError as error:
        yield Finding("dvc", "missing", str(error), "make env")
        return
    try:
        with Repo() as repo:
            cache, remotes = Path(repo.cache.local.path), dict(repo.config["remote"])
    except DvcException as error:
        yield Finding("dvc", "missing", f"{__version__}, but {' '.join(str(error).split())}", "cd to a clone")
        return
    existing = next(folder for folder in (cache, *cache.parents) if folder.exists())
    writable = os.access(existing, os.W_OK)
    mend = "" if writable else "dvc cache dir --local FOLDER, with a folder of yours"
    yield Finding("dvc", "ok" if writable else "missing", f"{__version__}, cache in {cache}", mend)
    if remotes:
        shown = ", ".join(f"{name}: {remote['url']}" for name, remote in remotes.items())
        yield Finding("dvc remote", "ok", without_secrets(shown))
    else:
        mend = "dvc remote add --default NAME URL, where somebody shares results"
        yield Finding("dvc remote", "note", "none: `flowbench pull` has nowhere to get weights from", mend)


def _mlflow() -> Iterator[Finding]:
    if not (version := _version("mlflow")):
        yield Finding("mlflow", "missing", "is not installed", "make env")
        return
    from flowbench.tracking.store import store_uri

    uri = store_uri()
    shown = f"{version}, store {without_secrets(uri)}"
    if not is_url(uri):
        yield Finding("mlflow", "ok", shown)
    elif reason := _unreachable(uri):
        yield Finding("mlflow", "missing", f"{shown}: {reason}", "unset MLFLOW_TRACKING_URI, or start that server")
    else:
        yield Finding("mlflow", "ok", f"{shown}, which answers")


def _mirror() -> Iterator[Finding]:
    place = os.environ.get(MIRROR, "")
    shown = without_secrets(place)
    if not place:
        yield Finding("mirror", "note", f"{MIRROR} is not set: images come from public hosts")
        return
    reason = _unreachable(place) if is_url(place) else "" if Path(place).expanduser().is_dir() else "is no folder"
    state: Literal["ok", "note"] = "note" if reason else "ok"
    mend = f"unset {MIRROR}, or name a folder or an address that is there" if reason else ""
    yield Finding("mirror", state, f"{shown}{': ' if reason else ''}{reason}", mend)


def _browser() -> Iterator[Finding]:
    chromium = shutil.which("chromium")
    mend = "" if chromium else "apt-get install chromium"
    found = chromium or "none: the tests of the pages are skipped"
    yield Finding("chromium", "ok" if chromium else "note", found, mend)


_LOOKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    _place,
    _python,
    _packages,
    _torch,
    _machine,
    _git,
    _dvc,
    _mlflow,
    _mirror,
    _browser,
)


def _version(package: str) -> str:
    """The installed version of a package; empty if there is none."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _output(*command: str) -> str:
    """What a program prints; empty if it is not there or fails."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def _unreachable(url: str) -> str:
    """Why no connection to the host of a URL can be made; empty if one can."""
    try:
        place = urlsplit(url)
        port = place.port or (443 if place.scheme == "https" else 80)
        socket.create_connection((place.hostname or "", port), timeout=_PATIENCE).close()
    except (OSError, ValueError) as error:
        return f"does not answer ({error})"
    return ""
