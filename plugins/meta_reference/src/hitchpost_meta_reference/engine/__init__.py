"""The engine: a process that loads a Llama checkpoint and serves it over a local socket.

The host's side is `client`, `connection`, `launch`, `protocol` and `settings`; they import no torch. All else runs in the engine's process.
"""
