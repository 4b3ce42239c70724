"""Figures: their style, what they are drawn from, the figures themselves, and the report."""
