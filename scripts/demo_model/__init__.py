"""The demo model's parts: its language, tokenizer, network, GGUF file and measurement."""
