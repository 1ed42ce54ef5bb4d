"""The commands of the page on adapters, run on a tiny model with one."""

from tests.docs.test_docs import ROOT, check_commands, environment
from tests.processes import serving
from tests.tiny_adapters import write_adapter
from tests.tiny_models import write

PAGE = ROOT / "docs/how-to/adapters.md"


def test_the_commands_print_what_the_page_shows(tmp_path):
    write(tmp_path, "tiny-qwen3-0.6b")
    write_adapter(tmp_path / "adapters" / "robot-lora.gguf")
    manifest = tmp_path / "orac.toml"
    manifest.write_text(
        f'[models]\nadapters = "{tmp_path}/adapters"\n[models.files."tiny-qwen3-0.6b"]\n'
        'adapters = [{ path = "robot-lora.gguf", scale = 1.0 }]\n'
        '[backends.local]\nkind = "llamacpp"\nthreads = 1\n'
    )
    with serving("--manifest", manifest, "--models-dir", tmp_path) as server:
        check_commands(PAGE, environment(server.url), tmp_path)
