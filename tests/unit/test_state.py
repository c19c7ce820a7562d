"""What is kept from one run to the next: written whole, read whole, or not at all."""

import os
import stat

import pytest

from lsyncd_lite.errors import Fatal
from lsyncd_lite.system.state import State

from world import config

RECORDS = [(b"place", b"1", b""), (b"place", b"0", b"a\nb\xff"), (b"owed", b"x" * 4000), (b"event", b"Move", b"file", b"a", b"b"), (b"start",)]


@pytest.fixture
def place(tmp_path):
    return os.fsencode(str(tmp_path / "state"))


def only(place):
    names = os.listdir(place)
    assert len(names) == 1
    return os.path.join(place, names[0])


@pytest.mark.parametrize("records", [RECORDS, []])
@pytest.mark.parametrize("ended", [True, False])
def test_what_was_saved_is_loaded(place, records, ended):
    State(place).save(config(), records, ended)
    assert State(place).load(config()) == (records, ended)


def test_without_a_file_there_is_nothing(place):
    assert State(place).load(config()) is None


def test_a_directory_that_is_missing_is_made_for_us_alone(place):
    State(place).save(config(), [], True)
    assert stat.S_IMODE(os.stat(place).st_mode) == 0o700 and stat.S_IMODE(os.stat(only(place)).st_mode) & 0o137 == 0


@pytest.mark.parametrize("other", [dict(mode="direct"), dict(source=b"/other"), dict(target=b"/other/"), dict(name="other")])
def test_each_pair_has_a_file_of_its_own(place, other):
    wanted = config()
    vars(wanted).update(other)
    state = State(place)
    state.save(config(), RECORDS, True)
    assert state.load(wanted) == (None if {"source", "target"} & set(other) else ([], False))
    state.save(config(), [], True)
    assert state.load(wanted) is None  # nothing was missing
    state.save(config(), RECORDS, True)
    state.save(wanted, [], True)
    assert state.load(config()) == (RECORDS, True)


def test_names_of_syncs_are_no_paths(place):
    for name in ("../../x", "a/b", ".", "..", "", "n\nl", "x" * 500, "ä"):
        one = config()
        one.name = name
        State(place).save(one, RECORDS, True)
        assert State(place).load(one) == (RECORDS, True)
    assert len(os.listdir(place)) == 8 and os.listdir(os.path.dirname(place)) == [os.path.basename(place)]


def test_damage_anywhere_throws_the_file_away(place):
    state = State(place)
    state.save(config(), RECORDS, True)
    with open(only(place), "rb") as file:
        whole = file.read()
    step = max(1, len(whole) // 300)
    for at in list(range(0, len(whole), step)) + list(range(len(whole) - 12, len(whole))):
        for broken in (whole[:at], whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1:], whole[at:] if at else b""):
            with open(only(place), "wb") as file:
                file.write(broken)
            assert state.load(config()) == ([], False), at
    for broken in (b"", b"\0" * 5000, whole + whole, whole.replace(b"state 1", b"state 2")):
        with open(only(place), "wb") as file:
            file.write(broken)
        assert state.load(config()) == ([], False)


def test_a_link_in_its_place_is_not_followed(place, tmp_path):
    state = State(place)
    state.save(config(), RECORDS, True)
    path = only(place)
    os.rename(path, str(tmp_path / "elsewhere").encode())
    os.symlink(str(tmp_path / "elsewhere").encode(), path)
    with pytest.raises(OSError):
        state.load(config())
    state.save(config(), [], True)  # which replaces it
    assert not os.path.islink(path) and state.load(config()) == ([], True)


def test_a_fifo_in_its_place_holds_nobody_up(place):
    state = State(place)
    state.save(config(), RECORDS, True)
    path = only(place)
    os.unlink(path)
    os.mkfifo(path)
    assert state.load(config()) == ([], False)


def test_what_is_forgotten_is_gone(place):
    state = State(place)
    state.forget(config())
    state.save(config(), RECORDS, True)
    state.forget(config())
    assert not os.listdir(place)


@pytest.mark.parametrize("kind", ["file", "parent is missing", "link to nowhere"])
def test_a_directory_that_cannot_be_is_one_line(kind, tmp_path):
    path = tmp_path / "state"
    if kind == "file":
        path.write_text("x")
    elif kind == "parent is missing":
        path = path / "sub"
    else:
        path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(Fatal, match="state directory"):
        State(os.fsencode(str(path)))
