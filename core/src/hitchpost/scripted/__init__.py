"""`inline::scripted`: providers that answer by a script, without a model. A plugin of the core's own, under a plugin's rules."""
