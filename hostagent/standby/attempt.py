"""One try to put an instance to sleep, and how it went."""

from enum import Enum

from opentelemetry import trace

from hostagent.errors import InstanceInStandbyError, InvalidStateError, NotFoundError, SleepAborted
from hostagent.logs import get_logger
from hostagent.standby.metrics import StandbyMetrics
from hostagent.standby.ports import InstancesPort, StillIdle
from hostagent.standby.sleep_queue import Request

log = get_logger("standby")
tracer = trace.get_tracer("hostagent.standby")


class Outcome(Enum):
    """How it went; the values are those of the metric's label."""

    ASLEEP = "success"
    """It sleeps, by us or already."""
    ABORTED = "aborted"
    """Somebody came, or its state did not allow it: no failure."""
    GONE = "gone"
    """There is no such instance any more."""
    FAILED = "error"


async def attempt(
    instances: InstancesPort, request: Request, look: StillIdle, metrics: StandbyMetrics
) -> Outcome:
    """Carry a request out; never raises but when cancelled."""
    with tracer.start_as_current_span(
        "AutoStandbyStandbyAttempt",
        attributes={
            "instance": request.instance,
            "level": request.level.value,
            "generation": request.generation,
            "reason": request.reason,
        },
    ) as span:
        outcome = await _sleep(instances, request, look, metrics)
        span.set_attribute("outcome", outcome.value)
        metrics.attempts.labels(outcome.value).inc()
        return outcome


async def _sleep(
    instances: InstancesPort, request: Request, look: StillIdle, metrics: StandbyMetrics
) -> Outcome:
    bound = log.bind(instance=request.instance, level=request.level.value)
    try:
        await instances.standby(
            request.instance,
            request.level,
            generation=request.generation,
            reason=request.reason,
            still_idle=look,
        )
    except InstanceInStandbyError:
        return Outcome.ASLEEP
    except NotFoundError:
        return Outcome.GONE
    except (SleepAborted, InvalidStateError) as error:
        bound.info("sleep given up", why=str(error))
        return Outcome.ABORTED
    except Exception as error:  # noqa: BLE001 (whatever failed: it counts as awake and is tried again)
        metrics.errors.labels("standby").inc()
        bound.error("sleep failed", error=str(error), kind=type(error).__name__)
        return Outcome.FAILED
    return Outcome.ASLEEP
