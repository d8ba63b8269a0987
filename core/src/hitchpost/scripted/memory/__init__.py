"""The provider of memory behind `inline::scripted`: banks that live as long as the provider does."""
