"""A model of Ollama's with adapters: made once for each of them, beside the model itself.

Ollama takes no adapters with a request, so a model with one is another model to it. It shares the
weights with the one that it is made of, which stays as it is.
"""

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from pathlib import Path

from orac_core import Adapter, BackendError, InvalidRequest, LoadProgress, ModelFileInvalid

from .api import OllamaApi
from .importing import about_the_file, created, size_of, uploaded
from .listing import Inventory
from .naming import dressed_name
from .replies import Installed


def check(adapters: Sequence[Adapter]) -> None:
    """Refuse what Ollama has no words for.

    Raises:
        InvalidRequest: naming it.
    """
    if len(adapters) > 1:
        raise InvalidRequest(
            "Ollama puts one adapter on a model, not several; leave one, or serve the model by a "
            "backend of kind llamacpp",
            {"adapters": "must be one"},
        )
    if any(it.scale != 1 for it in adapters):
        raise InvalidRequest(
            "Ollama has no scale for adapters; leave `scale` out, or serve the model by a backend "
            "of kind llamacpp",
            {"adapters": "scale must be 1.0"},
        )


async def dressed(
    api: OllamaApi, known: Inventory, model: Installed, adapters: Sequence[Adapter]
) -> AsyncGenerator[LoadProgress, None]:
    """Make the model with *adapters*, unless it is *known*; yield how far it is.

    The hashes of the adapters are known.

    Raises:
        ModelFileInvalid: when Ollama refuses an adapter, or it changes meanwhile.
        BackendError: when Ollama fails.
    """
    name = dressed_name(model.name, model.digest, adapters)
    if known.named(name):
        return
    files, total = {}, sum(size_of(Path(it.path)) for it in adapters)
    for number, adapter in enumerate(adapters, start=1):
        files[f"adapter-{number}.gguf"] = digest = f"sha256:{adapter.sha256}"
        async with aclosing(uploaded(api, Path(adapter.path), digest, 0, total)) as stages:
            async for progress in stages:
                yield progress
    with _blaming(Path(adapters[0].path)):
        async with aclosing(api.dress(name, model.name, files)) as lines:
            async for line in lines:
                yield created(line)


@contextmanager
def _blaming(adapter: Path) -> Iterator[None]:
    """Say of the file what Ollama says against it."""
    try:
        yield
    except (BackendError, InvalidRequest) as error:
        if not about_the_file(error):
            raise
        problem = f"Ollama can not use the adapter, or is too old for it: {error}"
        raise ModelFileInvalid(adapter, problem) from error


def found(known: Inventory, model: Installed, adapters: Sequence[Adapter]) -> Installed:
    """Return the model with *adapters* that was made.

    Raises:
        BackendError: when Ollama does not list it.
    """
    name = dressed_name(model.name, model.digest, adapters)
    if made := known.named(name):
        return made
    raise BackendError(f"Ollama said that it has made {name}, and does not list it; load it again")
