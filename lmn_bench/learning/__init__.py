"""What models learn from: corpora, tokens, and tasks that test recall.

Importing this package loads neither torch nor numpy. `names` lists what there is; batches are
numpy arrays, and the worker turns them into tensors.
"""
