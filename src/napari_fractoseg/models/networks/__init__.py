"""Networks: built from a configuration, started from published weights, made fast, read out."""
