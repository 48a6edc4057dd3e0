import pytest

import al_learner
from al_learner.core import errors, interfaces, registry

HEAVY = ("sklearn", "scipy", "lightgbm", "pandas", "matplotlib", "alembic")


@pytest.mark.parametrize(
    "module", ["al_learner", "al_learner.core.configuration.settings", "al_learner.core.project", "al_learner.worker"]
)
def test_nothing_heavy_is_imported_with(fresh_python, module):
    code = f"import {module}, sys; print(*({set(HEAVY)} & {{name.partition('.')[0] for name in sys.modules}}))"

    assert fresh_python(code).split() == []


def test_the_commands_that_are_listed_import_no_settings_and_no_database(fresh_python):
    code = "import al_learner.cli, sys; print(*({'numpy', 'pydantic', 'sqlalchemy'} & {*sys.modules}))"

    assert fresh_python(code).split() == []


def test_importing_the_package_imports_no_part_of_it(fresh_python):
    code = "import al_learner, sys; print(*(name for name in sys.modules if name.startswith('al_learner.')))"

    assert fresh_python(code).split() == []


@pytest.mark.parametrize("name", al_learner.__all__)
def test_the_package_has(name):
    assert getattr(al_learner, name).__name__ == name
    assert name in dir(al_learner)


def test_the_public_names_are_the_ones_that_the_library_uses_itself():
    assert al_learner.AlLearnerError is errors.AlLearnerError
    assert al_learner.Classifier is interfaces.Classifier
    assert al_learner.strategy is registry.strategy


def test_a_name_that_the_package_does_not_have_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'al_learner' has no attribute 'Lerner'"):
        al_learner.Lerner  # noqa: B018 - the look-up is what fails
