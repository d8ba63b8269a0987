"""The native surface: `/alpha/...`, as llama-stack 0.0.53 served it."""
