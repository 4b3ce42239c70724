"""Pictures: their style, the figures by family, and the report."""
