"""The folder of a benchmark: all that it needs of the repository, and a suite of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from flowbench.config import PARAMS, ConfigError, suites
from flowbench.config.documents import read
from flowbench.runtime.files import write_json

ROOT = Path(__file__).parents[2]
# What a folder needs of the repository, so that its results depend on nothing outside of it.
_COPIED = ("flowbench", "plugins", "stages", "reports/assets", ".dvcignore", ".dvc/plots")
_DVC = """\
[core]
    analytics = false
    check_update = false
    no_scm = true
[plots]
    html_template = plots/page.html
"""
_MADE = "# Made by `flowbench bench`; edit it, and run that again or `dvc repro`.\n"


def require_free(folder: Path) -> None:
    """Refuse a folder that holds anything but a benchmark.

    Raises:
        ConfigError: it does.
    """
    if folder.exists() and any(folder.iterdir()) and not _is_ours(folder / PARAMS):
        raise ConfigError(f"{folder}: holds something else; choose another with --folder")


def before(folder: Path) -> dict[str, Any]:
    """The blocks of the ``params.yaml`` of a benchmark that is there; none where it was only begun."""
    path = folder / PARAMS
    if not _is_ours(path) or path.read_text(encoding="utf-8") == _MADE:
        return {}
    return {key: block for key, block in read(path).items() if isinstance(block, Mapping)}


def earlier(folder: Path, name: str, suite: Mapping[str, Any], labels: Sequence[str]) -> dict[str, Any] | None:
    """The budgets of a benchmark that is there if the same was asked for: times of steps differ from call to call."""
    try:
        there, budgets = read(folder / suites.source(name)), read(folder / PARAMS).get("budgets") or {}
    except ConfigError:
        return None
    return budgets if suite.items() <= there.items() and budgets.keys() == set(labels) else None


def write(
    folder: Path,
    name: str,
    suite: Mapping[str, Any],
    document: Mapping[str, Any],
    *,
    flows: Iterable[Path] = (),
    files: Iterable[Path] = (),
) -> None:
    """Make or renew the folder of a benchmark; what is there already of its results stays.

    Args:
        folder: of the benchmark.
        name: of the suite.
        suite: its ``suites/<name>.yaml``.
        document: its ``params.yaml``.
        flows: files of flows that are not flowbench's.
        files: tables that the data is read from.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not _is_ours(folder / PARAMS):
        # First: the next call can go on from whatever stops this one.
        (folder / PARAMS).write_text(_MADE, encoding="utf-8")
    _copy(folder, flows, files)
    _write_yaml(folder / PARAMS, document)
    path = folder / suites.source(name)
    path.parent.mkdir(exist_ok=True)
    _write_yaml(path, suite)
    # No link to one at the root, as in the repository: that would be the pipeline of a suite that is not here.
    pipeline = folder / suites.folder(name) / suites.PIPELINE
    pipeline.parent.mkdir(exist_ok=True)
    shutil.copy(ROOT / suites.PIPELINE, pipeline)
    subprocess.run(
        [sys.executable, "-c", "from flowbench.cli import main; main()", "expand"],
        cwd=folder,
        check=True,
        stdout=subprocess.DEVNULL,
    )


def _is_ours(path: Path) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8").startswith(_MADE)


def _copy(folder: Path, flows: Iterable[Path], files: Iterable[Path]) -> None:
    """What the benchmark runs: flowbench itself, flows of one's own, tables, and the scripts of its page."""
    for part in _COPIED:
        source, target = ROOT / part, folder / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "dvc.lock", "*.pyc"))
        else:
            shutil.copy(source, target)
    (folder / ".dvc" / "config").write_text(_DVC, encoding="utf-8")
    (folder / "plugins" / "flows").mkdir(parents=True, exist_ok=True)
    for flow in flows:
        shutil.copy(flow, folder / "plugins" / "flows")
    write_json(folder / "reports" / "survived.json", {})
    for file in files:
        shutil.copy(file, folder)


def _write_yaml(path: Path, content: Mapping[str, Any]) -> None:
    from ruamel.yaml import YAML

    text = StringIO()
    yaml = YAML()
    yaml.default_flow_style = None  # the innermost mappings and lists on one line
    yaml.width = 110
    yaml.dump(dict(content), text)
    path.write_text(_MADE + text.getvalue(), encoding="utf-8")
