"""What ``params.yaml`` may say: data sets, flows and budgets, which all suites share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from flowbench.config.documents import check_names, read
from flowbench.config.errors import ConfigError
from flowbench.config.places import PARAMS
from flowbench.config.sections import Section, parse

Rate = Annotated[float, Field(gt=0, le=1)]


class TrainBudget(Section):
    """How long and on what a cell is trained.

    Attributes:
        steps: optimiser steps.
        batch_size: examples per step, or samples of the model where an energy or a teacher is learnt.
        learning_rate, weight_decay: of Adam; the decay is added to the gradient.
        schedule: of the learning rate after the warm-up.
        warmup_steps: of linear warm-up of the learning rate.
        clip_norm: largest gradient norm; 0 for no clipping.
        ema_decay: of the exponential moving average of the weights, which is then validated and kept; 0 for none.
        precision: of the networks inside the maps while training; log-determinants stay in float32 or wider.
        compile: whether torch compiles the training step.
        horizontal_flips: whether each training image is mirrored with probability one half.
        validate_every: steps between two looks at the validation split; the best weights seen are kept.
        patience: the training ends after this many looks in a row that found no better weights; null for none. With it
            ``steps`` is the most that there can be.
        validation_examples: this many examples, the first of the validation split, are looked at; null for all.
        anneal_steps: for energies and students, β = min(1, 0.01 + step / anneal_steps).
        snapshot_every: steps between two snapshots for pictures; null for a few dozen in all.
        threads: CPU threads of one training, fixed because results can depend on it.
    """

    steps: PositiveInt
    batch_size: PositiveInt
    learning_rate: Rate = 1e-3
    weight_decay: NonNegativeFloat = 0.0
    schedule: Literal["constant", "cosine"] = "cosine"
    warmup_steps: NonNegativeInt = 0
    clip_norm: NonNegativeFloat = 0.0
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.0
    precision: Literal["float32", "bfloat16"] = "float32"
    compile: bool = False
    horizontal_flips: bool = False
    validate_every: PositiveInt = 250
    patience: PositiveInt | None = None
    validation_examples: PositiveInt | None = None
    anneal_steps: PositiveInt = 10_000
    snapshot_every: PositiveInt | None = None
    threads: PositiveInt = 1


class EvaluateBudget(Section):
    """How precisely a trained cell is measured.

    Attributes:
        batch_size: examples per pass.
        test_examples: this many examples, the first of the test split, are measured; null for all.
        noise_draws: dequantisation draws per test example that the log-likelihood is averaged over.
        samples: size of the sample that is compared with the test split and drawn in pictures.
        invertibility_points: test examples, prior samples and noise points for the round trips.
        logdet_points: test examples whose Jacobian autograd computes; 0 for none.
        grid: cells along each side of the square on which 2-D densities are drawn and integrated.
        throughput_seconds: seconds that each throughput is measured for.
        pictures: whether any are drawn, which takes longer than measuring a small cell.
    """

    batch_size: PositiveInt = 4096
    test_examples: PositiveInt | None = None
    noise_draws: PositiveInt = 10
    samples: PositiveInt = 5000
    invertibility_points: PositiveInt = 5000
    logdet_points: NonNegativeInt = 16
    grid: PositiveInt = 300
    throughput_seconds: Annotated[float, Field(gt=0)] = 0.25
    pictures: bool = True


class Budget(Section):
    """How long a cell is trained, and how precisely it is measured."""

    train: TrainBudget
    evaluate: EvaluateBudget = EvaluateBudget()


class Params(Section):
    """The whole of ``params.yaml``: options of data sources, of flows by configuration, and budgets."""

    data: dict[str, dict[str, Any]]
    flows: dict[str, dict[str, dict[str, Any]]]
    budgets: dict[str, Budget]


def load(path: Path = PARAMS) -> Params:
    """Read and check ``params.yaml``; a `ConfigError` says what is wrong with it."""
    params = parse(Params, read(path), str(PARAMS))
    check_names(params.data, f"{PARAMS}: data")
    check_names(params.flows, f"{PARAMS}: flows")
    for flow, configurations in params.flows.items():
        check_names(configurations, f"{PARAMS}: flows.{flow}")
    check_names(params.budgets, f"{PARAMS}: budgets")
    return params


def load_here() -> Params:
    """`load` of the working directory, for commands; a `ConfigError` says where they belong."""
    if not PARAMS.is_file():
        raise ConfigError(f"{PARAMS}: is not in this folder; run it in the repository's root")
    return load()
