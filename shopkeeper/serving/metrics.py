"""What Prometheus may read of a running server.

Labels are route templates, placements and outcomes, never what a shopper typed, so their number
is bounded and nothing personal is told.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

LATENCY_S = (0.001, 0.0025, 0.005, 0.01, 0.015, 0.025, 0.035, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Metrics:
    """The counters of one server; two servers in one process do not share them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.latency_s = Histogram(
            "shopkeeper_request_seconds",
            "Time to answer, by route template.",
            ("method", "route", "status"),
            buckets=LATENCY_S,
            registry=self.registry,
        )
        self.events = Counter(
            "shopkeeper_events",
            "Posted events by what became of them: accepted or duplicate.",
            ("outcome",),
            registry=self.registry,
        )
        self.results = Counter(
            "shopkeeper_results",
            "Products shown, by the place that showed them.",
            ("place",),
            registry=self.registry,
        )
        self.empty = Counter(
            "shopkeeper_empty_answers",
            "Answers without a product, by place.",
            ("place",),
            registry=self.registry,
        )
        self.running = Gauge(
            "shopkeeper_requests_running",
            "Requests being answered now.",
            registry=self.registry,
        )

    def answered(self, place: str, num_results: int) -> None:
        """Count one page of products."""
        self.results.labels(place).inc(num_results)
        if not num_results:
            self.empty.labels(place).inc()

    def took(self, accepted: int, duplicates: int) -> None:
        """Count posted events."""
        self.events.labels("accepted").inc(accepted)
        self.events.labels("duplicate").inc(duplicates)

    def text(self) -> bytes:
        """Return all of it in the format that Prometheus reads."""
        return generate_latest(self.registry)
