"""The provider of agents behind `inline::scripted`: the loop of shields, retrieval and inference, with tools that answer by script."""
