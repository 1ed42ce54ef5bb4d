"""What the memory of a model is made of, told by the keys of its file."""

import pytest

from orac_core import Block, Shape, Weights

LLAMA = {
    "block_count": (4,),
    "context_length": (2048,),
    "embedding_length": (512,),
    "feed_forward_length": (1024,),
    "attention.head_count": (8,),
    "attention.head_count_kv": (2,),
}
MAMBA = {
    "block_count": (12,),
    "embedding_length": (768,),
    "attention.head_count": (0,),
    "ssm.conv_kernel": (4,),
    "ssm.inner_size": (1536,),
    "ssm.state_size": (16,),
}


def shape(architecture="llama", /, weights=None, **facts):
    told = {name.replace("__", "."): value for name, value in facts.items()}
    found = Shape.of(architecture, LLAMA | told, weights or Weights())
    assert found is not None
    return found


def windows(found: Shape) -> list[int]:
    return [block.window for block in found.blocks]


def test_heads_are_equal_shares_of_the_embedding_unless_their_width_is_said():
    assert shape().blocks == (Block(key_width=128, value_width=128),) * 4
    wide = shape(attention__key_length=(96,), attention__value_length=(80,))
    assert wide.blocks == (Block(key_width=192, value_width=160),) * 4
    assert (shape().query_width, wide.query_width) == (512, 768)


def test_a_model_that_does_not_say_its_kv_heads_has_as_many_as_heads():
    facts = {name: value for name, value in LLAMA.items() if name != "attention.head_count_kv"}
    assert Shape.of("gpt2", facts, Weights()).blocks[0].key_width == 512


def test_layers_may_differ_in_their_heads():
    found = shape(attention__head_count_kv=(2, 0, 4, 8))
    assert [block.key_width for block in found.blocks] == [128, 0, 256, 512]


def test_weights_of_layers_that_the_model_has_not_are_counted_with_the_rest():
    weights = Weights((10, 20, 30, 40, 50, 60), embedding=7, output=8, other=9)

    found = shape(weights=weights)

    assert [block.weights_bytes for block in found.blocks] == [10, 20, 30, 40]
    assert (found.embedding_bytes, found.output_bytes, found.other_bytes) == (7, 8, 119)
    assert found.weights_bytes == 234
    assert not found.is_tied


def test_the_weights_of_parts_add_up_layer_by_layer():
    both = Weights((1, 2), embedding=3) + Weights((0, 10, 20), output=4, other=5)
    assert both == Weights((1, 12, 20), 3, 4, 5)


def test_weights_that_are_only_known_in_all_are_spread_evenly_and_none_is_lost():
    assert Weights.spread(1000, 3) == Weights((333, 333, 333), other=1)


@pytest.mark.parametrize(
    ("architecture", "pattern", "expected"),
    [
        ("llama", (), [0, 0, 0, 0]),
        ("gemma2", (), [100, 0, 100, 0]),
        ("cohere2", (), [100, 100, 100, 0]),
        ("new", (2,), [100, 0, 100, 0]),
        ("new", (1,), [0, 0, 0, 0]),
        ("new", (0,), [100, 100, 100, 100]),
        ("new", (1, 0, 0, 1), [100, 0, 0, 100]),
        ("new", (0, 1), [0, 100, 0, 100]),
    ],
)
def test_which_layers_look_back_a_window_only(architecture, pattern, expected):
    found = shape(
        architecture,
        attention__sliding_window=(100,),
        **({"attention__sliding_window_pattern": pattern} if pattern else {}),
    )
    assert windows(found) == expected


def test_windowed_layers_may_have_heads_of_another_width():
    found = shape("gemma2", attention__sliding_window=(64,), attention__key_length_swa=(32,))
    assert [block.key_width for block in found.blocks] == [64, 128, 64, 128]


def test_the_last_layers_may_share_the_cache_of_earlier_ones():
    found = shape(attention__shared_kv_layers=(3,))
    assert [block.key_width for block in found.blocks] == [128, 0, 0, 0]


def test_values_that_are_made_from_the_keys_are_not_kept():
    found = shape(
        "deepseek2",
        attention__head_count_kv=(1,),
        attention__key_length=(576,),
        attention__value_length=(512,),
        attention__key_length_mla=(192,),
    )
    assert found.blocks[0] == Block(key_width=576)


def test_a_recurrent_model_keeps_a_state_and_no_tokens():
    """12 layers, 2 sequences: the engine allocates 2.67 MiB for them."""
    found = Shape.of("mamba", MAMBA, Weights())

    assert {block.key_width for block in found.blocks} == {0}
    assert [block.state_bytes for block in found.blocks] == [4 * (3 + 16) * 1536] * 12


def test_of_a_mixed_model_only_layers_without_attention_keep_a_state():
    ssm = {name: value for name, value in MAMBA.items() if name.startswith("ssm")}
    facts = LLAMA | ssm
    mixed = Shape.of("jamba", facts | {"attention.head_count_kv": (0, 0, 2, 0)}, Weights())
    interval = Shape.of("qwen3next", facts | {"full_attention_interval": (4,)}, Weights())
    both = Shape.of("falcon-h1", facts, Weights())

    assert [bool(block.state_bytes) for block in mixed.blocks] == [True, True, False, True]
    assert [bool(block.key_width) for block in interval.blocks] == [False, False, False, True]
    assert [bool(block.state_bytes) for block in interval.blocks] == [True, True, True, False]
    assert all(block.state_bytes for block in both.blocks)
    assert all(block.key_width for block in both.blocks)


def test_a_gate_makes_the_feed_forward_part_three_vectors_wide_and_experts_add_theirs():
    assert shape("llama").feed_forward_width == 3072
    assert shape("gpt2").feed_forward_width == 1024
    experts = shape(expert_used_count=(4,), expert_feed_forward_length=(256,))
    assert experts.feed_forward_width == 4 * (3 * 256 + 2 * 512)
    assert (shape("gpt2").widest_vector, experts.widest_vector) == (1024, 4 * 256)


@pytest.mark.parametrize("lacking", ["block_count", "embedding_length", "attention.head_count"])
def test_without_what_everything_depends_on_there_is_no_shape(lacking):
    facts = {name: value for name, value in LLAMA.items() if name != lacking}
    assert Shape.of("llama", facts, Weights()) is None


@pytest.mark.parametrize(
    "facts",
    [
        {"block_count": (0,)},
        {"block_count": (5000,)},
        {"embedding_length": (0,)},
        {"attention.head_count_kv": (2, 2)},
    ],
)
def test_what_cannot_be_is_no_shape(facts):
    assert Shape.of("llama", LLAMA | facts, Weights()) is None
