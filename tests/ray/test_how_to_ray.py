"""The commands on the page on clusters, on a cluster of this machine alone."""

from tests.docs.test_docs import DEMO, check_commands, environment
from tests.docs.test_how_to_ray import BLOCKS, PAGE
from tests.processes import serving


def test_the_commands_print_what_the_page_shows(tmp_path):
    manifest = tmp_path / "orac.toml"
    shown = BLOCKS[0].text
    assert "/models/gguf" in shown
    manifest.write_text(shown.replace("/models/gguf", str(DEMO)))
    kept = {"HOME": str(tmp_path), "ORAC_STATE_DIR": str(tmp_path / "state")}
    with serving("--manifest", manifest, environ=kept) as server:
        check_commands(PAGE, environment(server.url, **kept), tmp_path)
