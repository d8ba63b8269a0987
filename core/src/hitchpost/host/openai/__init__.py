"""The OpenAI surface: `/v1/...`."""
