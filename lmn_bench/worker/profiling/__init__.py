"""Where the time and the memory of one call go: parts, functions and operators of a model."""
