"""One run of a script: flags, seeds, inputs, identity, records, result folders, checkpoints."""
