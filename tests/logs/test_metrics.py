from prometheus_client import generate_latest

from streamserver.metrics import new_registry


def test_a_registry_has_the_process_and_is_not_shared() -> None:
    first, second = new_registry(), new_registry()
    text = generate_latest(first).decode()
    for name in ("process_resident_memory_bytes", "python_info", "python_gc_collections_total"):
        assert name in text
    assert first is not second
