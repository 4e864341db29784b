"""Published data that one of several places has: a mirror, or a public host."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

from flowbench.data import DataError, Source
from flowbench.runtime.mirror import MIRROR

log = logging.getLogger(__name__)


class DownloadedSource(Source):
    """Published data that must be downloaded."""

    def places(self) -> Iterator[tuple[str, Callable[[], Any]]]:
        """The URL of each place that may have the data, with a function that reads it. They are tried in order."""
        raise NotImplementedError(f"{type(self).__name__} does not say where its data are")

    def from_places(self) -> Any:
        """What the first place gives that has the data.

        Raises:
            DataError: no place has them. The message says for each place what was expected and what was found.
        """
        failures = []
        for url, read in self.places():
            log.info("%s: trying %s", self.name, url)
            try:
                found = read()
            except (DataError, OSError) as error:
                log.warning("%s: %s", self.name, error)
                failures.append(f"\n- {url}\n  {error}")
            else:
                log.info("%s: read from %s", self.name, url)
                return found
        raise DataError(f"{self.name}: no place has it; {MIRROR} may name another:{''.join(failures)}")
