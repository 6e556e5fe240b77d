"""All tests run as in CI: on the CPU, without progress bars, in fp32, with features kept in a folder for this run only."""

import os

import pytest

os.environ.setdefault("NEEDS_CHROMIUM", os.environ.get("CI", ""))  # outside CI its tests are skipped if it is missing
os.environ["CI"] = "1"
os.environ["TL_DEVICE"] = "cpu"


@pytest.fixture(autouse=True, scope="session")
def features_of_this_run(tmp_path_factory):
    """A broken extraction must not hide behind features that an earlier run left in data/cache."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tl_helpers.recipes.features.cache_dir", lambda: folder)
        patch.setattr("tl_helpers.device.cache_dir", lambda: folder)
        yield
