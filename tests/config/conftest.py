"""What the tests of the configuration share."""

import hydra
import pytest
from hydra.core.global_hydra import GlobalHydra

from hybridsep import config


@pytest.fixture
def compose():
    config.register()
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(str(config.config_dir()), **config.hydra_defaults()):
        yield lambda *overrides: hydra.compose("config", list(overrides))
