"""OpenTelemetry spans: one for each transition, with what is needed to find the instance again."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
from opentelemetry.trace import Span, Status, StatusCode, Tracer

TRACER_NAME = "catnap.hostagent"


@contextmanager
def spans_to_file(path: Path) -> Iterator[None]:
    """Append the finished spans of this process to a file; once in a process, before anything is traced."""
    provider = TracerProvider(resource=Resource.create({"service.name": "catnap-host"}))
    with path.open("a", encoding="utf-8") as file:
        provider.add_span_processor(BatchSpanProcessor(ConsoleSpanExporter(out=file)))
        trace.set_tracer_provider(provider)
        try:
            yield
        finally:
            provider.shutdown()


def default_tracer() -> Tracer:
    """Return a tracer of the provider that the process has; without one, spans cost next to nothing."""
    return trace.get_tracer(TRACER_NAME)


@contextmanager
def span(tracer: Tracer, name: str, **attributes: str | int | float) -> Iterator[Span]:
    """Be in a span; an exception marks it as failed and goes on."""
    with tracer.start_as_current_span(name, attributes=attributes, record_exception=False) as current:
        try:
            yield current
        except Exception as error:
            current.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
            raise
