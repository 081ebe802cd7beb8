"""Which hardware is enough: memory and time of a model foretold from measured runs."""
