import json

import pytest

from flowbench.runtime.files import whole, without_secrets, write_json


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_finished_block_moves_its_files_and_folders(tmp_path):
    target = tmp_path / "results" / "cell"
    with whole(target) as scratch:
        (scratch / "a.txt").write_text("new", encoding="utf-8")
        (scratch / "part").mkdir()
        (scratch / "part" / "b.txt").write_text("new", encoding="utf-8")
        assert scratch.parent == target  # on one file system, so that moving is atomic
        assert names(target) == [scratch.name]
    assert names(target) == ["a.txt", "part"]
    assert (target / "part" / "b.txt").read_text(encoding="utf-8") == "new"


def test_what_stands_under_the_same_names_is_replaced_and_the_rest_stays(tmp_path):
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "old.txt").touch()
    (tmp_path / "a.txt").write_text("old", encoding="utf-8")
    (tmp_path / "other.txt").write_text("other stage", encoding="utf-8")
    with whole(tmp_path) as scratch:
        (scratch / "a.txt").write_text("new", encoding="utf-8")
        (scratch / "part").mkdir()
    assert names(tmp_path) == ["a.txt", "other.txt", "part"]
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "new"
    assert names(tmp_path / "part") == []


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_block_that_fails_changes_nothing(tmp_path, error):
    (tmp_path / "a.txt").write_text("old", encoding="utf-8")

    def fail() -> None:
        with whole(tmp_path) as scratch:
            (scratch / "a.txt").write_text("half", encoding="utf-8")
            raise error

    with pytest.raises(error):
        fail()
    assert names(tmp_path) == ["a.txt"]
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "old"


def test_what_a_killed_block_left_is_cleared_away(tmp_path):
    (tmp_path / ".unfinished-abc").mkdir()
    (tmp_path / ".unfinished-abc" / "a.txt").write_text("half", encoding="utf-8")
    with whole(tmp_path) as scratch:
        assert names(tmp_path) == [scratch.name]
    assert names(tmp_path) == []


def test_json_is_the_same_for_the_same_content(tmp_path):
    write_json(tmp_path / "one.json", {"b": 0.1, "a": [1, None], "c": {2: "y", 1: "x"}})
    write_json(tmp_path / "two.json", {"c": {1: "x", 2: "y"}, "a": [1, None], "b": 0.1})
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()
    assert (tmp_path / "one.json").read_text(encoding="utf-8").endswith("}\n")
    assert json.loads((tmp_path / "one.json").read_text(encoding="utf-8"))["b"] == 0.1


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("at http://me:p@ss-hunter2@host/x: no", "at http://host/x: no"),
        ("http://me:a/hunter2@host:80/x", "http://host:80/x"),
        ("http://me:80/hunter2@host", "http://host"),
        ("http://me:a/b@hunter2@host", "http://host"),
        ("http://me:a@b/hunter2@host", "http://host"),
        ("postgresql+psycopg2://me:hunter2@host/db", "postgresql+psycopg2://host/db"),
        ("https://hunter2@host/path", "https://host/path"),
        ("http://me:a?hunter2@host", "http://…"),
        ("http://me:a/b?hunter2@host", "http://…"),
        ("http://host:80/x?token=a@hunter2", "http://…"),
        ("https://host?token=a@hunter2", "https://…"),
        ("https://host/x?token=a:b@hunter2 found", "https://host/x found"),
        ("sqlite:///x.db?password=hunter2", "sqlite:///x.db"),
        ("http://me:p@ss-hunter2@a and http://me:b/hunter2@b", "http://a and http://b"),
    ],
)
def test_no_password_or_query_of_a_url_is_shown(told, shown):
    assert without_secrets(told) == shown


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1:5000/x: refused",
        "http://[::1]:5000/x",
        "https://host/@user/file",
        "sqlite:///x@y.db",
        "sqlite:////srv/a:b@c/mlflow.db",
        "file:///srv/me@host/mlruns",
        "no URL: me:secret@host?",
    ],
)
def test_what_is_no_secret_is_shown(text):
    assert without_secrets(text) == text
