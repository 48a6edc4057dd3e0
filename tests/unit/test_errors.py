import inspect
import re

from al_learner.core import errors


def test_the_tree_that_is_drawn_is_the_tree_of_the_classes():
    branch: list[str] = []
    drawn = {}
    for line in errors.__doc__.splitlines():
        if found := re.match(r"    ([│├└─ ]*)(\w+)", line):
            depth = len(found[1]) // 4
            branch[depth:] = [found[2]]
            drawn[found[2]] = branch[depth - 1] if depth else "Exception"

    defined = {
        name: cls.__bases__[0].__name__
        for name, cls in inspect.getmembers(errors, inspect.isclass)
        if cls.__module__ == errors.__name__ and not issubclass(cls, Warning)
    }
    assert drawn == defined


def test_a_settings_error_says_a_problem_a_line_and_keeps_them_apart():
    error = errors.SettingsError(["a = 1: too small", "b is not a setting"])

    assert error.problems == ("a = 1: too small", "b is not a setting")
    assert str(error).splitlines() == list(error.problems)


def test_unusable_data_is_a_value_error_to_callers_that_know_only_scikit_learn():
    assert issubclass(errors.DataError, ValueError)
