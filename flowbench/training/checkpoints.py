"""Checkpoints: what a training that was killed goes on from."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor
from tqdm import tqdm

from flowbench.runtime.files import replace_file

# Two, for the last may be found to be damaged.
_KEPT = 2
# A save may take this share of the time between two.
_SHARE = 0.05
_FACTS = "facts"


class Checkpoints:
    """The last checkpoints of one training, each a file that is whole or not there, named after its own digest.

    They hold tensors and JSON, in safetensors: nothing that is read could run code.

    Args:
        folder: theirs alone; made when the first is saved.
        seconds: between two, at least.
    """

    def __init__(self, folder: Path, seconds: float):
        self.folder = folder
        self._seconds = seconds
        self._next = time.monotonic() + seconds
        self._warned = False

    @property
    def due(self) -> bool:
        """Whether it is time for another."""
        return time.monotonic() >= self._next

    def save(self, step: int, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Write what a training is made of after ``step``; the oldest of three is removed.

        Where it cannot be written, for instance on a full disk, a line says so once and the training can go on.
        """
        began = time.monotonic()
        content = save(
            {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, {_FACTS: json.dumps(facts)}
        )
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            replace_file(self.folder / f"{step:012}-{hashlib.sha256(content).hexdigest()}.safetensors", content)
            for old in self._files()[_KEPT:]:
                old.unlink()
        except OSError as error:
            if not self._warned:
                lost = "a training that is killed now goes on from an older one, or starts anew"
                tqdm.write(f"{self.folder}: cannot write a checkpoint, {error.strerror}; {lost}", file=sys.stderr)
            self._warned = True
        ended = time.monotonic()
        self._next = ended + max(self._seconds, (ended - began) / _SHARE)

    def load(self) -> tuple[int, dict[str, Tensor], dict[str, Any]] | None:
        """The step, the tensors and the facts of the newest that is undamaged; ``None`` where there is none.

        Those that are damaged are removed, and a line says so.
        """
        damaged: list[int] = []
        for path in self._files():
            step, _, digest = path.stem.partition("-")
            if hashlib.sha256(path.read_bytes()).hexdigest() == digest:
                self._say_damaged(damaged, f"goes on after step {int(step):,}")
                with safe_open(path, "pt") as file:
                    tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                    return int(step), tensors, json.loads(file.metadata()[_FACTS])
            damaged.append(int(step))
            path.unlink()
        self._say_damaged(damaged, "starts anew")
        return None

    def _say_damaged(self, steps: list[int], then: str) -> None:
        if steps:
            of = " and ".join(f"step {step:,}" for step in steps)
            tqdm.write(f"{self.folder}: damaged: the checkpoint of {of}; training {then}", file=sys.stderr)

    def _files(self) -> list[Path]:
        """The newest first; what a kill left half written has another name, which begins with no digit."""
        return sorted(self.folder.glob("[0-9]*-*.safetensors"), reverse=True)
