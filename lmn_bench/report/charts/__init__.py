"""Charts as altair describes them: one definition for the page, for SVG and for PNG.

Nothing here is imported before a chart is asked for: altair takes half a second to load.
"""
