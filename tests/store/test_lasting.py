"""What stays, and what is kept apart, in every store that outlasts its process."""

from tests.store.places import Place, keys_of, on_every_lasting_store

pytestmark = on_every_lasting_store


async def test_entries_are_there_when_the_store_is_opened_again(place: Place) -> None:
    first = await place.open()
    await first.set("kept", "value")
    await first.set("deleted", "value")
    await first.delete("deleted")
    await first.close()

    again = await place.open()

    assert [entry async for entry in again.scan()] == [("kept", "value")]


async def test_two_hosts_see_each_others_entries_at_once(place: Place) -> None:
    here, there = await place.open(), await place.open()

    await here.set("a", "1")

    assert await there.get("a") == "1"
    assert await there.put_if_absent("a", "2") is False
    assert await there.compare_and_set("a", "1", "3") is True
    assert await here.get("a") == "3"


async def test_namespaces_are_apart(place: Place) -> None:
    one, other = await place.open(namespace="one"), await place.open(namespace="other")

    await one.set("key", "1")
    await other.set("key", "2")
    await other.set("more", "3")
    lease = await one.acquire("job", "a", 60)

    assert await one.get("key") == "1"
    assert await keys_of(one) == ["key"]
    assert await keys_of(other) == ["key", "more"]
    assert await other.delete("key") is True
    assert await one.get("key") == "1"
    assert lease is not None
    assert await other.acquire("job", "b", 60) is not None
