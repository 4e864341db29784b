"""The evaluation of a whole cell: every metric that applies, for every seed that was trained to the end."""

from __future__ import annotations

import csv
import json
import math
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from tqdm import tqdm

from flowbench import data, flows
from flowbench.config import PARAMS, ConfigError, Params, label
from flowbench.core import FittedModel, FlowModel
from flowbench.evaluation.autoencoder import autoencoder
from flowbench.evaluation.consistency import consistency
from flowbench.evaluation.images import draw_pictures, sample
from flowbench.evaluation.invertibility import invertibility
from flowbench.evaluation.likelihood import bits_per_dim, likelihood
from flowbench.evaluation.logdet import logdet
from flowbench.evaluation.measurement import Measurement
from flowbench.evaluation.moments import moments
from flowbench.evaluation.solver import divergence, few_steps, solver
from flowbench.evaluation.speed import speed
from flowbench.evaluation.stress import stress
from flowbench.evaluation.target import kl_to_target, minor_mode_share
from flowbench.evaluation.transport import sample_distance, straightness
from flowbench.evaluation.two_sample import two_sample
from flowbench.flows._continuous import ContinuousModel
from flowbench.metrics import METRICS
from flowbench.numerics.quadrature import Grid, log_integral
from flowbench.plotting import densities as plotted
from flowbench.runtime import device as devices
from flowbench.runtime.files import whole, write_json
from flowbench.runtime.processes import for_each_seed

# Moments need more samples than distances do, and only one pass over them.
_MOMENT_SAMPLES = 200_000


class CellEvaluation:
    """Measures a trained cell of ``params.yaml`` and writes the numbers and pictures.

    Args:
        params: the whole configuration.
        key: the cell's key among the active ones.
        root: the repository's root, which holds ``data/`` and ``results/``.
    """

    def __init__(self, params: Params, key: str, root: Path = Path()):
        self.key = key
        self.cell = params.cell(key)
        self.options = params.options(self.cell)
        self.budget = params.budgets[self.cell.budget].evaluate
        training = params.budgets[self.cell.budget].train
        self.threads = training.threads
        self.device = devices.pick(training.device, f"budgets.{self.cell.budget}.train.device")
        self.title = f"{label(params.active.name, key, self.cell.data)} on {self.cell.data}"
        self.source = data.load(self.cell.data, **params.data[self.cell.data])
        data_folder = root / "data" / self.cell.data
        self.test = data.read(data_folder)["test"]
        self.entropy = data.saved_entropy(data_folder)
        self.folder = root / "results" / key
        self.training = json.loads((self.folder / "training.json").read_text(encoding="utf-8"))

    def run(self) -> None:
        """Measure all seeds; write into ``results/<cell>/`` whole, or not at all.

        Raises:
            ConfigError: the device has too little memory for the budget's batch size.
        """
        finished = [int(seed) for seed, record in self.training["seeds"].items() if record["status"] == "finished"]
        with whole(self.folder) as folder:
            (folder / "pictures").mkdir()

            def evaluate(seed: int) -> tuple[dict[str, float], str]:
                """What could be measured, and why the rest could not."""
                measurement = Measurement(self.cell.data, seed)
                self._evaluate_seed(seed, measurement, folder / "pictures" if seed == min(finished) else None)
                if not measurement.missing:
                    return measurement.values, ""
                where = f"{PARAMS}: flows.{self.cell.flow}.{self.cell.config}"
                tqdm.write(f"{self.key} seed {seed}: measured in part; {where}: {measurement.missing}", file=sys.stderr)
                return measurement.values, f"{where}: {measurement.missing}"

            try:
                seeds = for_each_seed(evaluate, sorted(finished), self.device, self.threads)
            except Exception as error:
                if not devices.is_out_of_memory(error):
                    raise
                where = f"{PARAMS}: budgets.{self.cell.budget}.evaluate.batch_size = {self.budget.batch_size}"
                raise ConfigError(
                    f"{where}: {self.key} needs more memory than is free on the {self.device.type} device; choose less"
                ) from None
            self._write(folder, seeds)

    def _write(self, folder: Path, seeds: dict[int, tuple[dict[str, float], str]]) -> None:
        """Numbers that depend on the weights alone apart from those that depend on the host."""
        steady: dict[str, list[float]] = defaultdict(list)
        varying: dict[int, dict[str, float]] = {seed: {} for seed in seeds}
        with (folder / "seeds.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["seed", "metric", "value", "unit"])
            for seed, (values, _) in seeds.items():
                for name, value in values.items():
                    if METRICS[name].host_dependent:
                        varying[seed][name] = value
                    else:
                        steady[name].append(value)
                        writer.writerow([seed, name, repr(float(value)), METRICS[name].unit])
        write_json(folder / "timings.json", {**devices.describe(self.device), "seeds": varying})

        records = self.training["seeds"].values()
        counts = {name: sum(record["status"] == name for record in records) for name in ("diverged", "failed")}
        status = {"status": next((name for name, count in counts.items() if count), "finished"), "seeds": len(records)}
        if reasons := {str(seed): reason for seed, (_, reason) in seeds.items() if reason}:
            status |= {"status": "measured in part", "not_measured": reasons}
        # Over seeds the mean, but of errors the worst.
        summary = {name: float((np.max if "error_max" in name else np.mean)(v)) for name, v in steady.items()}
        # JSON has no infinity; "inf" is what `float` reads, and what DVC shows.
        strict = {name: value if math.isfinite(value) else str(value) for name, value in summary.items()}
        write_json(folder / "metrics.json", status | counts | strict)

    def load(self, seed: int) -> FlowModel:
        """The trained model of a seed, on the cell's device."""
        model = flows.build(self.cell.flow, self.source.event, self.options)
        model.load_state_dict(load_file(self.folder / "trained" / f"seed-{seed}.safetensors"))
        return model.to(self.device).eval()

    @torch.no_grad()
    def _evaluate_seed(self, seed: int, measurement: Measurement, pictures_folder: Path | None) -> None:
        """Measure one seed, and draw its pictures if there is a folder for them."""
        model = self.load(seed)
        split = torch.from_numpy(np.array(self.test)).to(self.device)
        test = split[: self.budget.test_examples]
        budget, batch_size = self.budget, self.budget.batch_size
        values, measure = measurement.values, measurement.enter
        values["parameters"] = model.parameter_count()
        if budget.test_examples:
            values["test_examples"] = len(test)
        if model.likelihood == "none":
            measure("autoencoder", autoencoder, model, test, batch_size)
        else:
            measure("likelihood", likelihood, model, test, budget.noise_draws, batch_size)
        if self.entropy is not None:
            values["entropy_floor_bits_per_dim"] = bits_per_dim(self.entropy, self.source.event.dims)
            truth = self.source.log_density(test.cpu().double())
            assert truth is not None
            values["true_bits_per_dim"] = bits_per_dim(-float(truth.mean()), self.source.event.dims)
        if not isinstance(model, FittedModel):
            measure("invertibility", invertibility, model, test, budget.invertibility_points, batch_size)
            measure("stress", stress, model, test, budget.invertibility_points, batch_size)
            measure("consistency", consistency, model, test, budget.invertibility_points, batch_size)
            if budget.logdet_points:
                with torch.enable_grad():
                    measure("logdet", logdet, model, test, budget.logdet_points)
        if isinstance(model, ContinuousModel):
            measure("solver", solver, model, test, budget.invertibility_points)
            measure("few steps", few_steps, model, split, budget.samples)
            if model.likelihood == "estimate":
                measure("divergence", divergence, model, test)
            if self.source.grid is not None:
                measure("straightness", straightness, model, test[: budget.samples])
        samples = measurement.attempt("samples", sample, model, min(budget.samples, len(test)), batch_size)
        if samples is not None:
            measure("distances", two_sample, samples, test)
            if self.source.is_energy:
                values["minor_mode_share"] = minor_mode_share(samples)
            if self.source.grid is not None:
                measure("transport", sample_distance, samples, test)
                measure("grid", self._on_grid, model, samples, pictures_folder)
            elif pictures_folder and self.source.event.levels:
                white = self.source.event.levels - 1
                measure("pictures", draw_pictures, pictures_folder, model, test, samples, white, self.title)
        if true_moments := self.source.moments():
            drawn = measurement.attempt("moments", sample, model, _MOMENT_SAMPLES, batch_size)
            if drawn is not None:
                values |= moments(drawn.cpu(), *map(torch.tensor, true_moments))
        measure("speed", speed, model, test, budget.throughput_seconds, batch_size)

    def _on_grid(self, model: FlowModel, samples: torch.Tensor, pictures_folder: Path | None) -> dict[str, float]:
        """Integrals of a 2-D density, and its picture."""
        assert self.source.grid is not None
        grid = Grid(self.source.grid.low, self.source.grid.high, self.budget.grid)
        log_prob = grid.evaluate(lambda x: model.log_prob(x.to(self.device)).cpu())
        inside = ((samples > grid.low) & (samples < grid.high)).all(1)
        values = {
            "density_mass": float(np.exp(log_integral(log_prob, grid))),
            "outside_share": 1 - float(inside.double().mean()),
        }
        if self.source.is_energy:
            values["kl_to_target"] = kl_to_target(log_prob, grid.evaluate(self.source.log_energy), grid)
        if pictures_folder:
            square = (grid.size, grid.size)
            true_log_density = None
            if self.source.log_density(grid.points()[:1]) is not None:
                true_log_density = grid.evaluate(self.source.log_density).view(square).numpy()
            plotted.density(
                pictures_folder / "density.png",
                self.test,
                samples.cpu().numpy(),
                log_prob.view(square).numpy(),
                grid,
                true_log_density,
                self.title,
            )
            snapshots = self.folder / "trained" / "snapshots.npz"
            if snapshots.exists() and true_log_density is not None:
                arrays = np.load(snapshots, allow_pickle=False)
                plotted.film_strip(
                    pictures_folder / "training.png",
                    arrays["frames"],
                    arrays["steps"].tolist(),
                    np.exp(true_log_density),
                    grid,
                    f"{self.title}, while training",
                )
        return values
