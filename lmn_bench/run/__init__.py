"""The measuring side's parent: starts processes, keeps the order, turns every end into a record."""
