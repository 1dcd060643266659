"""What a process tells of itself: logs as JSON lines, and counts and times of requests for Prometheus.

Never a person: no exception's text (a database's error quotes the row), no argument of another library's log
line, no address with its ids. Metrics are shared by all processes of one machine through files in a folder.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import time
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from varde.settings import Settings

METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The variable by which prometheus-client finds the folder; it is read when the library is imported."""
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_FRAMES = 8


def configure_logging(settings: Settings, process: str) -> None:
    """JSON lines on standard error, each with the name of the process: web, worker…"""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        without_texts,
        structlog.processors.JSONRenderer(),
    ]
    structlog.configure(
        processors=shared,
        wrapper_class=structlog.make_filtering_bound_logger(settings.log_level.upper()),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(process=process, pid=os.getpid())
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Foreign())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


def without_texts(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """An exception as its type and where it was raised; its text could hold a person's data."""
    raised = event.pop("exc_info", None)
    if raised is True:
        raised = sys.exc_info()
    error = raised[1] if isinstance(raised, tuple) else raised
    if isinstance(error, BaseException):
        event["fault"] = type(error).__name__
        event["where"] = where(error)
    return event


def where(error: BaseException) -> list[str]:
    """The innermost lines through which an exception came."""
    trace, frames = error.__traceback__, []
    while trace is not None:
        code = trace.tb_frame.f_code
        frames.append(f"{Path(code.co_filename).name}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return frames[-_FRAMES:]


class _Foreign(logging.Formatter):
    """Log lines of other libraries: their own words without what was filled in."""

    def format(self, record: logging.LogRecord) -> str:
        event: dict[str, Any] = {
            "event": str(record.msg).partition("\n")[0],
            "logger": record.name,
            "level": record.levelname.lower(),
            "process": structlog.contextvars.get_contextvars().get("process", ""),
            "pid": record.process,
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "exc_info": record.exc_info,
        }
        return str(structlog.processors.JSONRenderer()(None, "", dict(without_texts(None, "", event))))


def share_metrics(folder: Path) -> None:
    """Let this process and those it starts keep their metrics in `folder`. Before prometheus-client is imported."""
    folder.mkdir(parents=True, exist_ok=True)
    os.environ[METRICS_FOLDER] = str(folder)


def forget_metrics(folder: Path) -> None:
    """Begin all counts anew: before the first process of a start."""
    shutil.rmtree(folder, ignore_errors=True)


class Requests:
    """Counts and times of one process's requests, by route template, method and class of status."""

    def __init__(self) -> None:
        from prometheus_client import Histogram

        self._seconds = Histogram(
            "varde_request_seconds",
            "Time from a request's head to the end of its answer",
            ("route", "method", "status"),
            buckets=_BUCKETS,
        )
        self._known: dict[tuple[str, str, int], Any] = {}

    def observe(self, route: str, method: str, status: int, seconds: float) -> None:
        """One request that has been answered. `route` is a template: never an address with ids."""
        key = (route, method, status // 100)
        found = self._known.get(key)
        if found is None:
            known_method = method if method in _METHODS else "other"
            found = self._known[key] = self._seconds.labels(route, known_method, f"{status // 100}xx")
        found.observe(seconds)


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def exposition(gauges: Mapping[str, tuple[str, Mapping[tuple[tuple[str, str], ...], float]]]) -> bytes:
    """All processes' metrics in Prometheus' text form, with `gauges` (name -> help, values by labels) read now."""
    from prometheus_client import REGISTRY, CollectorRegistry, generate_latest, multiprocess

    registry, read_now = REGISTRY, CollectorRegistry()
    if os.environ.get(METRICS_FOLDER):
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    for name, (text, values) in gauges.items():
        names = [label for label, _ in next(iter(values), ())]
        gauge = _Plain(name, text, names)
        for labels, value in values.items():
            gauge.add([word for _, word in labels], value)
        read_now.register(gauge)
    return generate_latest(registry) + generate_latest(read_now)


class _Plain:
    """Values that were read just now, as a collector: a gauge of the library would be kept in the folder."""

    def __init__(self, name: str, text: str, labels: list[str]) -> None:
        from prometheus_client.core import GaugeMetricFamily

        self._family = GaugeMetricFamily(name, text, labels=labels)

    def add(self, labels: list[str], value: float) -> None:
        self._family.add_metric(labels, value)

    def collect(self) -> Any:
        yield self._family
