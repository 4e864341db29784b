"""The numbers in a pickled data frame, read without running anything that the pickle asks for.

pandas cannot read frames as old as those of 2017 any more, and to unpickle is to run code.
"""

import pickletools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

_MARK = object()
_LENGTHS = {"EMPTY_TUPLE": 0, "TUPLE": None, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_RECONSTRUCT = ("numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct")


@dataclass
class Inert:
    """What a pickle would call or make: the full name, the arguments and the state, and nothing else."""

    name: str
    args: Any = ()
    state: Any = None


def read_frame(content: bytes) -> dict[str, np.ndarray]:
    """The columns of a data frame, by their names, ``(rows,)`` each, as pandas 0.14 to 1.2 pickled them.

    Raises:
        ValueError: the content is no such pickle.
    """
    try:
        return _columns(_find(load(content), ".BlockManager").state[3]["0.14.1"])
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise ValueError(f"no pickle of a data frame as an old pandas makes it: {error!r}") from error


def load(content: bytes) -> Any:
    """What a pickle holds, with `Inert` where it asks for anything but lists, tuples, dictionaries and scalars.

    Raises:
        ValueError: the content is no pickle, or has an instruction that pickled frames have no need of. Instructions
            that do not fit together raise other errors.
    """
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    argument: Any
    for opcode, argument, _ in pickletools.genops(content):
        match opcode.name:
            case "PROTO" | "FRAME":
                pass
            case "STOP":
                return stack[-1]
            case "MARK":
                stack.append(_MARK)
            case "GLOBAL":
                stack.append(Inert(argument.replace(" ", ".")))
            case "STACK_GLOBAL":
                name = stack.pop()
                stack.append(Inert(f"{stack.pop()}.{name}"))
            case "REDUCE" | "NEWOBJ":
                arguments = stack.pop()
                stack.append(_made(stack.pop().name, arguments))
            case "BUILD":
                state = stack.pop()
                stack[-1].state = state
            case "EMPTY_TUPLE" | "TUPLE" | "TUPLE1" | "TUPLE2" | "TUPLE3":
                stack.append(tuple(_popped(stack, _LENGTHS[opcode.name])))
            case "EMPTY_LIST" | "LIST":
                stack.append(_popped(stack, 0 if opcode.name == "EMPTY_LIST" else None))
            case "EMPTY_DICT" | "DICT":
                stack.append(_pairs(_popped(stack, 0 if opcode.name == "EMPTY_DICT" else None)))
            case "APPEND" | "APPENDS":
                items = _popped(stack, 1 if opcode.name == "APPEND" else None)
                stack[-1].extend(items)
            case "SETITEM" | "SETITEMS":
                items = _popped(stack, 2 if opcode.name == "SETITEM" else None)
                stack[-1].update(_pairs(items))
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "GET" | "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "NONE":
                stack.append(None)
            case "NEWTRUE" | "NEWFALSE":
                stack.append(opcode.name == "NEWTRUE")
            case name if opcode.stack_before == [] and len(opcode.stack_after) == 1 and "PERSID" not in name:
                stack.append(argument)  # a number, a text or bytes
            case name:
                raise ValueError(f"a pickle with the instruction {name}")
    raise ValueError("a pickle that is cut short")


def _made(name: str, arguments: Any) -> Any:
    """What a call gives: bytes, which Python 3 writes as a call in old protocols, or an `Inert`."""
    return arguments[0].encode("latin-1") if name == "_codecs.encode" else Inert(name, arguments)


def _popped(stack: list, count: int | None) -> list:
    """The last ``count`` entries of a stack, taken from it; those above the mark if it is ``None``."""
    start = len(stack) - count if count is not None else len(stack) - 1 - stack[::-1].index(_MARK)
    found = stack[start:]
    del stack[start:]
    return found if count is not None else found[1:]


def _pairs(items: list) -> dict:
    return dict(zip(items[::2], items[1::2], strict=True))


def _find(value: Any, name: str) -> Inert:
    """The first thing in ``value`` whose name ends in ``name``."""
    waiting = [value]
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, Inert):
            if one.name.endswith(name):
                return one
            waiting += [one.args, one.state]
        elif isinstance(one, dict):
            waiting += one.values()
        elif isinstance(one, list | tuple):
            waiting += one
    raise ValueError(f"no pickle of {name}")


def _columns(manager: dict) -> dict[str, np.ndarray]:
    """The columns of pandas' blocks, each of which holds some of them as its rows."""
    names = [str(name) for name in _array(manager["axes"][0].args[1]["data"])]
    found: dict[str, np.ndarray] = {}
    for block in manager["blocks"]:
        where = block["mgr_locs"]
        places = range(len(names))[slice(*where.args)] if where.name.endswith(".slice") else _array(where)
        found |= {names[place]: row for place, row in zip(places, _array(block["values"]), strict=True)}
    return {name: found[name] for name in names}


def _array(pickled: Inert) -> np.ndarray:
    """An array of numbers or of texts."""
    if pickled.name not in _RECONSTRUCT:
        raise ValueError(f"{pickled.name} in the place of an array")
    _, shape, kind, by_columns, content = pickled.state
    if isinstance(content, Sequence) and not isinstance(content, str | bytes):
        return np.array(content, object).reshape(shape)
    content = content.encode("latin-1") if isinstance(content, str) else content
    dtype = np.dtype(kind.args[0])
    if dtype.hasobject:
        raise ValueError("an array of objects without objects")
    if kind.state[1] in "<>":
        dtype = dtype.newbyteorder(kind.state[1])
    return np.frombuffer(content, dtype).reshape(shape, order="F" if by_columns else "C")
