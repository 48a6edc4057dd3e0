"""What Kubernetes sets for Services with our name is no setting, and no error."""

from pathlib import Path

import pytest

from al_learner.core.configuration.environment import warn_of_ignored_variables
from al_learner.core.configuration.settings import Settings
from al_learner.core.errors import SettingsError


def of_service(name, port=8000, port_name=None, protocol="tcp"):
    """Return the variables that Kubernetes sets for a Service, as its documentation lists them."""
    prefix, address = name.upper().replace("-", "_"), "10.0.0.7"
    by_port = f"{prefix}_PORT_{port}_{protocol.upper()}"
    url = f"{protocol}://{address}:{port}"
    return {
        f"{prefix}_SERVICE_HOST": address,
        f"{prefix}_SERVICE_PORT": str(port),
        **({f"{prefix}_SERVICE_PORT_{port_name.upper().replace('-', '_')}": str(port)} if port_name else {}),
        f"{prefix}_PORT": url,
        by_port: url,
        f"{by_port}_PROTO": protocol,
        f"{by_port}_PORT": str(port),
        f"{by_port}_ADDR": address,
    }


SERVICES = {
    "al-learner": of_service("al-learner", port_name="http"),
    "al-learner-http": of_service("al-learner-http"),
    "al-learner-log": of_service("al-learner-log", port_name="http-metrics", protocol="udp"),
    "al-learner-2": of_service("al-learner-2", protocol="sctp"),
}


@pytest.mark.parametrize("service", SERVICES)
def test_what_kubernetes_sets_is_ignored_and_said_once(monkeypatch, logged, service):
    before = Settings()
    for name, value in SERVICES[service].items():
        monkeypatch.setenv(name, value)

    settings = Settings()
    warn_of_ignored_variables()

    assert settings == before
    assert {*settings.origins.values()} == {"default"}
    assert settings.http_port is None
    [warning] = logged.named("settings.ignored")
    assert warning["variables"].split(", ") == sorted(SERVICES[service])
    assert "enableServiceLinks: false" in warning["then"]


@pytest.mark.parametrize("name", sorted({name for variables in SERVICES.values() for name in variables}))
def test_each_of_these_variables_is_recognised_by_itself(monkeypatch, name):
    [value] = {variables[name] for variables in SERVICES.values() if name in variables}
    monkeypatch.setenv(name, value)

    assert {*Settings().origins.values()} == {"default"}


def test_nothing_is_said_where_nothing_is_ignored(monkeypatch, logged):
    monkeypatch.setenv("AL_LEARNER_HTTP_PORT", "8000")
    monkeypatch.setenv("OTHER_SERVICE_HOST", "10.0.0.7")
    warn_of_ignored_variables()

    assert Settings().http_port == 8000
    assert logged.named("settings.ignored") == []


def test_the_file_sets_the_port_that_kubernetes_took_the_name_of(monkeypatch):
    Path("named.toml").write_text("http_port = 9000")
    monkeypatch.setenv("AL_LEARNER_CONFIG", "named.toml")
    monkeypatch.setenv("AL_LEARNER_HTTP_PORT", "tcp://10.0.0.7:8000")

    assert Settings().http_port == 9000
    assert Settings().origins["http_port"] == "named.toml"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AL_LEARNER_CLASSIFER", "sgd"),
        ("AL_LEARNER_HTPP_PORT", "8000"),
        ("AL_LEARNER_PORT", "8000"),
        ("AL_LEARNER_SERVICE", "10.0.0.7"),
        ("AL_LEARNER_LOG_HOST", "tcp://10.0.0.7:8000"),
        ("AL_LEARNER_PORT_8000", "tcp://10.0.0.7:8000"),
    ],
)
def test_a_real_mistake_is_still_an_error(monkeypatch, name, value):
    for other, given in SERVICES["al-learner"].items():
        monkeypatch.setenv(other, given)
    monkeypatch.setenv(name, value)

    with pytest.raises(SettingsError) as caught:
        Settings()

    [problem] = caught.value.problems
    assert problem.startswith(f"{name} is not a setting; ")


def test_a_port_that_is_no_number_is_still_an_error(monkeypatch):
    monkeypatch.setenv("AL_LEARNER_HTTP_PORT", "http")

    with pytest.raises(SettingsError, match="AL_LEARNER_HTTP_PORT = http"):
        Settings()
