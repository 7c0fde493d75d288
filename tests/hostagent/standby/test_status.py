"""What is shown."""

from tests.hostagent.activity.flows import tcp
from tests.hostagent.standby.world import TIMEOUT, A, B, C, D, World


def test_the_status_object_on_the_wire(world: World) -> None:
    world.add()
    world.start()
    world.open(tcp())
    wire = world.controller.status(A).to_wire()
    assert wire == {
        "supported": True,
        "configured": True,
        "enabled": True,
        "eligible": True,
        "status": "active",
        "reason": "active_inbound_connections",
        "active_inbound_connections": 1,
        "tracking_mode": "conntrack_events_v4_v6_tcp_udp",
        "idle_timeout": "10s",
        "last_inbound_activity_at": wire["last_inbound_activity_at"],
    }
    world.end(tcp())
    world.after(4)
    wire = world.controller.status(A).to_wire()
    assert wire["countdown_remaining"] == "6s"
    assert str(wire["next_standby_at"]).endswith("Z")
    assert wire["idle_since"] == wire["last_inbound_activity_at"]


def test_phases_are_counted(world: World) -> None:
    for instance in (A, B, C):
        world.add(instance)
    world.add(D, policy=None)
    world.start()
    world.open(tcp())
    world.instances.step_seconds = 1.0
    world.gates.write(B, 1)
    tracked = "hypeman_auto_standby_tracked_instances_total"
    counts = {
        phase: world.sample(tracked, phase=phase)
        for phase in ("active", "idle_countdown", "ready_for_standby", "ineligible")
    }
    assert counts == {"active": 2, "idle_countdown": 1, "ready_for_standby": 0, "ineligible": 1}
    world.after(TIMEOUT + 0.5)
    assert world.sample(tracked, phase="ready_for_standby") == 1
    assert world.sample("hypeman_auto_standby_active_connections_total") == 1
    events = "hypeman_auto_standby_conntrack_events_total"
    assert world.sample(events, event="new", result="added") == 1
