"""What all tests share: one thread each, a seed, no window, and no setting of the user's that is read or written."""

import gc
import json
import os
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

# Set before torch is imported. Results must not depend on the number of threads, and few cores are shared.
os.environ |= {"OMP_NUM_THREADS": "1", "MPLBACKEND": "agg", "DO_NOT_TRACK": "true"}
os.environ.pop("MLFLOW_TRACKING_URI", None)

# Tests that commit in a repository of their own need a name, and must not depend on the user's.
for role in ("AUTHOR", "COMMITTER"):
    os.environ |= {f"GIT_{role}_NAME": "flowbench", f"GIT_{role}_EMAIL": "flowbench@example.org"}

# The same examples in each run, without a limit of time that a busy machine would exceed.
settings.register_profile("flowbench", derandomize=True, deadline=None, max_examples=25)
settings.register_profile("long", derandomize=True, deadline=None, max_examples=1000)
settings.load_profile("flowbench")

SURVIVED = pytest.StashKey[Counter]()


def pytest_addoption(parser):
    parser.addoption(
        "--record-survived",
        type=Path,
        metavar="FILE",
        help="write how many kills, faults and inputs were survived, if all tests pass",
    )


# Groups of tests that share what takes long to make: a clone, a run of the smoke suite, a server of warm stages, pages
# with their figures, and the cells of `tiny`. Of two groups that fit, the first counts.
TUTORIAL = "tests/test_docs.py::test_the_tutorial_adds_a_flow_in_under_40_lines"
TOGETHER = (
    ("tests/pipeline/test_adding.py",),
    ("tests/pipeline/", "tests/bench/", "tests/faults/test_servers.py", TUTORIAL),
    ("tests/report/views/test_browser.py",),
    ("tests/evaluation/", "tests/training/", "tests/test_export.py", "tests/faults/test_signals.py"),
)


class Together(LoadScopeScheduling):
    """Tests go to the next process that is free; those of each group go to one process.

    xdist's own marks for groups do nothing with pytest 9.2 (pytest-dev/pytest-xdist#1386).
    """

    def _split_scope(self, nodeid: str) -> str:
        return next((group[0] for group in TOGETHER if nodeid.startswith(group)), nodeid)


def pytest_xdist_make_scheduler(config, log):
    return Together(config, log)


def pytest_configure(config):
    gc.disable()  # until all tests are collected
    config.stash[SURVIVED] = Counter()


def pytest_collection_modifyitems(items):
    for item in items:
        if "survived" in item.fixturenames:
            item.add_marker(pytest.mark.survival)


def pytest_collection_finish():
    """What is imported and collected stays to the end, so that the collector of garbage need not look at it again.

    Looking at a million objects again and again takes a sixth of the time of small tests.
    """
    gc.collect()
    gc.freeze()
    gc.enable()


def pytest_make_parametrize_id(config, val, argname):
    """Bytes are no name of a test: an archive holds the time of day, and all processes must collect the same tests."""
    return argname if isinstance(val, bytes) else None


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """A test draws the same numbers alone and after others, its fixtures as well."""
    import torch  # not before the threads are set; and `pytest --help` need not wait

    if not torch.accelerator.is_available():
        # The usual one keeps three traces of the stack for accelerators that may start later: 3 ms at each call.
        torch.manual_seed = torch.default_generator.manual_seed
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def survived(request) -> Callable[..., None]:
    """Count what was survived, after it was asserted: ``survived("kills", 10)``.

    Its kinds: ``kills``, ``faults`` (of the surroundings: a server, a disk, a file) and ``inputs`` (of fuzzing).
    """

    def count(kind: str, number: int = 1) -> None:
        assert kind in ("kills", "faults", "inputs")
        request.config.stash[SURVIVED][kind] += number

    return count


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """The suite of `tests.tiny_cells`: its cells are trained and measured once, and no test changes them."""
    from tests.tiny_cells import Tiny

    return Tiny(tmp_path_factory.mktemp("tiny"))


def pytest_testnodedown(node):
    """Add what one of several processes has counted; one that died tells nothing."""
    node.config.stash[SURVIVED].update(getattr(node, "workeroutput", {}).get("survived", {}))


def pytest_sessionfinish(session, exitstatus):
    gc.unfreeze()
    if warm := sys.modules.get("tests.warm"):
        warm.close()
    config = session.config
    counted = config.stash[SURVIVED]
    if hasattr(config, "workeroutput"):
        config.workeroutput["survived"] = dict(counted)  # for the process that started this one
    elif exitstatus == pytest.ExitCode.OK and (path := config.option.record_survived):
        reporter = config.pluginmanager.get_plugin("terminalreporter")
        if left_out := _left_out(config, reporter.stats.get("skipped", [])):
            reporter.write_line(f"\n{path}: stays as it was, since {left_out}")
        else:
            path.write_text(json.dumps(counted, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _left_out(config, skipped):
    """Why what was counted is not all; empty if it is."""
    if config.option.keyword or config.args_source == config.ArgsSource.ARGS:
        return "only a part of the tests was chosen"
    names = [report.nodeid for report in skipped if "survival" in report.keywords]
    return f"tests were skipped: {', '.join(names)}" if names else ""
