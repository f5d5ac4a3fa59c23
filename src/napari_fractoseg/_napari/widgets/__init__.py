"""Controls that the docks share."""
