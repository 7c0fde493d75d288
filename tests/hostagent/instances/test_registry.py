"""Finding instances, and whose names and ports are taken."""

from dataclasses import replace

import pytest

from hostagent.errors import AmbiguousError, NameConflictError, NotFoundError
from hostagent.instances.model import Level, PublishedPort
from hostagent.instances.registry import Instance, Registry, new_id
from tests.hostagent.records import identity, record


def _registry(*ids: str) -> Registry:
    registry = Registry()
    for number, one in enumerate(ids):
        registry.add(Instance(record(f"name-{number}", number, id=identity(one)), Level.AWAKE, since=0.0))
    return registry


def test_ids_are_of_the_form_of_a_cuid2() -> None:
    for _ in range(200):
        one = new_id()
        assert len(one) == 24
        assert one[0].isalpha()
        assert one.islower()
        assert one.isalnum()


def test_an_instance_is_found_by_id_then_name_then_beginning() -> None:
    registry = _registry("abcx", "abdx")
    assert registry.find(identity("abcx")).name == "name-0"
    assert registry.find("name-1").id == identity("abdx")
    assert registry.find("abc").name == "name-0"
    with pytest.raises(AmbiguousError, match=r"beginning of 2 ids.*write more"):
        registry.find("ab")
    for key in ("", "zz", "name-"):
        with pytest.raises(NotFoundError, match="no instance"):
            registry.find(key)
    registry.remove(identity("abcx"))
    assert registry.find("ab").name == "name-1"


PORT = PublishedPort(80, 8000)


@pytest.mark.parametrize(
    ("other", "taken"),
    [
        (PublishedPort(80, 1), True),
        (PublishedPort(80, 1, "tcp", "192.0.2.1"), True),
        (PublishedPort(80, 1, "udp"), False),
        (PublishedPort(81, 8000), False),
    ],
)
def test_ports_are_taken_once(other: PublishedPort, taken: bool) -> None:
    registry = Registry()
    spec = replace(record("one").spec, ports=(PORT,))
    registry.add(Instance(record(spec=spec), Level.AWAKE, since=0.0))
    wanted = replace(spec, name="two", ports=(other,))
    if taken:
        with pytest.raises(NameConflictError, match="published by the instance 'one'"):
            registry.check_free(wanted)
    else:
        registry.check_free(wanted)


def test_ports_on_two_addresses_and_names() -> None:
    registry = _registry("a")
    spec = record("new").spec
    mine = (PublishedPort(80, 1, "tcp", "127.0.0.1"), PublishedPort(80, 1, "tcp", "::1"))
    registry.check_free(replace(spec, ports=mine))
    with pytest.raises(NameConflictError, match="published twice"):
        registry.check_free(replace(spec, ports=(*mine, PublishedPort(80, 2, "tcp", "0:0::1"))))
    with pytest.raises(NameConflictError, match="'name-0' is taken"):
        registry.check_free(replace(spec, name="name-0"))
