"""The list of planted bugs is of the code as it is; `make mutants` takes hours to plant them."""

from tests.stress import mutants


def test_every_planted_bug_can_be_planted_and_every_module_has_one():
    found = mutants.read_mutants(mutants.LISTS)
    assert len(found) > 400
    assert {m["kind"] for m in found} == set(mutants.KINDS)
