"""Signed notes against the example in C2SP's signed-note (github.com/C2SP/C2SP, CC-BY-4.0)."""

import pytest

from audit.domain.note import BadNote, opened, vkey

KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
NOTE = (
    "This is an example message.\n\n"
    "\u2014 example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1"
    "ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)


def test_the_example_of_the_specification_opens():
    assert opened(NOTE, KEY) == "This is an example message.\n"


def test_a_verifier_key_is_spelled_as_the_specification_does():
    public = bytes.fromhex("e932791ae6e7a840a46164c904786426d5e7821dd8b29a00d61cae72afdd4da4")
    assert vkey("example.com/foo", public) == KEY


@pytest.mark.parametrize(
    ("note", "key"),
    [
        (NOTE.replace("example message", "exemple message"), KEY),
        (NOTE.replace("Uw2Q", "Uw2R"), KEY),
        (NOTE.replace("yaQM=", "!!!!="), KEY),
        (NOTE, KEY.replace("foo", "bar")),
        (NOTE, KEY.replace("530d", "530e")),
        (NOTE, "nonsense"),
        ("no signature", KEY),
    ],
)
def test_anything_else_does_not(note, key):
    with pytest.raises(BadNote):
        opened(note, key)
