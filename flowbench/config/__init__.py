"""What ``params.yaml`` may say, checked before anything runs.

Light on purpose: importing this module loads neither torch nor any flow.
"""

from __future__ import annotations

import difflib
import inspect
import json
import re
import reprlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveInt,
    PydanticSchemaGenerationError,
    TypeAdapter,
    ValidationError,
    create_model,
)

from flowbench.config.sources import file_of

PARAMS = Path("params.yaml")
# Flows that learn from a trained cell instead of from data, and the flow of that cell.
TEACHERS = {"iaf_distilled": "maf"}
Rate = Annotated[float, Field(gt=0, le=1)]
# dvc.yaml puts names into paths, into commands of a shell and between dots as they are.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")


class ConfigError(ValueError):
    """A mistake in ``params.yaml``: one line with the file, the key, the value and what would be right."""

    def __init__(self, message: str):
        # A name may hold what ends a line.
        super().__init__("".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in message))


class _Loader(yaml.SafeLoader):
    """YAML that reads ``1e-3`` as a number, as DVC's YAML 1.2 does and PyYAML's 1.1 does not."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """As PyYAML does it, which lets a value such as ``2026-13-45`` or ``!!bool x`` raise what it will."""
        try:
            return super().construct_object(node, deep)
        except (yaml.YAMLError, RecursionError):
            raise
        except Exception as error:
            value = reprlib.repr(node.value)
            raise yaml.constructor.ConstructorError(None, None, f"{value}: {error}", node.start_mark) from None


_Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"[-+]?\d+[eE][-+]?\d+$"), list("-+0123456789"))


class Section(BaseModel):
    """A mapping in ``params.yaml``: unknown keys and values of the wrong type are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


def _distinct(values: list[int]) -> list[int]:
    if len(set(values)) < len(values):
        raise ValueError("must not hold a value twice")
    return values


class TrainBudget(Section):
    """How long and on what a cell is trained.

    Attributes:
        steps: optimiser steps.
        batch_size: examples per step, or samples of the model where an energy is learnt.
        seeds: one training each.
        learning_rate, weight_decay: of Adam, the decay added to the gradient.
        schedule: of the learning rate after the warm-up.
        warmup_steps: of linear warm-up of the learning rate.
        clip_norm: largest gradient norm; 0 for no clipping.
        ema_decay: of the exponential moving average of the weights, which is what is validated and kept; 0 for none.
        precision: of the networks inside the maps while training; log-determinants stay in float32 or wider.
        compile: whether torch compiles the training step.
        horizontal_flips: whether each training image is mirrored with probability one half.
        validate_every: steps between two looks at the validation split; the best weights seen are kept.
        validation_examples: so many of the validation split, its first, are looked at; null for all.
        anneal_steps: for energies and students, β = min(1, 0.01 + step / anneal_steps).
        snapshot_every: for energies, steps between two pictures of the learnt density.
        device: ``auto`` takes a GPU where there is one; a named kind is refused where it is missing.
        threads: CPU threads of one training, fixed because results can depend on it.
    """

    steps: PositiveInt
    batch_size: PositiveInt
    seeds: Annotated[list[NonNegativeInt], Field(min_length=1), AfterValidator(_distinct)]
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
    validation_examples: PositiveInt | None = None
    anneal_steps: PositiveInt = 10_000
    snapshot_every: PositiveInt = 200
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: PositiveInt = 1


class EvaluateBudget(Section):
    """How precisely a trained cell is measured.

    Attributes:
        batch_size: examples per pass.
        test_examples: so many of the test split, its first, are measured; null for all.
        noise_draws: dequantisation draws per test example that the log-likelihood is averaged over.
        samples: size of the sample that is compared with the test split and drawn in pictures.
        invertibility_points: test examples, prior samples and noise points for the round trips.
        logdet_points: test examples whose Jacobian autograd computes; 0 for none.
        grid: cells along each side of the square on which 2-D densities are drawn and integrated.
        throughput_seconds: seconds that each throughput is measured for.
    """

    batch_size: PositiveInt = 4096
    test_examples: PositiveInt | None = None
    noise_draws: PositiveInt = 10
    samples: PositiveInt = 5000
    invertibility_points: PositiveInt = 5000
    logdet_points: NonNegativeInt = 16
    grid: PositiveInt = 300
    throughput_seconds: Annotated[float, Field(gt=0)] = 0.25


class Budget(Section):
    train: TrainBudget
    evaluate: EvaluateBudget


class Cell(Section):
    """One flow, in one configuration, on one data set, under one budget."""

    data: str
    flow: str
    config: str
    budget: str


class Student(Cell):
    """A cell that learns from another one of its suite, seed from seed."""

    teacher: str


class Suite(Section):
    """A named set of cells and the data sets that they need.

    Students stand apart, since DVC has no dependencies that only some cells of a stage have.
    """

    name: str
    about: str
    data: list[str]
    cells: dict[str, Cell]
    students: dict[str, Student]

    @property
    def all_cells(self) -> dict[str, Cell]:
        """The cells by key, students last."""
        return self.cells | self.students


class Params(Section):
    """The whole of ``params.yaml``."""

    data: dict[str, dict[str, Any]]
    flows: dict[str, dict[str, dict[str, Any]]]
    budgets: dict[str, Budget]
    suites: dict[str, Suite]
    active: Suite

    def cell(self, key: str) -> Cell:
        """The active cell called ``key``, which may be a student."""
        cells = self.active.all_cells
        return cells[known(key, cells, "active.cells", "cell of the active suite")]

    def options(self, cell: Cell) -> dict[str, Any]:
        """The hyperparameters of a cell's flow."""
        return self.flows[cell.flow][cell.config]


def label(suite: str, key: str, data: str) -> str:
    """What a cell's row is called beside the others on its data: the flow, and what sets it apart.

    A cell's key is ``<data>-<label>``, with ``<suite>-`` in front where the plain key is another suite's.
    """
    return key.removeprefix(f"{suite}-").removeprefix(f"{data}-")


def load(path: Path = PARAMS) -> Params:
    """Read and check ``params.yaml``; a `ConfigError` says what is wrong with it."""
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: is not YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise ConfigError(f"{path}: is nested too deeply") from None
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: must be a mapping with the keys {', '.join(Params.model_fields)}")
    params = parse(Params, document, "")
    _check_names(params)
    for suite in {suite.name: suite for suite in (*params.suites.values(), params.active)}.values():
        _check_suite(params, suite)
    for name, suite in params.suites.items():
        if suite.name != name:
            raise ConfigError(f"{PARAMS}: suites.{name}.name = {suite.name!r}: must be {name!r}")
    if params.active != params.suites.get(params.active.name):
        raise ConfigError(f"{PARAMS}: active: must be an alias of one of the suites, such as *laptop")
    return params


def load_here() -> Params:
    """`load` of the working directory, for commands; a `ConfigError` says where they belong."""
    if not PARAMS.is_file():
        raise ConfigError(f"{PARAMS}: is not in this folder; run it in the repository's root")
    return load()


def parse(model: type[BaseModel], values: Any, where: str) -> Any:
    """``values`` as ``model``; the first mistake as a `ConfigError` that names its key below ``where``."""
    try:
        # As JSON, whose types are YAML's: a strict model then takes an array for a tuple, but still no "3" for 3.
        text = json.dumps(values, default=str)
    except (TypeError, ValueError, RecursionError) as error:  # a key that is a date, or a list that holds itself
        raise ConfigError(f"{PARAMS}: {where or 'top level'}: {error}") from None
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        first = min(error.errors(), key=lambda one: one["type"] == "missing")  # a misspelt key is a missing one too
        if first["type"] == "json_invalid":  # half a character, for instance; the input would be all that there is
            raise ConfigError(f"{PARAMS}: {where or 'top level'}: {first['msg']}") from None
        key = ".".join(filter(None, [where, *map(str, first["loc"])]))
        if first["type"] == "extra_forbidden":
            known(
                str(first["loc"][-1]),
                _fields_at(model, first["loc"][:-1]),
                key.rpartition(".")[0] or "top level",
                "key",
            )
        if first["type"] == "missing":
            raise ConfigError(f"{PARAMS}: {key}: is missing") from None
        raise ConfigError(
            f"{PARAMS}: {key} = {first['input']!r}: {first['msg'][0].lower()}{first['msg'][1:]}"
        ) from None


def check_options(function: Callable, options: dict[str, Any], where: str) -> dict[str, Any]:
    """``options`` for the keyword-only parameters of ``function``, its defaults filled in.

    The annotations say what is right, as in `Section`; a mistake is a `ConfigError` that names its key below
    ``where``, or the file of ``function`` if an option has no usable type. Positional parameters are no options: the
    caller gives them.
    """
    fields: dict[str, Any] = {
        name: _option(function, name, parameter) for name, parameter in _keywords(function).items()
    }
    return dict(parse(create_model("Options", __base__=Section, **fields), options, where))


def _keywords(function: Callable) -> dict[str, inspect.Parameter]:
    """The keyword-only parameters of ``function``, their annotations evaluated."""
    try:
        parameters = inspect.signature(function, eval_str=True).parameters
    except Exception as error:  # an annotation is an expression, which may raise anything
        name = function.__name__
        raise ConfigError(
            f"{file_of(function)}: a type of an option of {name}() cannot be evaluated: {error}"
        ) from None
    return {name: parameter for name, parameter in parameters.items() if parameter.kind is parameter.KEYWORD_ONLY}


def _option(function: Callable, name: str, parameter: inspect.Parameter) -> tuple[Any, Any]:
    """The type and the default of an option; a `ConfigError` if it has no type, or one that no YAML can hold."""
    option = f"{file_of(function)}: the option {name!r} of {function.__name__}()"
    if parameter.annotation is parameter.empty:
        raise ConfigError(f"{option} needs a type, such as {name}: int")
    try:
        TypeAdapter(parameter.annotation)
    except PydanticSchemaGenerationError:
        raise ConfigError(f"{option} has a type that {PARAMS} cannot hold: {parameter.annotation}") from None
    return parameter.annotation, ... if parameter.default is parameter.empty else parameter.default


def known(name: str, choices: Iterable[str], where: str, kind: str) -> str:
    """``name`` if it is among ``choices``; else a `ConfigError` with the nearest of them."""
    if name in (choices := list(choices)):
        return name
    raise ConfigError(f"{PARAMS}: {where} = {name!r}: no such {kind}; {_hint(name, choices)}")


def known_argument(name: str, choices: Iterable[str], kind: str) -> str:
    """A command's argument ``name`` if it is among ``choices``; else a `ConfigError` with the nearest of them."""
    if name in (choices := list(choices)):
        return name
    raise ConfigError(f"argument {name!r}: no such {kind}; {_hint(name, choices)}")


def _hint(name: str, choices: Iterable[str]) -> str:
    """What may have been meant by ``name``."""
    choices = sorted(set(choices))
    near = difflib.get_close_matches(name, choices, n=1, cutoff=0.4)
    return f"did you mean {near[0]!r}?" if near else f"choose from {', '.join(choices) or 'nothing'}"


def _fields_at(model: Any, location: tuple) -> list[str]:
    """Names of the fields of the model that lies at ``location`` within ``model``."""
    for step in location:
        field = getattr(model, "model_fields", {}).get(step)
        annotation = field.annotation if field else model
        arguments = [a for a in getattr(annotation, "__args__", ()) if isinstance(a, type)]
        model = arguments[-1] if arguments else annotation
    return list(getattr(model, "model_fields", {}))


def _check_names(params: Params) -> None:
    """No name is more than a name to a shell or in a path."""
    places: dict[str, Iterable[str]] = {"data": params.data, "flows": params.flows}
    places |= {f"flows.{flow}": configurations for flow, configurations in params.flows.items()}
    places |= {"budgets": params.budgets, "suites": params.suites}
    for name, suite in params.suites.items():
        places |= {f"suites.{name}.cells": suite.cells, f"suites.{name}.students": suite.students}
    for where, names in places.items():
        for name in names:
            if not _NAME.fullmatch(name):
                raise ConfigError(
                    f"{PARAMS}: {where} = {name!r}: is no name; choose one of the letters A to Z and a to z, digits, "
                    "_ and -, which does not begin with -"
                )


def _check_suite(params: Params, suite: Suite) -> None:
    """Every name in a suite exists, its keys follow the rule, and a key means one cell in all suites."""
    where = f"suites.{suite.name}"
    for data in suite.data:
        known(data, params.data, f"{where}.data", "data set")
    for key in suite.cells.keys() & suite.students.keys():
        raise ConfigError(f"{PARAMS}: {where}.students.{key}: {where}.cells has a cell of that key")
    for key, cell in suite.cells.items():
        _check_cell(params, suite, key, cell, f"{where}.cells.{key}")
        if cell.flow in TEACHERS:
            raise ConfigError(
                f"{PARAMS}: {where}.cells.{key}.flow = {cell.flow!r}: learns from a teacher; "
                f"put the cell under {where}.students"
            )
    for key, student in suite.students.items():
        at = f"{where}.students.{key}"
        _check_cell(params, suite, key, student, at)
        _check_teacher(params, suite, student, at)


def _check_cell(params: Params, suite: Suite, key: str, cell: Cell, at: str) -> None:
    known(cell.data, params.data, f"{at}.data", "data set")
    known(cell.flow, params.flows, f"{at}.flow", "flow")
    known(cell.config, params.flows[cell.flow], f"{at}.config", f"configuration of {cell.flow}")
    known(cell.budget, params.budgets, f"{at}.budget", "budget")
    if cell.data not in suite.data:
        raise ConfigError(f"{PARAMS}: {at}.data = {cell.data!r}: is not listed in suites.{suite.name}.data")
    if not label(suite.name, key, cell.data).startswith(cell.flow):
        raise ConfigError(
            f"{PARAMS}: {at}: the key must begin with {cell.data}-{cell.flow}, or {suite.name}-{cell.data}-{cell.flow}"
        )
    for other in params.suites.values():
        if other.all_cells.get(key, cell) != cell:
            raise ConfigError(f"{PARAMS}: {at}: {other.name} has another cell of that key; put {suite.name}- in front")


def _check_teacher(params: Params, suite: Suite, student: Student, at: str) -> None:
    """A student's teacher can teach it."""
    known(student.flow, TEACHERS, f"{at}.flow", "flow that learns from a teacher")
    teacher = suite.cells[known(student.teacher, suite.cells, f"{at}.teacher", f"cell in suites.{suite.name}.cells")]
    wrong = f"{PARAMS}: {at}.teacher = {student.teacher!r}"
    if teacher.flow != TEACHERS[student.flow]:
        raise ConfigError(f"{wrong}: is a {teacher.flow}; choose a {TEACHERS[student.flow]}")
    if teacher.data != student.data:
        raise ConfigError(f"{wrong}: learns {teacher.data}; choose a cell on {student.data}")
    seeds, taught = (params.budgets[cell.budget].train.seeds for cell in (teacher, student))
    if missing := sorted(set(taught) - set(seeds)):
        raise ConfigError(f"{wrong}: has the seeds {seeds} and not {missing}, which budgets.{student.budget} asks for")
