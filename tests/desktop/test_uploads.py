"""What files of viewers are called on our side."""

import json

from streamserver.desktop import uploads as uploads_module


def test_names_are_harmless() -> None:
    for given, name in [
        ("a.txt", "a.txt"), ("../../etc/passwd", "passwd"), ("C:\\x\\y.doc", "y.doc"), ("", "file"),
        ("..", "file"), (".", "file"), ("a\0b\n", "ab"), ("/", "file"), ("\ud800", "file"),
        ("x" * 300 + ".pdf", "x" * 196 + ".pdf"),
    ]:  # fmt: skip
        assert uploads_module.safe_name(given) == name
    assert json.dumps(uploads_module.distinct(["a", "a", "a (2)", ".x", ".x"])) == json.dumps(
        ["a", "a (2)", "a (2) (2)", ".x", ".x (2)"]
    )
