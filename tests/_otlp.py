"""An OTLP receiver of the tests' own: what exporters send to it, span by span and point by point."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

REQUESTS = {"/v1/traces": ExportTraceServiceRequest, "/v1/metrics": ExportMetricsServiceRequest}


def plain(attributes: Any) -> dict[str, Any]:
    """OTLP's attributes as a dict."""
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in attributes}


class Receiver(ThreadingHTTPServer):
    """Listens on loopback while it is entered; `url` is the base address for exporters."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.requests: list[tuple[str, Any]] = []
        self._thread = threading.Thread(target=self.serve_forever, daemon=True)

    def __enter__(self) -> Receiver:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join()

    def spans(self, service: str = "") -> list[Any]:
        """Every span, of one service if that is named."""
        return [
            span
            for _, resource in self._resources("/v1/traces", service)
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def metrics(self, service: str = "") -> dict[str, list[Any]]:
        """The points of every metric by its name, as the latest export of a service has them."""
        latest = {plain(about.attributes).get("service.name"): found for about, found in self._metrics(service)}
        return {metric.name: list(points_of(metric)) for found in latest.values() for metric in found}

    def _metrics(self, service: str) -> Iterator[tuple[Any, list[Any]]]:
        for about, resource in self._resources("/v1/metrics", service):
            yield about, [metric for scope in resource.scope_metrics for metric in scope.metrics]

    def _resources(self, path: str, service: str) -> Iterator[tuple[Any, Any]]:
        for asked, body in list(self.requests):
            if asked == path:
                for resource in body.resource_spans if path == "/v1/traces" else body.resource_metrics:
                    if not service or plain(resource.resource.attributes).get("service.name") == service:
                        yield resource.resource, resource


def points_of(metric: Any) -> Any:
    """The data points of a metric of any kind."""
    return getattr(metric, metric.WhichOneof("data")).data_points


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.requests.append((self.path, REQUESTS[self.path].FromString(body)))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Says nothing."""
