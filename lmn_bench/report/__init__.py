"""Results into documents: `build` decides what is said, the other modules how it looks."""
