"""Label files: found, opened, and measured together."""
