"""The completion service: reads ``prompts``, asks a language model through litellm, writes ``completions``."""
