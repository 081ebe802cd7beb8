"""Tasks made by generators, without a download: one protocol, one file per family.

Importing this package loads no numpy. Read `protocol` for what a task offers and `presets` for
those with published settings.
"""
