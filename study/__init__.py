"""The study: when does it help? A grid of trainings, run by Snakemake; see README.md here."""
