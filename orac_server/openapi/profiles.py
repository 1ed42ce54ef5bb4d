"""Answers about profiles and roles."""

from attrs import frozen


@frozen
class Parameters:
    """How to choose the next token; null leaves it to the model or the engine.

    Attributes:
        temperature: 0 always takes the likeliest token.
        top_p: Smallest set of tokens whose probabilities sum up to this.
        top_k: Number of likeliest tokens to choose from; 0 takes all.
        min_p: Least probability, relative to the likeliest token.
        seed: Makes sampling repeatable.
        max_tokens: Longest answer, in tokens.
        stop: Texts that end the answer.
        repeat_penalty: Above 1 makes tokens less likely that occurred lately.
        frequency_penalty: Above 0 makes tokens less likely the more often they occurred.
        presence_penalty: Above 0 makes tokens less likely that occurred.
        ignore_eos: Go on where the model would end its answer.
    """

    temperature: float | None
    top_p: float | None
    top_k: int | None
    min_p: float | None
    seed: int | None
    max_tokens: int | None
    stop: list[str]
    repeat_penalty: float | None
    frequency_penalty: float | None
    presence_penalty: float | None
    ignore_eos: bool | None


@frozen
class AdapterWanted:
    """A LoRA adapter that a role wants.

    Attributes:
        path: Its file, or its name in the folder of adapters.
        scale: How strong it is.
        checksum: What the file must hash to; null when nothing is said.
    """

    path: str
    scale: float
    checksum: str | None


@frozen
class WrittenRole:
    """A role as the manifest has it.

    Attributes:
        role: Its name.
        name: Name of its model.
        provider: The backend that has to serve it, or a kind of backend; null for any.
        auto_download: Whether the model is fetched before the first use.
        parameters: How to choose the next token where a request does not say so.
        source: Where the model's file is fetched from, without user and query; null for nowhere.
        checksum: What the file must hash to; null when nothing is said.
        adapters: LoRA adapters to load it with.
        prefer: `warm` when whichever backend has the model loaded is asked first; else null.
    """

    role: str
    name: str
    provider: str | None
    auto_download: bool
    parameters: Parameters
    source: str | None
    checksum: str | None
    adapters: list[AdapterWanted]
    prefer: str | None


@frozen
class ResolvedRole(WrittenRole):
    """A role that can be asked for; `parameters` are merged with those of all models.

    Attributes:
        provider: The backend that has to serve it; null for any.
        kind: Kind of that backend.
        models: Names of the models to try, in order: its own, then its fallbacks.
    """

    kind: str | None
    models: list[str]


@frozen
class SkippedRole:
    """A role that is left out.

    Attributes:
        role: Its name.
        reason: Why.
    """

    role: str
    reason: str


@frozen
class WrittenProfile:
    """A profile as the manifest has it.

    Attributes:
        name: Its name.
        active: Whether it is the one that holds.
        roles: Its roles.
        fallbacks: For roles, what answers in their place, in order.
    """

    name: str
    active: bool
    roles: list[WrittenRole]
    fallbacks: dict[str, list[str]]


@frozen
class RegisteredAdapter:
    """What the manifest of an adapter says, in the folder `models.adapters`.

    Attributes:
        name: What it is called; of one that can not be read, the name of its manifest.
        path: Its file.
        checksum: What the file must hash to.
        base_architecture: Of the models that it is made for: `llama`, `qwen3` …
        base_checksum: Of the one file that it is made for; null for any that it fits.
        created: When it was made, in ISO 8601.
        problem: Why it can not be used; null when nothing speaks against it.
    """

    name: str
    path: str | None
    checksum: str | None
    base_architecture: str | None
    base_checksum: str | None
    created: str | None
    problem: str | None


@frozen
class Profiles:
    """The roles that can be asked for, and every profile there is.

    Attributes:
        profile: Name of the profile that holds.
        roles: Its roles that can be asked for.
        skipped: Its roles that are left out.
        profiles: Every profile of the manifest.
        adapters: The adapters that have a manifest.
    """

    profile: str
    roles: list[ResolvedRole]
    skipped: list[SkippedRole]
    profiles: list[WrittenProfile]
    adapters: list[RegisteredAdapter]
