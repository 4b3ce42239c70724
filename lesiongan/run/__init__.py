"""One run of a script: flags, seeds, inputs, identity and records, the folder it writes to,
checkpoints.
"""
