"""The server's numbers in Prometheus's exposition format, or OpenMetrics where the scraper asks for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from isotherm.telemetry import Distributed, Measured

Numbers = Callable[[], Iterable[Measured | Distributed]]


class Exposition:
    """Args:
    numbers: gathers what there is now; called once a scrape.
    """

    def __init__(self, numbers: Numbers) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Gathered(numbers))

    def render(self, accept: str) -> tuple[bytes, str]:
        """The body, and its media type."""
        encoder, media_type = choose_encoder(accept)
        return encoder(self._registry), media_type


class _Gathered(Collector):
    def __init__(self, numbers: Numbers) -> None:
        self._numbers = numbers

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        for number in self._numbers():
            yield _distribution(number) if isinstance(number, Distributed) else _number(number)


def _number(number: Measured) -> Metric:
    names = _label_names(number.values)
    kind = CounterMetricFamily if number.kind == "counter" else GaugeMetricFamily
    family = kind(number.name, number.meaning, labels=names)
    for labels, value in number.values:
        family.add_metric([labels[name] for name in names], value)
    return family


def _distribution(number: Distributed) -> Metric:
    names = _label_names([(labels, total) for labels, _, total in number.values])
    family = HistogramMetricFamily(number.name, number.meaning, labels=names)
    bounds = [*(repr(float(bound)) for bound in number.bounds), "+Inf"]
    for labels, counts, total in number.values:
        buckets = list(zip(bounds, accumulate(float(count) for count in counts), strict=True))
        family.add_metric([labels[name] for name in names], buckets, total)
    return family


def _label_names(values: Sequence[tuple[object, float]]) -> list[str]:
    return list(values[0][0]) if values else []  # type: ignore[call-overload]
