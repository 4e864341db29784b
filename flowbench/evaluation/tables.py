"""The picture of a table: its columns beside those of a model's samples."""

from pathlib import Path

from flowbench.evaluation.subject import Pictures, Subject
from flowbench.plotting.pairs import pairs


def _draw(subject: Subject, folder: Path) -> None:
    test, samples = subject.test.cpu().numpy(), subject.samples.cpu().numpy()
    pairs(folder / "pairs.png", subject.cell.source.names, test, samples, subject.cell.title)


PICTURES = [Pictures("pairs of columns", lambda subject: subject.cell.source.units_are_arbitrary, _draw)]
