"""A notebook with a slider, in a real JupyterLab in a real browser: run it all, move the slider, see the result change."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from lesson_cells import ALL_NOTEBOOKS
from playwright.sync_api import Page, TimeoutError, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
CHROMIUM_FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
]
TOKEN = "only-for-this-test"
SETTINGS = {
    "notebook-extension/tracker": {"windowingMode": "none"},
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}
SLIDER = ".jp-OutputArea-output .noUi-handle"
# the text and pictures that the cell shows, without the slider and its own number
SHOWN = """slider => {
    const area = document.querySelector(slider).closest('.jp-OutputArea').parentElement.cloneNode(true);
    area.querySelectorAll('.widget-slider').forEach(slider => slider.remove());
    return area.textContent + [...area.querySelectorAll('img')].map(image => image.src);
}"""


@pytest.fixture(scope="module")
def notebook():
    """The first notebook of the course with a slider."""
    for path in ALL_NOTEBOOKS:
        if any(word in path.read_text("utf-8") for word in ("interact(", "Slider(", "browse_neighbours(")):
            return path
    pytest.fail("no notebook has a slider")


@contextmanager
def jupyterlab(folder: Path, home: Path):
    """JupyterLab on `folder`, its settings, workspaces and kernels' files under `home`; gives its address."""
    for plugin, settings in SETTINGS.items():
        file = home / "settings/@jupyterlab" / f"{plugin}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(settings))
    own = {"JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "runtime"}
    own |= {"IPYTHONDIR": "ipython", "JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces"}
    env = os.environ | {name: str(home / place) for name, place in own.items()}
    env |= {"JUPYTER_PREFER_ENV_PATH": "1", "TL_BUDGET": "ci", "CI": "1"}
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}"]
    command += [f"--IdentityProvider.token={TOKEN}", f"--ServerApp.root_dir={folder}", "--ServerApp.port_retries=0"]
    log = home / "lab.log"
    with log.open("w") as out:
        lab = subprocess.Popen([*command, "--LabApp.extension_manager=readonly"], env=env, stdout=out, stderr=out)
    try:
        _wait_for(f"http://127.0.0.1:{port}/api/status?token={TOKEN}", lab, log)
        yield f"127.0.0.1:{port}"
    finally:
        lab.terminate()
        lab.wait(30)


def _wait_for(address: str, process: subprocess.Popen, log: Path) -> None:
    for _ in range(240):
        try:
            urllib.request.urlopen(address, timeout=1).close()
            return
        except (OSError, urllib.error.URLError):
            assert process.poll() is None, log.read_text()
            time.sleep(0.25)
    pytest.fail(f"JupyterLab did not start within a minute: {log.read_text()}")


def run_all(page: Page) -> None:
    """Run every cell and wait for the last; a Run All sent before the kernel is connected is lost without a word."""
    prompts = "[...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')].map(prompt => prompt.innerText)"
    for _ in range(5):
        page.click("text=Run >> nth=0")
        page.click('.lm-Menu-item[data-command="runmenu:run-all"]')
        try:
            page.wait_for_function(f"/\\[[\\d*]+\\]/.test({prompts}[0])", timeout=6_000)
            break
        except TimeoutError:
            continue
    page.wait_for_function(f"{prompts}.every(text => /\\[\\d+\\]/.test(text))", timeout=240_000)


def move(page: Page) -> None:
    """One step to the right, or to the left where the slider stands at its right end."""
    handle = page.locator(SLIDER).first
    handle.scroll_into_view_if_needed()
    value = handle.get_attribute("aria-valuenow")
    for key in ("ArrowRight", "ArrowLeft"):
        handle.focus()
        page.keyboard.press(key)
        if handle.get_attribute("aria-valuenow") != value:
            return
    pytest.fail("the slider does not move")


@pytest.mark.skipif(
    not CHROMIUM and not os.environ.get("NEEDS_CHROMIUM"), reason="no Chromium here: apt-get install chromium"
)
def test_moving_a_slider_changes_what_is_shown(notebook, tmp_path):
    assert CHROMIUM, "CI needs Chromium: .ci/run installs it"
    folder, home = tmp_path / "course", tmp_path / "home"
    folder.mkdir()
    home.mkdir()
    # without its outputs, so that what is seen has been computed here
    cleared = json.loads(notebook.read_text("utf-8"))
    for cell in cleared["cells"]:
        if cell["cell_type"] == "code":
            cell.update(outputs=[], execution_count=None)
    (folder / notebook.name).write_text(json.dumps(cleared), "utf-8")
    with jupyterlab(folder, home) as host, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        page = browser.new_page(viewport={"width": 1300, "height": 1000})
        page.set_default_timeout(180_000)
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"http://{host}/lab/tree/{notebook.name}?token={TOKEN}&reset")
        page.wait_for_selector(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Notebook-cell")
        page.wait_for_selector("text=Python 3 (ipykernel) | Idle")
        run_all(page)
        page.wait_for_selector(SLIDER)
        before = page.evaluate(SHOWN, SLIDER)
        assert before.strip()
        move(page)
        page.wait_for_function(f"([slider, before]) => ({SHOWN})(slider) !== before", arg=[SLIDER, before])
        here = (f"http://{host}/", f"ws://{host}/", "data:", "blob:")
        assert not [url for url in asked if not url.startswith(here)]
        browser.close()
