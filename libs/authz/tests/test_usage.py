from authz.usage import AGAIN, MOST, Usage


def tell(usage, now):
    due = usage.due(now)
    usage.told(due, now)
    return due


def test_a_key_is_told_of_once_a_minute_however_often_it_is_used():
    usage, told = Usage(), []
    for second in range(130):
        usage.seen.update({"a"} if second else {"a", "b"})
        told += [(second, key) for key in tell(usage, second)]
    assert told == [(0, "a"), (0, "b"), (60, "a"), (120, "a")]


def test_a_key_that_is_used_no_more_is_told_of_no_more():
    usage = Usage()
    usage.seen.add("a")
    assert tell(usage, 0) == ["a"]
    assert tell(usage, AGAIN + 1) == []


def test_a_use_right_after_a_telling_is_told_later_and_not_lost():
    usage = Usage()
    usage.seen.add("a")
    tell(usage, 0)
    usage.seen.add("a")
    assert tell(usage, 1) == []
    assert tell(usage, AGAIN) == ["a"]


def test_what_could_not_be_told_stays_due():
    usage = Usage()
    usage.seen.add("a")
    assert usage.due(0) == ["a"]
    assert usage.due(1) == ["a"]


def test_more_than_one_telling_holds_is_told_in_several():
    usage = Usage()
    usage.seen.update(f"{n:05}" for n in range(MOST + 1))
    assert [len(tell(usage, n)) for n in range(3)] == [MOST, 1, 0]
