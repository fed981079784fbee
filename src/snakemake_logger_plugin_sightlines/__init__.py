"""Snakemake's way to find the console: it looks for packages whose names begin like this one's.

`profiles/default/config.yaml` asks for it (`logger: sightlines`); all of it is in
`sightlines.console`. Snakemake imports every such package at its start, also in a checkout whose
`sightlines` is an older one: there it speaks as it does without this package.
"""

import sys
from logging import Handler, LogRecord
from typing import Any

from snakemake.logging import ColorizingTextHandler, DefaultFilter, DefaultFormatter
from snakemake_interface_logger_plugins.base import LogHandlerBase


class LogHandler(LogHandlerBase):
    """Log handler `sightlines`: the console's, where the checkout has one."""

    def __post_init__(self) -> None:
        """Find who speaks."""
        try:
            from sightlines.console.handler import console
        except ModuleNotFoundError:
            self._speaker: Any = as_always(self.common_settings)
        else:
            self._speaker = console(self.common_settings) or as_always(self.common_settings)

    def emit(self, record: LogRecord) -> None:
        """Hand one record on."""
        self._speaker.handle(record)

    def close(self) -> None:
        """The run is over."""
        self._speaker.close()
        super().close()

    @property
    def writes_to_stream(self) -> bool:
        """It speaks in place of Snakemake's own handler."""
        return True

    @property
    def writes_to_file(self) -> bool:
        """Snakemake keeps its log file beside."""
        return False

    @property
    def has_filter(self) -> bool:
        """It sees every record."""
        return True

    @property
    def has_formatter(self) -> bool:
        """It words everything itself."""
        return True

    @property
    def needs_rulegraph(self) -> bool:
        """It does not."""
        return False


def as_always(settings: Any) -> Handler:
    """Snakemake's own handler, as it is without this package.

    Args:
        settings: Snakemake's settings of its output.
    """
    handler: Handler = ColorizingTextHandler(
        nocolor=settings.nocolor,
        stream=sys.stdout if settings.stdout else sys.stderr,
        formatter=DefaultFormatter(settings.quiet, settings.show_failed_logs),
        filter=DefaultFilter(
            settings.quiet,
            settings.debug_dag,
            settings.verbose,
            settings.dryrun,
            settings.printshellcmds,
        ),
    )
    return handler
