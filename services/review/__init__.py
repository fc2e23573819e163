"""Review of a run from its log alone."""
