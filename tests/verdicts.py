"""The two questions that the answers of every exercise are asked: a module has them in RIGHT and WRONG, and imports the tests.

`pytest_generate_tests` in conftest.py gives each test the lists of the module that imported it.
"""

from tl_helpers.lessons.checks import verdict


def test_right(number, answer):
    found = verdict(number, answer)
    assert found.outcome == "right", found.message


def test_wrong_answers_get_their_own_hint(number, answer, hint):
    found = verdict(number, answer)
    assert found.outcome == "not yet", found.message
    assert hint in found.message, found.message
