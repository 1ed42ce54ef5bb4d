"""The demo model: the language it learns, and the file that is shipped."""

import importlib
import json
import sys
from collections import Counter
from pathlib import Path

import pytest
from gguf import GGUFReader

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "orac_server" / "demo" / "orac-robot.gguf"
PAGE = ROOT / "docs" / "reference" / "demo-model.md"
COUNT = 4000

KEYS = {
    "move": ["action", "direction", "meters"],
    "rotate": ["action", "direction", "degrees"],
    "goto": ["action", "x", "y"],
    "photo": ["action"],
    "return": ["action"],
    "stop": ["action"],
    "unknown": ["action"],
}


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "scripts"))
        yield importlib.import_module("train_demo_model")


@pytest.fixture(scope="module")
def grammar(script):
    return sys.modules[script.commands.__module__]


@pytest.fixture(scope="module")
def tokenizer(script):
    return sys.modules[script.Tokenizer.__module__]


@pytest.fixture(scope="module")
def trained(script):
    return script.commands(7, COUNT)


@pytest.fixture(scope="module")
def unseen(script):
    return script.unseen(8, COUNT // 4)


@pytest.fixture(scope="module")
def metadata():
    return {key: field.contents() for key, field in GGUFReader(MODEL).fields.items()}


def within(answer):
    """Whether the values of an answer are in the ranges of the grammar."""
    match answer["action"]:
        case "move":
            ways = {"forward", "backward", "left", "right"}
            return answer["direction"] in ways and 0 < answer["meters"] < 100
        case "rotate":
            return answer["direction"] in {"left", "right"} and 0 < answer["degrees"] <= 360
        case "goto":
            return abs(answer["x"]) < 100 and abs(answer["y"]) < 100
        case action:
            return action in KEYS


def test_every_answer_has_the_keys_and_ranges_of_its_action(trained, unseen):
    answers = [json.loads(answer) for _, answer in [*trained, *unseen]]
    assert [a for a in answers if list(a) != KEYS[a["action"]] or not within(a)] == []


def test_every_answer_is_written_in_the_shortest_way(trained, grammar):
    assert all(answer == grammar.compact(json.loads(answer)) for _, answer in trained)
    assert not any(".0}" in answer or ".0," in answer or " " in answer for _, answer in trained)


def test_the_same_seed_makes_the_same_sentences_and_another_seed_others(script, trained):
    assert script.commands(7, 100) == trained[:100]
    assert script.commands(9, 100) != trained[:100]


@pytest.mark.parametrize("part", ["trained", "unseen"])
def test_every_action_occurs_and_none_rules(part, request):
    pairs = request.getfixturevalue(part)
    shares = Counter(json.loads(answer)["action"] for _, answer in pairs)
    assert shares.keys() == KEYS.keys()
    assert min(shares.values()) > len(pairs) / 50
    assert max(shares.values()) < len(pairs) / 2


def test_no_unseen_sentence_shares_text_or_wording_with_training(grammar, trained, unseen):
    assert {text for text, _ in trained}.isdisjoint(text for text, _ in unseen)
    shown = {grammar.wording(text) for text, _ in trained}
    assert shown.isdisjoint(grammar.wording(text) for text, _ in unseen)


def test_unseen_sentences_differ_from_each_other(unseen):
    assert len({text for text, _ in unseen}) == len(unseen)


def test_training_never_shows_a_held_out_number_and_the_measurement_does(grammar, trained, unseen):
    assert not any(grammar.has_held_out_numeral(text) for text, _ in trained)
    assert any(grammar.has_held_out_numeral(text) for text, _ in unseen)


def test_no_sentence_has_two_answers(grammar, trained, unseen):
    meant: dict[str, set[str]] = {}
    for text, answer in [*trained, *unseen]:
        meant.setdefault(text.lower().strip(" .!?"), set()).add(answer)
    assert {text: answers for text, answers in meant.items() if len(answers) > 1} == {}


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("move 1.5 m", ["move", "Ġ", "1", ".", "5", "Ġm"]),
        ("don't", ["don", "'t"]),
        ("x=-12", ["x", "=-", "1", "2"]),
        ("a  b\n", ["a", "Ġ", "Ġb", "Ċ"]),
        ("45°", ["4", "5", "Â°"]),
    ],
)
def test_text_is_cut_as_the_engine_cuts_it(tokenizer, text, pieces):
    assert list(tokenizer.pieces(text)) == pieces


def test_tokens_become_the_same_text_again(tokenizer, trained):
    made = tokenizer.Tokenizer(tokenizer.learn_merges([text for text, _ in trained[:200]], 20))
    assert all(made.decode(made.encode(text)) == text for text, _ in trained[:200])


def test_the_shipped_file_is_small(metadata):
    assert MODEL.stat().st_size <= 4_000_000
    assert metadata["general.license"] == "Apache-2.0"
    assert metadata["general.architecture"] == "llama"


def test_the_shipped_file_names_its_language_and_how_often_it_is_right(grammar, metadata):
    assert metadata["orac.demo.grammar"] == grammar.described()
    assert 0 < metadata["orac.demo.accuracy"] <= 1
    assert metadata["orac.demo.evaluated"] >= 1000
    assert metadata["orac.demo.seed"] >= 0


def test_the_shipped_file_is_right_at_least_95_times_in_100(metadata):
    assert metadata["orac.demo.accuracy"] >= 0.95


def test_the_reference_page_says_what_the_file_says(metadata):
    page = PAGE.read_text(encoding="utf-8")
    assert f"{metadata['orac.demo.accuracy']:.2%}" in page
    assert f"Of {metadata['orac.demo.evaluated']} unseen sentences" in page
    assert f"{MODEL.stat().st_size / 1e6:.2f} MB" in page
