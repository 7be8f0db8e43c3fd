"""What comes back when entries go: inodes and extents that they share count once."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace

import pytest

from cacheadmin.accounting import Accounting, Size, Tally

INODE = (1, 7)


def tally(*files: int, shared: tuple[tuple[int, int], ...] = ()) -> Tally:
    """Return a tally of files of so many bytes, and one that consists of shared extents."""
    found = Tally()
    for size in files:
        found.add(size, size)
    if shared:
        allocated = sum(end - start for start, end in shared)
        found.add(allocated, allocated, shared, own=0)
    return found


def linked(links: int, seen: int = 1, size: int = 100) -> Tally:
    found = Tally()
    found.add_linked(INODE, links, size, size)
    for _ in range(seen - 1):
        assert found.knows(INODE)
    return found


def measured(held: tuple[tuple[int, int], ...] = (), **tallies: Tally):
    accounting: Accounting[str] = Accounting()
    for name, one in tallies.items():
        accounting.add(name, one)
    return accounting.finish(held)


def test_an_inode_with_a_name_outside_frees_nothing() -> None:
    sizes = measured(a=linked(3), b=linked(3))
    assert sizes["a"] == Size(100, 100, 0, 1)
    assert sizes.together(["a", "b"]) == Size(100, 100, 0, 1)


def test_an_inode_comes_back_when_all_that_name_it_go() -> None:
    sizes = measured(a=linked(3, seen=2), b=linked(3), c=tally(5))
    assert [sizes[name].reclaimable_bytes for name in "abc"] == [0, 0, 5]
    assert sizes.together("ab") == Size(100, 100, 100, 1)
    assert sizes.together("ac") == Size(105, 105, 5, 2)
    assert sizes.together("abc") == Size(105, 105, 105, 2)


def test_an_inode_whose_names_lie_in_one_entry_is_that_entrys() -> None:
    sizes = measured(a=linked(2, seen=2))
    assert sizes["a"] == Size(100, 100, 100, 1)


def test_a_clone_of_an_unseen_file_frees_nothing() -> None:
    assert measured(a=tally(7, shared=((0, 50),)))["a"].reclaimable_bytes == 7


def test_clones_come_back_when_both_go() -> None:
    sizes = measured(a=tally(7, shared=((0, 50),)), b=tally(1, shared=((0, 50),)))
    assert (sizes["a"].reclaimable_bytes, sizes["b"].reclaimable_bytes) == (7, 1)
    assert sizes.together("ab").reclaimable_bytes == 58


def test_two_clones_in_one_entry_come_back_once() -> None:
    assert measured(a=tally(shared=((0, 50), (0, 50))))["a"].reclaimable_bytes == 50


def test_what_something_elsewhere_holds_stays_and_only_that() -> None:
    sizes = measured(
        held=((20, 30), (200, 300)),
        a=tally(shared=((0, 50),)),
        b=tally(shared=((10, 50),)),
    )
    # 0-10 has one user here, 20-30 one elsewhere.
    assert sizes.together("ab").reclaimable_bytes == 30


def test_an_inode_that_keeps_a_name_elsewhere_keeps_its_extents() -> None:
    half = Tally()
    half.add_linked(INODE, 2, 50, 50, ((0, 50),), own=0)
    sizes = measured(a=tally(shared=((0, 50),)), b=tally(shared=((0, 50),)), c=half)
    assert sizes.together("abc").reclaimable_bytes == 0


def test_one_extent_in_very_many_entries_counts_as_staying() -> None:
    sizes = measured(**{f"e{number}": tally(shared=((0, 50),)) for number in range(65)})
    assert sizes.together(sizes).reclaimable_bytes == 0


@pytest.mark.parametrize("seed", range(40))
def test_any_set_frees_what_a_disk_of_blocks_would(seed: int) -> None:
    """A model disk: inodes with names in groups, blocks with inodes on them."""
    dice = random.Random(seed)
    groups = ["a", "b", "c", "outside"]
    names = {
        inode: [dice.choice(groups) for _ in range(dice.choice((1, 1, 2, 3)))]
        for inode in range(12)
    }
    blocks = {
        inode: sorted(dice.sample(range(24), dice.randint(1, 8))) for inode in names if inode % 2
    }
    users: dict[int, int] = {}
    for mine in blocks.values():
        for block in mine:
            users[block] = users.get(block, 0) + 1
    private = {inode: dice.randint(0, 9) for inode in names}
    accounting: Accounting[str] = Accounting()
    held: list[tuple[int, int]] = []
    for inode, places in names.items():
        mine = blocks.get(inode, [])
        shared = tuple((block, block + 1) for block in mine if users[block] > 1)
        own = private[inode] + len(mine) - len(shared)
        total = private[inode] + len(mine)
        for place in dict.fromkeys(places):
            if place == "outside":
                held += shared
                continue
            one = Tally()
            if len(places) == 1:
                one.add(total, total, shared, own)
            else:
                one.add_linked((1, inode), len(places), total, total, shared, own)
                for _ in range(places.count(place) - 1):
                    one.knows((1, inode))
            accounting.add(place, one)
    sizes = accounting.finish(held)
    chosen = [name for name in ("a", "b", "c") if name in sizes]
    gone = {inode for inode, places in names.items() if set(places) <= set(chosen)}
    assert sizes.together(chosen).reclaimable_bytes == _freed(gone, blocks, private)
    for group in chosen:
        alone = {inode for inode, places in names.items() if set(places) == {group}}
        assert sizes[group].reclaimable_bytes == _freed(alone, blocks, private)
    there = {inode for inode, places in names.items() if set(places) & set(chosen)}
    assert sizes.together(chosen).files == len(there)
    larger = sizes.regrouped(lambda name: "ab" if name in "ab" else name)
    for group in larger:
        assert larger[group] == sizes.together(group)
    assert larger.together(larger) == sizes.together(sizes)


def _freed(gone: set[int], blocks: Mapping[int, list[int]], private: Mapping[int, int]) -> int:
    staying = {block for inode in blocks if inode not in gone for block in blocks[inode]}
    freed = {block for inode in gone for block in blocks.get(inode, [])} - staying
    return sum(private[inode] for inode in gone) + len(freed)


def test_a_tally_that_was_sent_counts_as_it_did() -> None:
    one, other = tally(4096, shared=((0, 512), (1024, 4096))), linked(3, seen=2)
    other.add_linked((2**63 + 5, 9), 2, 10, 20, ((7, 9), (2**60, 2**60 + 5)), own=6)
    one.merge(other)
    sent = Tally.unpacked(one.packed())
    assert measured(a=sent, b=tally(1)) == measured(a=one, b=tally(1))
    assert list(sent.extents) == list(one.extents)
    # In parts it is the same again: names of one inode may come in several.
    both = Tally()
    for part in (linked(3, seen=2), linked(3)):
        both.merge(Tally.unpacked(part.packed()))
    assert measured(a=both) == measured(a=linked(3, seen=3))


def test_bytes_that_are_no_tally_are_refused() -> None:
    whole = linked(3).packed()
    with pytest.raises(ValueError, match="no tally"):
        Tally.unpacked(replace(whole, linked=whole.linked[:-8]))
    with pytest.raises(ValueError, match=r"array|multiple"):
        Tally.unpacked(replace(whole, shared=b"odd"))
