"""All tests run as CI does: on the CPU, no progress bars, fp32, and features kept in a folder of this run alone."""

import os

import pytest

os.environ.setdefault("NEEDS_CHROMIUM", os.environ.get("CI", ""))  # at home its tests are left out where it is missing
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
