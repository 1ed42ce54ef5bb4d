"""What the backend tells about its models: Ollama's lists and the GGUF files, joined. Pure."""

from collections.abc import Iterable, Mapping, Sequence

from attrs import evolve, frozen

from orac_core import LoadedInfo, ModelFile, ModelInfo, ModelState, Shape

from .._described import described
from .naming import is_dressed, name_of, same, short
from .placement import shortfall
from .question import Loading
from .replies import Installed, Running, Shown


@frozen
class Inventory:
    """Everything that is known of one server at one moment.

    Attributes:
        installed: Models on Ollama's disk.
        running: Models that have a runner.
        files: GGUF files that could be handed over.
        shown: What was asked beyond the list, by digest.
    """

    installed: Sequence[Installed]
    running: Sequence[Running]
    files: Sequence[ModelFile] = ()
    shown: Mapping[str, Shown] = {}

    def model(self, id_: str) -> tuple[Installed | None, ModelFile | None]:
        """Return what *id_* means: a file's id, or a name of Ollama's, in any letter case."""
        for file in self.files:
            if file.id == id_:
                return self.named(name_of(file)), file
        return self.named(id_), None

    def runner(self, model: Installed | None) -> Running | None:
        """Return the runner of a model, whatever it wears; names with one digest share it."""
        if model is None:
            return None
        digest = self.in_memory(model).digest
        return next((each for each in self.running if each.digest == digest), None)

    def in_memory(self, model: Installed) -> Installed:
        """Return the model with the adapters that it has on while it runs, else as it is."""
        running = {each.digest for each in self.running}
        dressed = (it for it in self.installed if is_dressed(it.name, model.digest))
        return next((it for it in dressed if it.digest in running), model)

    def named(self, name: str) -> Installed | None:
        """Return the model that Ollama has under that name."""
        return next((each for each in self.installed if same(each.name, name)), None)

    def capabilities(self, model: Installed) -> tuple[str, ...]:
        """Return what a model can do, in Ollama's words."""
        if model.capabilities is not None:
            return model.capabilities
        known = self.shown.get(model.digest)
        return known.capabilities if known else ()

    def trained_context(self, model: Installed | None, file: ModelFile | None) -> int | None:
        """Return the longest context that a model was trained for."""
        if file is not None and file.header is not None:
            return file.header.context_length
        if model is None:
            return None
        known = self.shown.get(model.digest)
        return model.context_length or (known.context_length if known else None)

    def shape(self, model: Installed) -> Shape | None:
        """Return what the memory of one of Ollama's own models is made of, where it tells."""
        known = self.shown.get(model.digest)
        return known.shape(model.size_bytes) if known else None


def listed(
    found: Inventory, loadings: Mapping[str, Loading], *, expect_gpu: bool
) -> list[ModelInfo]:
    """Return every model: Ollama's own in its order, then the files that it could be given.

    Args:
        found: What is known of the server.
        loadings: How models were loaded, by id, where this backend did it.
        expect_gpu: Whether a model that is not wholly on a GPU is worth a warning.
    """
    taken = {name_of(file).lower() for file in found.files}
    others = (each for each in found.installed if each.name.lower() not in taken)
    own = [each for each in others if not is_dressed(each.name)]
    infos = [_of_ollama(found, each, loadings, expect_gpu=expect_gpu) for each in own]
    return infos + [_of_file(found, file, loadings, expect_gpu=expect_gpu) for file in found.files]


def words(capabilities: Iterable[str]) -> tuple[str, ...]:
    """Return Ollama's words for what a model can do, in ORAC's."""
    capabilities = tuple(capabilities)
    return (*capabilities, "chat") if "completion" in capabilities else capabilities


def _of_ollama(
    found: Inventory, model: Installed, loadings: Mapping[str, Loading], *, expect_gpu: bool
) -> ModelInfo:
    nickname = short(model.name)
    info = ModelInfo(
        id=model.name,
        size_bytes=model.size_bytes,
        modified_at=model.modified_at,
        architecture=model.family,
        parameters=model.parameters,
        quantization=model.quantization,
        context_length=found.trained_context(model, None),
        capabilities=words(found.capabilities(model)),
        names=(nickname,) if nickname else (),
        shape=found.shape(model),
        digest=model.digest,
    )
    return _with_runner(info, found.runner(model), loadings, expect_gpu=expect_gpu)


def _of_file(
    found: Inventory, file: ModelFile, loadings: Mapping[str, Loading], *, expect_gpu: bool
) -> ModelInfo:
    model, info = found.model(file.id)[0], described(file)
    if model is not None:
        known = words(found.capabilities(model))
        info = evolve(info, names=(model.name,), capabilities=known or info.capabilities)
    return _with_runner(info, found.runner(model), loadings, expect_gpu=expect_gpu)


def _with_runner(
    info: ModelInfo, runner: Running | None, loadings: Mapping[str, Loading], *, expect_gpu: bool
) -> ModelInfo:
    if runner is None:
        return info
    ours = loadings.get(info.id)
    return evolve(
        info,
        state=ModelState.READY,
        state_reason=None,
        expires_at=runner.expires_at,
        loaded=LoadedInfo(
            context_length=runner.context_length or (ours.context_length if ours else None),
            gpu_layers=ours.gpu_layers if ours else None,
            memory_bytes=runner.size_bytes,
            on_gpu_ratio=runner.on_gpu_ratio,
            adapters=ours.adapters if ours else None,
        ),
        warning=shortfall(info.id, runner) if expect_gpu else None,
    )
