"""Old public names go on working for one version, with a warning that says the new name."""

import pytest

from al_learner import Project
from al_learner.core.deprecated import METHODS


@pytest.fixture
def project(tmp_path):
    project = Project(f"sqlite:///{tmp_path / 'project.db'}", classifier="complement-nb", batch_size=2)
    project.load_texts(["a good day", "good news", "a bad day", "bad news"])
    project.load_labels(["+", "-"])
    yield project
    project.close()


@pytest.mark.parametrize("old", METHODS)
def test_an_old_method_does_what_the_new_one_does_and_says_its_name(project, old):
    project.init()
    arguments = (None,) if old == "is_waiting_to_be_heard" else ()

    with pytest.warns(DeprecationWarning, match=f"Project.{old} is deprecated .* use Project.{METHODS[old]}") as caught:
        found = getattr(project, old)(*arguments)

    assert caught[0].filename == __file__
    assert type(found) is type(getattr(project, METHODS[old])(*arguments))


def test_an_old_method_passes_its_arguments_on(project):
    with pytest.warns(DeprecationWarning, match="act is deprecated"):
        assert project.act(heard_init=True).due == "init"


def test_the_old_name_of_the_stopping_advice_is_deprecated(project):
    status = project.status()
    with pytest.warns(DeprecationWarning, match="Status.advice is deprecated") as caught:
        assert status.advice is status.stopping_advice
    assert caught[0].filename == __file__
