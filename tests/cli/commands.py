"""The command, run in this process, and the files in the working directory."""

from pathlib import Path

from typer.testing import CliRunner

from flowbench import cli

ROOT = Path(__file__).parents[2]


def run(*arguments: str, **options):
    """What the command does with some arguments."""
    return CliRunner().invoke(cli.app, arguments, **options)


def edit(path: Path, old: str, new: str) -> None:
    """Replace the first occurrence of ``old`` in a file."""
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def written() -> dict[str, bytes]:
    """Every file in the working directory."""
    files = [path for path in Path().rglob("*") if path.is_file() and path.parent.name != "__pycache__"]
    return {str(path): path.read_bytes() for path in files}
