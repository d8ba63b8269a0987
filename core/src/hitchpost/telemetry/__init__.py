"""The built-in telemetry provider, `inline::meta-reference` of the API telemetry: traces in a key-value store."""
