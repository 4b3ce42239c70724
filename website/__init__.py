"""The documentation site: what MkDocs does not do by itself, and the pictures of its pages."""
