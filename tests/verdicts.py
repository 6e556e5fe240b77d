"""The two tests for every exercise's answers: a module lists its answers in RIGHT and WRONG and imports these tests.

`pytest_generate_tests` in conftest.py passes each test the lists of the module that imported it.
"""

from tl_helpers.lessons.checks import verdict


def test_right(number, answer):
    found = verdict(number, answer)
    assert found.outcome == "right", found.message


def test_wrong_answers_get_their_own_hint(number, answer, hint):
    found = verdict(number, answer)
    assert found.outcome == "not yet", found.message
    assert hint in found.message, found.message
