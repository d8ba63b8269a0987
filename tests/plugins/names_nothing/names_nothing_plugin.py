"""The entry point names an attribute that this module lacks."""
