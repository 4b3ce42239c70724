"""The list of planted bugs is of the code as it is; `make mutants` takes hours to plant them."""

from tests.stress import mutants


def test_every_planted_bug_can_be_planted_and_every_module_has_one():
    found = mutants.read_mutants(mutants.LISTS)
    assert len(found) > 400
    assert {m["kind"] for m in found} == set(mutants.KINDS)


def test_a_verdict_is_of_a_bug_its_file_and_its_tests(tmp_path, monkeypatch):
    monkeypatch.setattr(mutants, "ROOT", tmp_path)
    for name, text in (("a.py", "x = 1\n"), ("test_a.py", "assert x\n")):
        (tmp_path / name).write_text(text)
    bug = {"file": "a.py", "what": "x, and so y", "before": "1", "after": "2"}
    bug["tests"] = ["test_a.py::test_x"]
    row = dict.fromkeys(mutants.COLUMNS, "") | {"file": "a.py", "what": bug["what"]}
    tried = {("a.py", bug["what"]): row | {"verdict": "caught", "state": mutants.state_of(bug)}}
    mutants.write_tried(tmp_path / "tried.csv", tried, [bug])
    assert mutants.read_tried(tmp_path / "tried.csv") == tried
    assert mutants.is_current(bug, tried)
    assert not mutants.is_current(bug | {"what": "another"}, tried)
    assert not mutants.is_current(bug | {"after": "3"}, tried)
    for name in ("a.py", "test_a.py"):
        text = (tmp_path / name).read_text()
        (tmp_path / name).write_text(text + "\n")
        assert not mutants.is_current(bug, tried)
        (tmp_path / name).write_text(text)
    assert mutants.is_current(bug, tried)
    mutants.write_tried(tmp_path / "tried.csv", tried, [])
    assert mutants.read_tried(tmp_path / "tried.csv") == {}
