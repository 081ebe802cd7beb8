"""RUNS IN THE CHILD: models that learn, and models that write.

`loop` is the training itself and knows neither files nor processes; `train` and `generate` are the
jobs behind the commands of those names, `lesson` that behind a case of mode learn; `__main__` is
the process.
"""
